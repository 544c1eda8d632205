"""The masked autoencoder."""

from collections.abc import Callable
from typing import Any, ClassVar, Literal, NamedTuple

import torch
from torch import Tensor
from torch.optim import Optimizer

from lit_models.base import (
    Images,
    OptimizerFactory,
    PretrainedPart,
    SchedulerFactory,
    label_and_index,
)
from lit_models.parameter_groups import decay_groups
from lit_models.single_loss import SingleLossTechnique
from networks import (
    ImageShape,
    Interface,
    KeyedNoise,
    MaskedDecoder,
    Noise,
    PatchAttention,
    PatchEncoder,
    PatchMask,
    at_places,
    data_input,
    images,
    kept_count,
    patch_attention,
    patches,
    random_mask,
)
from objectives import masked_patch_error, normalised_patches

PatchEncoderFactory = Callable[[ImageShape], PatchEncoder]
MaskedDecoderFactory = Callable[[int, tuple[int, int], int], MaskedDecoder]

GREY = 0.5  # what stands for a hidden pixel: between two of the 256 grey levels, so that no image of theirs has it


class MaskedAutoencoderTerms(NamedTuple):
    """Terms of the loss: squared error of each value of hidden patches, mean over these and over the batch."""

    total: Tensor


class MaskedAutoencoder(SingleLossTechnique):
    """Transformer that reads a few patches of an image and is trained to guess the others.

    The encoder works on the patches that are read, and on nothing in place of the hidden ones, which makes training
    cheap. What it gives of a whole image are the features that another model goes on with. In evaluation the patches
    that are hidden of an example are always the same. Weight decay is that of matrices only.

    Source: He et al., "Masked Autoencoders Are Scalable Vision Learners" (2022).

    Args:
        image_shape: (C, H, W); the CLI takes it from the data.
        encoder: makes the encoder from the image shape; `PatchEncoder` if not given.
        decoder: makes the decoder from the encoder's width, its rows and columns of patches and the number of values
            of a patch; `MaskedDecoder` if not given.
        mask_ratio: share of the patches that are hidden.
        normalise_patches: guess each patch without its mean and divided by its standard deviation.
        optimizer: see `SingleLossTechnique`.
        scheduler: see `SingleLossTechnique`.
        scheduler_interval: see `SingleLossTechnique`.

    Raises:
        ValueError: if an argument is impossible.
    """

    pretrained_part: ClassVar[PretrainedPart | None] = PretrainedPart("encoder", headless=True)

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        encoder: PatchEncoderFactory | None = None,
        decoder: MaskedDecoderFactory | None = None,
        mask_ratio: float = 0.75,
        normalise_patches: bool = False,
        optimizer: OptimizerFactory | None = None,
        scheduler: SchedulerFactory | None = None,
        scheduler_interval: Literal["epoch", "step"] = "epoch",
    ) -> None:
        super().__init__(optimizer, scheduler, scheduler_interval)
        self.shape = ImageShape(*image_shape)
        self.encoder = (encoder or PatchEncoder)(self.shape)
        rows, columns = self.encoder.grid
        self.patches = rows * columns
        self.patch_size = self.shape.height // rows
        self.kept = kept_count(self.patches, mask_ratio)
        values = self.shape.numel // self.patches
        self.decoder = (decoder or MaskedDecoder)(self.encoder.dim, (rows, columns), values)
        self.normalise_patches = normalise_patches

    def forward(self, image: Tensor) -> Tensor:
        """Features of whole images, (B, C, H, W) -> (B, dim)."""
        feature: Tensor = self.encoder(image)
        return feature

    def interface(self) -> Interface:
        """What `forward` takes and gives."""
        return Interface((data_input("image", self.shape),), "features", "features of the whole image")

    def embed(self, image: Tensor) -> Tensor:
        """The same; what pictures and `predict` ask for."""
        feature: Tensor = self(image)
        return feature

    def mask(self, noise: Noise) -> PatchMask:
        """Draw which patches of each image are read."""
        return random_mask(noise, self.patches, self.kept)

    def guess(self, image: Tensor, kept: Tensor) -> Tensor:
        """What the model makes of all patches from some.

        Args:
            image: (B, C, H, W).
            kept: int64 (B, n), places of the patches that are read.

        Returns:
            (B, N, values), on the scale of `target`.
        """
        values: Tensor = self.decoder(self.encoder.tokens(image, kept), kept)
        return values

    def target(self, image: Tensor) -> Tensor:
        """What is to be guessed of images, (B, C, H, W) -> (B, N, values)."""
        patch = patches(image, self.patch_size)
        return normalised_patches(patch) if self.normalise_patches else patch

    def loss(self, batch: Images) -> MaskedAutoencoderTerms:
        """Error of the hidden patches of a batch."""
        mask = self.mask(self.noise(batch))
        guess = self.guess(batch.image, mask.kept)
        return MaskedAutoencoderTerms(masked_patch_error(guess, self.target(batch.image), mask.hidden).mean())

    def test_step(self, batch: Images, batch_idx: int) -> None:
        """Log the loss, and beside it that of guessing the mean of the patches which are read for each hidden one."""
        super().test_step(batch, batch_idx)
        mask, target = self.mask(self.noise(batch)), self.target(batch.image)
        mean = at_places(target, mask.kept).mean(1, keepdim=True)
        self.log_means({"test/mean_patch": masked_patch_error(mean, target, mask.hidden).mean()}, batch)

    def on_test_epoch_end(self) -> None:
        """Log the share of that error which is left."""
        of_mean, total = (self.trainer.callback_metrics[f"test/{name}"] for name in ("mean_patch", "total"))
        self.log("test/mean_patch_ratio", total / of_mean)

    def corrupt(self, image: Tensor, index: Tensor) -> Tensor:
        """Hide patches of images (B, C, H, W) under grey as evaluation does, by their index (B,)."""
        patch = patches(image, self.patch_size)
        hidden = self.mask(KeyedNoise(index)).hidden.unsqueeze(2).expand(-1, -1, patch.shape[2])
        return images(patch.scatter(1, hidden, GREY), self.shape, self.patch_size)

    def reconstruct(self, image: Tensor) -> Tensor:
        """Fill in the patches that `corrupt` has left grey; all others stay as they are.

        So does an image that is grey all over, as nothing is known of it. Values that were normalised by patch are
        brought to the mean and the deviation of what is seen of the image.

        Args:
            image: (B, C, H, W); the number of grey patches may differ from image to image.

        Returns:
            float32 (B, C, H, W) in [0, 1].
        """
        patch = patches(image, self.patch_size)
        grey = (patch == GREY).all(2)  # (B, N)
        order, count = grey.int().argsort(dim=1, stable=True), (~grey).sum(1)  # those that are seen come first
        filled = patch.float().clone()
        for kept in sorted(set(count[(count > 0) & (count < self.patches)].tolist())):
            of = (count == kept).nonzero().squeeze(1)
            place = order[of, :kept]
            guess = self.guess(image[of], place).float()
            if self.normalise_patches:
                seen = at_places(patch[of], place)
                guess = guess * seen.std((1, 2), keepdim=True) + seen.mean((1, 2), keepdim=True)
            filled[of] = torch.where(grey[of].unsqueeze(2), guess, filled[of])
        return images(filled, self.shape, self.patch_size).clamp(0, 1)

    def patch_attention(self, image: Tensor) -> PatchAttention | None:
        """What the patches of whole images (B, C, H, W) attend to in the encoder."""
        return patch_attention(self.encoder, image)

    def predict_step(self, batch: Any, batch_idx: int) -> dict[str, Tensor]:
        """Features of a batch, with the labels where known."""
        return {"latent": self(batch.image), **label_and_index(batch)}

    def make_optimizer(self) -> Optimizer:
        """Build the optimizer from its factory."""
        groups: list[Any] = decay_groups(self)
        return self._make_optimizer(groups)
