"""The Vision Transformer: an image is a sequence of patches, read by the encoder that also reads text.

Source: Dosovitskiy et al., "An Image is Worth 16x16 Words: Transformers for Image Recognition at Scale" (2021).
"""

from typing import Literal

import torch
from torch import Tensor, nn

from networks.patches import patch_grid, patches
from networks.positions import grid_sinusoids
from networks.shapes import ImageShape
from networks.sizes import check_least
from networks.transformer_layers import BlockOptions, FeedForwardActivation, Norm, TransformerEncoder

Pooling = Literal["class_token", "mean"]
"""What stands for the whole image: a token of its own that attends to all patches, or the mean of the patches."""

PatchPositions = Literal["learned", "sinusoidal"]
"""Where a patch stands: a learned vector for each place, or waves along rows and columns."""

_SMALL = 0.02  # deviation of a class token and of learned positions at the beginning, as in the paper's code


class PatchEncoder(nn.Module):
    """Reads an image as patches, and gives one vector for the whole of it.

    The class token has no position: both would be one learned vector.

    Args:
        image_shape: shape of the images; supplied by the model.
        patch_size: side of a patch in pixels; a divisor of height and width.
        dim: width of the sequence.
        heads: attentions in each layer; a divisor of dim.
        layers: number of blocks.
        feedforward: width of the hidden layer of each block; see `BlockOptions`.
        dropout: share left out in training, of embeddings, attention weights, and what each layer adds.
        drop_path: see `BlockOptions`.
        pooling: what stands for the whole image.
        positions: how the network is told where a patch stands.
        norm: kind of normalisation.
        activation: of the hidden layer of each block.
        norm_first: normalise what a layer reads (pre-norm), rather than the sum that it leaves (post-norm).
        bias: whether linear layers and layer normalisation have one.

    Attributes:
        grid: patches of an image downwards and across, (h, w).
        prefix: number of tokens before those of the patches: 1 with a class token, else 0.
        patch_size: side of a patch in pixels.
        dim: width of the sequence.

    Raises:
        ValueError: if a size, share or name is impossible.
    """

    def __init__(
        self,
        image_shape: ImageShape,
        patch_size: int = 4,
        dim: int = 64,
        heads: int = 4,
        layers: int = 4,
        feedforward: int | None = None,
        dropout: float = 0.0,
        drop_path: float = 0.0,
        pooling: Pooling = "class_token",
        positions: PatchPositions = "learned",
        norm: Norm = "layer",
        activation: FeedForwardActivation = "gelu",
        norm_first: bool = True,
        bias: bool = True,
    ) -> None:
        super().__init__()
        check_least("dim", dim, 1)
        if pooling not in ("class_token", "mean"):
            raise ValueError(f"pooling is {pooling!r}: choose class_token or mean")
        if positions not in ("learned", "sinusoidal"):
            raise ValueError(f"positions is {positions!r}: choose learned or sinusoidal")
        image_shape = ImageShape(*image_shape)
        options = BlockOptions(dim, heads, feedforward, dropout, norm, activation, norm_first, bias, drop_path)
        self.grid = patch_grid(image_shape, patch_size)
        self.prefix = 1 if pooling == "class_token" else 0
        self.patch_size = patch_size
        self.dim = dim
        self.embedding = nn.Linear(image_shape.channels * patch_size**2, dim)
        nn.init.xavier_uniform_(self.embedding.weight)
        nn.init.zeros_(self.embedding.bias)
        self.class_token = nn.Parameter(_SMALL * torch.randn(1, 1, dim)) if self.prefix else None
        self.position: Tensor
        if positions == "learned":
            self.position = nn.Parameter(_SMALL * torch.randn(1, self.grid[0] * self.grid[1], dim))
        else:
            self.register_buffer("position", grid_sinusoids(*self.grid, dim).unsqueeze(0), persistent=False)
        self.dropout = nn.Dropout(dropout)
        self.encoder = TransformerEncoder(options, layers)

    def forward(self, image: Tensor) -> Tensor:
        """One vector for each image, (B, C, H, W) -> (B, dim)."""
        return self._pool(self.tokens(image))

    def tokens(self, image: Tensor, kept: Tensor | None = None) -> Tensor:
        """What becomes of the patches, each in the light of the others.

        Args:
            image: (B, C, H, W).
            kept: int64 (B, n), places of the patches that are read, from 0 in the order of `patches`, each once; all if
                None. What is left out is not seen at all.

        Returns:
            (B, prefix + n, dim), the class token first if there is one, then the patches in the order of `kept`.

        Raises:
            ValueError: if patches do not fill the images.
        """
        y: Tensor = self.encoder(self._embed(image, kept))
        return y

    def feature_maps(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """What the last block reads of each patch, as maps, and the vector of the image, which depends on them.

        What the last block leaves of a patch has no part in a class token any more.

        Args:
            image: (B, C, H, W).

        Returns:
            Maps (B, dim, h, w), and (B, dim).
        """
        x = self._embed(image, None)
        *lower, last = self.encoder.blocks
        for block in lower:
            x, _ = block(x)
        maps = x[:, self.prefix :].transpose(1, 2).reshape(-1, self.dim, *self.grid)  # (B, N, dim) -> (B, dim, h, w)
        x, _ = last(torch.cat((x[:, : self.prefix], maps.flatten(2).transpose(1, 2)), 1))
        return maps, self._pool(self.encoder.norm(x))

    def without_decay(self) -> list[nn.Parameter]:
        """What weight decay leaves alone: the class token, and the positions where they are learned."""
        return [vector for vector in (self.class_token, self.position) if isinstance(vector, nn.Parameter)]

    def _embed(self, image: Tensor, kept: Tensor | None) -> Tensor:
        x = self.embedding(patches(image, self.patch_size)) + self.position
        if kept is not None:
            x = x.gather(1, kept.unsqueeze(2).expand(-1, -1, self.dim))
        if self.class_token is not None:
            x = torch.cat((self.class_token.to(x.dtype).expand(x.shape[0], -1, -1), x), 1)
        dropped: Tensor = self.dropout(x)
        return dropped

    def _pool(self, token: Tensor) -> Tensor:
        return token[:, 0] if self.prefix else token.mean(1)


class VisionTransformer(nn.Module):
    """A `PatchEncoder` and a linear layer that tells the classes.

    Args:
        image_shape: shape of the images; supplied by the model.
        num_classes: number of classes, K; supplied by the model.
        patch_size: see `PatchEncoder`, as all that follow.
        dim: see `PatchEncoder`.
        heads: see `PatchEncoder`.
        layers: see `PatchEncoder`.
        feedforward: see `PatchEncoder`.
        dropout: see `PatchEncoder`.
        drop_path: see `PatchEncoder`.
        pooling: see `PatchEncoder`.
        positions: see `PatchEncoder`.
        norm: see `PatchEncoder`.
        activation: see `PatchEncoder`.
        norm_first: see `PatchEncoder`.
        bias: see `PatchEncoder`.

    Raises:
        ValueError: if a size, share or name is impossible.
    """

    def __init__(
        self,
        image_shape: ImageShape,
        num_classes: int,
        patch_size: int = 4,
        dim: int = 64,
        heads: int = 4,
        layers: int = 4,
        feedforward: int | None = None,
        dropout: float = 0.0,
        drop_path: float = 0.0,
        pooling: Pooling = "class_token",
        positions: PatchPositions = "learned",
        norm: Norm = "layer",
        activation: FeedForwardActivation = "gelu",
        norm_first: bool = True,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.encoder = PatchEncoder(
            image_shape,
            patch_size,
            dim,
            heads,
            layers,
            feedforward,
            dropout,
            drop_path,
            pooling,
            positions,
            norm,
            activation,
            norm_first,
            bias,
        )
        self.head = nn.Linear(dim, num_classes)

    def features(self, image: Tensor) -> Tensor:
        """What the classes are told from, (B, C, H, W) -> (B, dim)."""
        features: Tensor = self.encoder(image)
        return features

    def feature_maps(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Maps (B, dim, h, w) as `PatchEncoder.feature_maps` gives them, and the logits (B, K) that come from them."""
        maps, features = self.encoder.feature_maps(image)
        logits: Tensor = self.head(features)
        return maps, logits

    def forward(self, image: Tensor) -> Tensor:
        """Log-odds of the classes up to a constant, (B, C, H, W) -> (B, K)."""
        logits: Tensor = self.head(self.features(image))
        return logits
