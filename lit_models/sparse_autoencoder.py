"""The sparse autoencoder."""

import math
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from lit_models.autoencoder import Autoencoder
from lit_models.base import DecoderFactory, EncoderFactory, Images, OptimizerFactory, SchedulerFactory
from metrics import MeanActivation
from objectives import kl_sparsity


class SparseTerms(NamedTuple):
    """Terms of the loss; `mean_activation` is only reported."""

    total: Tensor
    reconstruction: Tensor
    sparsity: Tensor
    mean_activation: Tensor


class SparseAutoencoder(Autoencoder):
    """Autoencoder whose code, of sigmoid units, is held at a small mean activation.

    Source: Ng, "Sparse autoencoder", CS294A lecture notes (2011).

    Args:
        image_shape: see `Autoencoder`.
        latent_dim: number of hidden units; may exceed the number of pixels.
        rho: mean activation over the data that every hidden unit is drawn to.
        sparsity_weight: weight of the summed KL(rho || rho_hat) against the per-image error.
        encoder: see `Autoencoder`; a sigmoid follows it.
        decoder: see `Autoencoder`.
        reconstruction: see `Autoencoder`.
        optimizer: see `SingleLossTechnique`.
        scheduler: see `SingleLossTechnique`.
        scheduler_interval: see `SingleLossTechnique`.
    """

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        latent_dim: int = 256,
        rho: float = 0.05,
        sparsity_weight: float = 1.0,
        encoder: EncoderFactory | None = None,
        decoder: DecoderFactory | None = None,
        reconstruction: Literal["mse", "bce"] = "mse",
        optimizer: OptimizerFactory | None = None,
        scheduler: SchedulerFactory | None = None,
        scheduler_interval: Literal["epoch", "step"] = "epoch",
    ) -> None:
        super().__init__(
            image_shape, latent_dim, encoder, decoder, reconstruction, optimizer, scheduler, scheduler_interval
        )
        if not 0 < rho < 1:
            raise ValueError(f"rho is {rho}: a target activation lies strictly between 0 and 1")
        if sparsity_weight < 0:
            raise ValueError(f"sparsity_weight is {sparsity_weight}: it cannot be negative")
        self.rho = rho
        self.sparsity_weight = sparsity_weight
        self.activation = MeanActivation(latent_dim)

    def embed(self, image: Tensor) -> Tensor:
        """Activations of the hidden units in (0, 1), (B, C, H, W) -> (B, latent_dim)."""
        # the offset is a bias that lets every unit begin at the target, where the penalty has no slope
        return torch.sigmoid(super().embed(image) + math.log(self.rho / (1 - self.rho)))

    def loss(self, batch: Images) -> NamedTuple:
        """Reconstruction error plus the sparsity penalty on the batch mean over all processes."""
        code = self.embed(self.model_input(batch))
        reconstruction = self.reconstruction_loss(code, batch.image)
        rho_hat = self.mean_over_processes(code.float().mean(0))  # (B, D) -> (D,)
        sparsity = kl_sparsity(rho_hat, self.rho)
        total = reconstruction + self.sparsity_weight * sparsity
        return SparseTerms(total, reconstruction, sparsity, rho_hat.mean())

    def validation_step(self, batch: Images, batch_idx: int) -> None:
        """Log the reconstruction error; the penalty follows from the mean over the whole part."""
        self._evaluate("val", batch)

    def test_step(self, batch: Images, batch_idx: int) -> None:
        """Log also the fraction of activations below a fifth of the target."""
        self._compare_with_pca(batch)
        code = self._evaluate("test", batch)
        self.log_means({"test/near_zero": (code < self.rho / 5).float().mean()}, batch)

    def on_validation_epoch_end(self) -> None:
        """Log the penalty and the total."""
        self._log_sparsity("val")

    def on_test_epoch_end(self) -> None:
        """Log the penalty and the total."""
        super().on_test_epoch_end()
        self._log_sparsity("test")

    def _evaluate(self, stage: str, batch: Images) -> Tensor:
        code = self.embed(batch.image)
        self.log_means({f"{stage}/reconstruction": self.reconstruction_loss(code, batch.image)}, batch)
        self.activation.update(code)
        return code

    def _log_sparsity(self, stage: str) -> None:
        rho_hat = self.activation.compute()
        self.activation.reset()
        sparsity = kl_sparsity(rho_hat, self.rho)
        total = self.trainer.callback_metrics[f"{stage}/reconstruction"] + self.sparsity_weight * sparsity
        terms = {"total": total, "sparsity": sparsity, "mean_activation": rho_hat.mean()}
        self.log_dict({f"{stage}/{name}": value for name, value in terms.items()})
