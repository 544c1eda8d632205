"""How much of the gradient arrives at each layer."""

from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor, nn
from torch.optim import Optimizer

from callbacks.protocols import HiddenLayers
from callbacks.training_protocols import pretrains


class LayerGradients(Callback):
    """Logs the size of the gradient of each layer's weights as `gradient/layer1`, ..., `gradient/head`.

    The size is the root mean square over a layer's weights, biases left out: the L2 norm divided by the square root
    of their number, so that layers of different width compare. It is that of the whole batch over all processes, in
    float32, before any clipping and without the scale of mixed precision. Batches that the loggers do not write cost
    nothing, and where a model is pretrained layer by layer only the training of the whole is logged.

    Source of the question: Glorot and Bengio, "Understanding the difficulty of training deep feedforward neural
    networks" (2010).

    Raises:
        ValueError: from `setup`, if the model has no such layers.
    """

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Refuse a model that does not name its layers."""
        if not isinstance(pl_module, HiddenLayers):
            name = type(pl_module).__name__
            raise ValueError(f"trainer.callbacks is LayerGradients: {name} does not name its layers, leave it out")

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer) -> None:
        """Log, on the batches that the loggers write."""
        if pretrains(pl_module) or not trainer._logger_connector.should_update_logs:
            return
        assert isinstance(pl_module, HiddenLayers)
        sizes = {f"gradient/{name}": gradient_size(layer) for name, layer in pl_module.hidden_layers.items()}
        logged: dict[str, Any] = {name: size for name, size in sizes.items() if size is not None}
        pl_module.log_dict(logged, on_step=True, on_epoch=False)  # the same in all processes


def gradient_size(layer: nn.Module) -> Tensor | None:
    """Root mean square of the gradients of a layer's weights, float32 (); None if they have no gradient.

    Args:
        layer: whose parameters of two or more dimensions are taken for weights, the others for biases and scales.
    """
    weights = [weight for weight in layer.parameters() if weight.ndim > 1]
    gradients = [weight.grad.detach().float().flatten() for weight in weights if weight.grad is not None]
    return torch.cat(gradients).square().mean().sqrt() if gradients else None
