"""Autoencoders: plain, sparse and denoising."""

import warnings
from collections.abc import Iterator
from typing import Any, Literal, NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor

from lit_models.base import (
    DecoderFactory,
    EncoderFactory,
    Images,
    OptimizerFactory,
    SchedulerFactory,
    Technique,
)
from metrics import PCAReconstruction
from networks import Corruption, GaussianCorruption, ImageShape, KeyedNoise, MLPDecoder, MLPEncoder
from objectives import binary_cross_entropy, kl_sparsity, psnr, squared_error


@runtime_checkable
class TrainingImages(Protocol):
    """Data that can hand over its training images, for the baseline fitted to them."""

    def training_images(self) -> Iterator[Tensor]:
        """The training images, (B, C, H, W) float32 in [0, 1]."""


class AutoencoderTerms(NamedTuple):
    """Terms of the plain and the denoising autoencoder."""

    total: Tensor
    reconstruction: Tensor


class SparseTerms(NamedTuple):
    """Terms of the sparse autoencoder."""

    total: Tensor
    reconstruction: Tensor
    sparsity: Tensor
    mean_activation: Tensor


class Autoencoder(Technique):
    """Encoder, bottleneck, decoder, trained to copy its input.

    Source: Hinton and Salakhutdinov, "Reducing the Dimensionality of Data with Neural Networks" (2006).

    Args:
        image_shape: (C, H, W); the CLI takes it from the data.
        latent_dim: width of the bottleneck.
        encoder: makes the encoder from the image shape and the code's width; `MLPEncoder` if not given.
        decoder: makes the decoder from the code's width and the image shape; `MLPDecoder` if not given.
        reconstruction: ``mse``, squared error with the decoder's output as it is, or ``bce``,
            Bernoulli cross-entropy with the output as log-odds. Both are summed over an image.
        optimizer: see `Technique`.
        scheduler: see `Technique`.
        scheduler_interval: see `Technique`.
    """

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        latent_dim: int = 32,
        encoder: EncoderFactory | None = None,
        decoder: DecoderFactory | None = None,
        reconstruction: Literal["mse", "bce"] = "mse",
        optimizer: OptimizerFactory | None = None,
        scheduler: SchedulerFactory | None = None,
        scheduler_interval: Literal["epoch", "step"] = "epoch",
    ) -> None:
        super().__init__(optimizer, scheduler, scheduler_interval)
        if latent_dim < 1:
            raise ValueError(f"latent_dim is {latent_dim}: a code needs at least one dimension")
        shape = ImageShape(*image_shape)
        self.encoder = (encoder or MLPEncoder)(shape, latent_dim)
        self.decoder = (decoder or MLPDecoder)(latent_dim, shape)
        self.reconstruction = reconstruction
        # as many components as values reconstruct perfectly: no baseline for an overcomplete code
        self.pca = PCAReconstruction(latent_dim) if latent_dim < shape.numel else None

    def forward(self, image: Tensor) -> Tensor:
        """Reconstruct images, (B, C, H, W) -> (B, C, H, W)."""
        return self.decode(self.embed(image))

    def embed(self, image: Tensor) -> Tensor:
        """Encode images, (B, C, H, W) -> (B, latent_dim)."""
        code: Tensor = self.encoder(image)
        return code

    def decode(self, z: Tensor) -> Tensor:
        """Decode codes, (B, latent_dim) -> (B, C, H, W)."""
        output: Tensor = self.decoder(z)
        return output if self.reconstruction == "mse" else output.sigmoid()

    def reconstruct(self, image: Tensor) -> Tensor:
        """Reconstruct images, clipped to [0, 1]."""
        return self(image).float().clamp(0, 1)  # type: ignore[no-any-return]

    def model_input(self, batch: Images) -> Tensor:
        """What the encoder sees of a batch: its images, (B, C, H, W)."""
        return batch.image

    def reconstruction_loss(self, code: Tensor, target: Tensor) -> Tensor:
        """Error of decoding (B, latent_dim) against (B, C, H, W): summed over an image, mean over the batch."""
        error = squared_error if self.reconstruction == "mse" else binary_cross_entropy
        return error(self.decoder(code), target).mean()

    def loss(self, batch: Images) -> NamedTuple:
        """Reconstruction error of a batch."""
        reconstruction = self.reconstruction_loss(self.embed(self.model_input(batch)), batch.image)
        return AutoencoderTerms(reconstruction, reconstruction)

    def on_test_start(self) -> None:
        """Fit the principal components to the training images."""
        if self.pca is None:
            return
        data = getattr(self.trainer, "datamodule", None)
        if isinstance(data, TrainingImages):
            self.pca.fit(data.training_images())
        else:
            self.pca = None
            warnings.warn("test/pca_mse_ratio needs a DataModule with training_images()", stacklevel=1)

    def test_step(self, batch: Images, batch_idx: int) -> None:
        """Log the loss, and the error per value beside that of principal components."""
        super().test_step(batch, batch_idx)
        image = self.model_input(batch)
        mse = squared_error(self(image), batch.image).mean() / batch.image[0].numel()
        self.log("test/mse", mse, batch_size=len(image), on_epoch=True, sync_dist=True)
        if self.pca is not None:
            self.pca.update(image, batch.image)

    def on_test_epoch_end(self) -> None:
        """Log how the error compares with that of as many principal components."""
        if self.pca is not None:
            pca_mse = self.pca.compute()
            self.log("test/pca_mse", pca_mse)
            self.log("test/pca_mse_ratio", self.trainer.callback_metrics["test/mse"] / pca_mse)
            self.pca.reset()

    def predict_step(self, batch: Any, batch_idx: int) -> dict[str, Tensor]:
        """Codes of a batch, with the labels where known."""
        known = {name: value for name, value in batch._asdict().items() if name in ("label", "index")}
        return {"latent": self.embed(self.model_input(batch)), **known}


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
        optimizer: see `Technique`.
        scheduler: see `Technique`.
        scheduler_interval: see `Technique`.
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
        self.rho = rho
        self.sparsity_weight = sparsity_weight

    def embed(self, image: Tensor) -> Tensor:
        """Activations of the hidden units in (0, 1), (B, C, H, W) -> (B, latent_dim)."""
        return torch.sigmoid(super().embed(image))

    def loss(self, batch: Images) -> NamedTuple:
        """Reconstruction error plus the sparsity penalty on the batch mean over all processes."""
        code = self.embed(self.model_input(batch))
        reconstruction = self.reconstruction_loss(code, batch.image)
        rho_hat = code.float().mean(0)  # (B, D) -> (D,)
        if self.training:  # in evaluation the processes may differ in their number of batches
            rho_hat = self._mean_over_processes(rho_hat)
        sparsity = kl_sparsity(rho_hat, self.rho)
        total = reconstruction + self.sparsity_weight * sparsity
        return SparseTerms(total, reconstruction, sparsity, rho_hat.mean())

    def _mean_over_processes(self, mean: Tensor) -> Tensor:
        gathered = self.all_gather(mean, sync_grads=True)  # (D,), or (processes, D)
        assert isinstance(gathered, Tensor)
        return gathered.view(-1, len(mean)).mean(0)

    def test_step(self, batch: Images, batch_idx: int) -> None:
        """Log also the fraction of activations that are close to zero."""
        super().test_step(batch, batch_idx)
        near_zero = (self.embed(batch.image) < self.rho / 5).float().mean()
        self.log("test/near_zero", near_zero, batch_size=len(batch.image), on_epoch=True, sync_dist=True)


class DenoisingAutoencoder(Autoencoder):
    """Autoencoder that sees a corrupted image and is trained to give back the clean one.

    In evaluation the corruption of an example is fixed, so that models are compared on the same noise.

    Source: Vincent et al., "Extracting and Composing Robust Features with Denoising Autoencoders" (2008).

    Args:
        image_shape: see `Autoencoder`.
        latent_dim: see `Autoencoder`; may exceed the number of pixels.
        corruption: what happens to the input; Gaussian noise of sigma 0.5 if not given.
        encoder: see `Autoencoder`.
        decoder: see `Autoencoder`.
        reconstruction: see `Autoencoder`.
        optimizer: see `Technique`.
        scheduler: see `Technique`.
        scheduler_interval: see `Technique`.
    """

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        latent_dim: int = 128,
        corruption: Corruption | None = None,
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
        self.corruption = corruption or GaussianCorruption()

    def model_input(self, batch: Images) -> Tensor:
        """The corrupted images of a batch, (B, C, H, W)."""
        noisy: Tensor = self.corruption(batch.image, self.noise(batch))
        return noisy

    def corrupt(self, image: Tensor, index: Tensor) -> Tensor:
        """Corrupt images (B, C, H, W) as evaluation does, by their index (B,)."""
        noisy: Tensor = self.corruption(image, KeyedNoise(index))
        return noisy

    def test_step(self, batch: Images, batch_idx: int) -> None:
        """Log also the signal-to-noise ratio and its gain over the corrupted input, in dB."""
        super().test_step(batch, batch_idx)
        noisy = self.model_input(batch)
        cleaned = psnr(self.reconstruct(noisy), batch.image)
        gain = cleaned - psnr(noisy, batch.image)
        quality = {"test/psnr": cleaned.mean(), "test/psnr_gain": gain.mean()}
        self.log_dict(quality, batch_size=len(noisy), on_epoch=True, sync_dist=True)
