"""What is told from features: the class, or the domain."""

from collections.abc import Sequence

from torch import nn

from networks.mlp import checked_widths, hidden_layers


class MLPHead(nn.Sequential):
    """Hidden layers with a ReLU each, then one linear layer to the logits.

    Class head and, with one output, domain discriminator alike. By default the fully connected part for MNIST of Ganin
    et al., "Domain-Adversarial Training of Neural Networks" (2016), figure 4a.

    Args:
        in_features: number of features; supplied by the model.
        out_features: number of logits; supplied by the model.
        hidden: widths of the hidden layers from the features outwards; empty for a linear head.
        dropout: share of each hidden layer that is left out in training.
        batch_norm: normalise before each ReLU.

    Raises:
        ValueError: if a width is below 1, the dropout is not in [0, 1), or there is no hidden layer for a setting.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        hidden: Sequence[int] = (100, 100),
        dropout: float = 0.0,
        batch_norm: bool = False,
    ) -> None:
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout is {dropout}: it is the share of units left out, in [0, 1)")
        if not hidden and (dropout or batch_norm):
            setting = f"dropout is {dropout}" if dropout else "batch_norm is True"
            raise ValueError(f"{setting}: it acts on hidden layers, and hidden is []")
        widths = [in_features, *checked_widths(hidden)]
        super().__init__(
            *hidden_layers(widths, "relu", batch_norm, dropout),
            nn.Linear(widths[-1], out_features),
        )


def domain_discriminator(in_features: int, out_features: int) -> nn.Module:
    """Domain discriminator of the same figure: one hidden layer of 100 units, then the logits."""
    return MLPHead(in_features, out_features, hidden=(100,))
