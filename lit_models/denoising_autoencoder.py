"""The denoising autoencoder."""

from typing import Literal

from torch import Tensor

from lit_models.autoencoder import Autoencoder
from lit_models.base import DecoderFactory, EncoderFactory, Images, OptimizerFactory, SchedulerFactory
from networks import Corruption, GaussianCorruption, KeyedNoise
from objectives import psnr


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
        optimizer: see `SingleLossTechnique`.
        scheduler: see `SingleLossTechnique`.
        scheduler_interval: see `SingleLossTechnique`.
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
        cleaned = psnr(self(noisy), batch.image)
        gain = cleaned - psnr(noisy, batch.image)
        self.log_means({"test/psnr": cleaned.mean(), "test/psnr_gain": gain.mean()}, batch)
