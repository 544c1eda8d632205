"""Decoder of a masked autoencoder: from the encoded patches that were read to the values of all."""

import torch
from torch import Tensor, nn

from networks.positions import grid_sinusoids
from networks.sizes import check_least
from networks.transformer_layers import BlockOptions, TransformerEncoder


class MaskedDecoder(nn.Module):
    """A small transformer over all places of an image, with one learned vector wherever a patch was hidden.

    Source: He et al., "Masked Autoencoders Are Scalable Vision Learners" (2022), section 3, "MAE decoder".

    Args:
        in_features: width of the encoded patches; supplied by the model.
        grid: rows and columns of patches; supplied by the model.
        out_features: number of values of a patch; supplied by the model.
        dim: width, a multiple of 4.
        heads: attentions in each layer; a divisor of dim.
        layers: number of blocks.
        feedforward: width of the hidden layers; 4 dim if None.

    Raises:
        ValueError: if a size is impossible.
    """

    positions: Tensor

    def __init__(
        self,
        in_features: int,
        grid: tuple[int, int],
        out_features: int,
        dim: int = 64,
        heads: int = 4,
        layers: int = 1,
        feedforward: int | None = None,
    ) -> None:
        super().__init__()
        check_least("dim", dim, 4)
        self.embedding = nn.Linear(in_features, dim)
        self.mask_token = nn.Parameter(torch.empty(dim).normal_(std=0.02))
        self.register_buffer("positions", grid_sinusoids(*grid, dim), persistent=False)  # (N, dim)
        self.encoder = TransformerEncoder(BlockOptions(dim, heads, feedforward), layers)
        self.out = nn.Linear(dim, out_features)

    def forward(self, token: Tensor, kept: Tensor) -> Tensor:
        """Values of all patches of an image.

        Args:
            token: (B, P + n, in_features), encoded patches after P tokens that have no place, such as a class token.
            kept: int64 (B, n), places of these patches; none twice.

        Returns:
            (B, N, out_features).
        """
        x: Tensor = self.embedding(token)
        prefix = x.shape[1] - kept.shape[1]
        places = self.mask_token.to(x.dtype).expand(len(x), len(self.positions), -1)
        places = places.scatter(1, kept.unsqueeze(2).expand(-1, -1, x.shape[2]), x[:, prefix:])  # (B, N, dim)
        x = torch.cat((x[:, :prefix], places + self.positions.to(x.dtype)), 1)
        values: Tensor = self.out(self.encoder(x)[:, prefix:])
        return values
