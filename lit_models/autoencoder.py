"""The autoencoder, on which the sparse and the denoising one build."""

import warnings
from typing import Any, ClassVar, Literal, NamedTuple

from torch import Tensor

from lit_models.base import (
    DecoderFactory,
    EncoderFactory,
    Images,
    OptimizerFactory,
    PretrainedPart,
    SchedulerFactory,
    TrainingImages,
    label_and_index,
)
from lit_models.single_loss import SingleLossTechnique
from metrics import PCAReconstruction
from networks import ImageShape, Interface, MLPDecoder, MLPEncoder, data_input
from objectives import binary_cross_entropy, squared_error


class AutoencoderTerms(NamedTuple):
    """Terms of the loss, summed over an image and averaged over the batch."""

    total: Tensor
    reconstruction: Tensor


class Autoencoder(SingleLossTechnique):
    """Encoder, bottleneck, decoder, trained to copy its input.

    Source: Hinton and Salakhutdinov, "Reducing the Dimensionality of Data with Neural Networks" (2006).

    Args:
        image_shape: (C, H, W); the CLI takes it from the data.
        latent_dim: width of the bottleneck.
        encoder: makes the encoder from the image shape and the code's width; `MLPEncoder` if not given.
        decoder: makes the decoder from the code's width and the image shape; `MLPDecoder` if not given.
        reconstruction: ``mse``, squared error with the decoder's output as it is, or ``bce``,
            Bernoulli cross-entropy with the output as log-odds. Both are summed over an image.
        optimizer: see `SingleLossTechnique`.
        scheduler: see `SingleLossTechnique`.
        scheduler_interval: see `SingleLossTechnique`.
    """

    pretrained_part: ClassVar[PretrainedPart | None] = PretrainedPart("encoder")

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
        if reconstruction not in ("mse", "bce"):
            raise ValueError(f"reconstruction is {reconstruction!r}: choose mse or bce")
        self.image_shape = shape = ImageShape(*image_shape)
        self.encoder = (encoder or MLPEncoder)(shape, latent_dim)
        self.decoder = (decoder or MLPDecoder)(latent_dim, shape)
        self.reconstruction = reconstruction
        # as many components as values reconstruct perfectly: no baseline for an overcomplete code
        self.pca = PCAReconstruction(latent_dim) if latent_dim < shape.numel else None
        self._has_baseline = False

    def forward(self, image: Tensor) -> Tensor:
        """Reconstruct images, (B, C, H, W) -> (B, C, H, W)."""
        return self.decode(self.embed(image))

    def interface(self) -> Interface:
        """What `forward` takes and gives."""
        meaning = "the image as it is given back, not clipped"
        return Interface((data_input("image", self.image_shape),), "reconstruction", meaning)

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
        data = getattr(self.trainer, "datamodule", None)
        self._has_baseline = self.pca is not None and isinstance(data, TrainingImages)
        if self.pca is not None and isinstance(data, TrainingImages):
            self.pca.fit(data.training_images())
        elif self.pca is not None:
            warnings.warn("test/pca_mse_ratio needs a DataModule with training_images()", stacklevel=1)

    def test_step(self, batch: Images, batch_idx: int) -> None:
        """Log the loss, and the error per value beside that of principal components."""
        super().test_step(batch, batch_idx)
        self._compare_with_pca(batch)

    def _compare_with_pca(self, batch: Images) -> None:
        image = self.model_input(batch)
        mse = squared_error(self(image), batch.image).mean() / batch.image[0].numel()
        self.log_means({"test/mse": mse}, batch)
        if self.pca is not None and self._has_baseline:
            self.pca.update(image, batch.image)

    def on_test_epoch_end(self) -> None:
        """Log how the error compares with that of as many principal components."""
        if self.pca is not None and self._has_baseline:
            pca_mse = self.pca.compute()
            self.log("test/pca_mse", pca_mse)
            self.log("test/pca_mse_ratio", self.trainer.callback_metrics["test/mse"] / pca_mse)
            self.pca.reset()

    def predict_step(self, batch: Any, batch_idx: int) -> dict[str, Tensor]:
        """Codes of a batch, with the labels where known."""
        return {"latent": self.embed(batch.image), **label_and_index(batch)}
