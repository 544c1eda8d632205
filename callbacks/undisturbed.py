"""Using a model in the midst of its training without leaving a trace."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.utilities.seed import isolate_rng


@contextmanager
def undisturbed(model: LightningModule, seed: int) -> Iterator[None]:
    """Eval mode, no gradients, and a fixed seed inside; everything as it was outside.

    Inference mode is left, because a model whose sampler follows gradients could not work in it.

    Args:
        model: whose modules are put into eval mode.
        seed: of the global random number generators of the CPU and of the model's device.
    """
    modes = [(module, module.training) for module in model.modules()]
    on_cuda = model.device.type == "cuda"
    with (
        isolate_rng(include_cuda=False),
        torch.random.fork_rng([model.device] if on_cuda else []),
        torch.inference_mode(False),
        torch.no_grad(),
    ):
        torch.default_generator.manual_seed(seed)
        if on_cuda:
            torch.cuda.manual_seed(seed)
        model.eval()
        try:
            yield
        finally:
            for module, training in modes:
                module.training = training
