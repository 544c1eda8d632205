"""A classifier of fully connected layers, whose hidden ones may have been pretrained."""

from collections.abc import Sequence

from torch import Tensor, nn

from networks.stack_layers import StackLayer


class StackNetwork(nn.Module):
    """Hidden layers like the encoders of a stack, and a linear layer to the classes.

    Args:
        layers: whose encoders are copied.
        num_classes: number of classes, K.
        dropout: share of each hidden layer's units that is left out in training.

    Raises:
        ValueError: if the dropout is not in [0, 1).
    """

    def __init__(self, layers: Sequence[StackLayer], num_classes: int, dropout: float = 0.0) -> None:
        super().__init__()
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout is {dropout}: it is the share of units left out, in [0, 1)")
        self.flatten = nn.Flatten()
        self.hidden = nn.ModuleList()
        for layer in layers:
            linear = nn.Linear(layer.encoder.in_features, layer.encoder.out_features)
            self.hidden.append(nn.Sequential(linear, type(layer.activation)(), nn.Dropout(dropout)))
        self.head = nn.Linear(layers[-1].encoder.out_features, num_classes)
        self.take_over(layers)

    def take_over(self, layers: Sequence[StackLayer]) -> None:
        """Copy the encoders' weights."""
        for hidden, layer in zip(self.hidden, layers, strict=True):
            hidden.get_submodule("0").load_state_dict(layer.encoder.state_dict())

    def features(self, image: Tensor) -> Tensor:
        """Codes of the highest hidden layer, (B, C, H, W) -> (B, units)."""
        x: Tensor = self.flatten(image)
        for hidden in self.hidden:
            x = hidden(x)
        return x

    def forward(self, image: Tensor) -> Tensor:
        """Logits of the classes, (B, C, H, W) -> (B, K)."""
        logits: Tensor = self.head(self.features(image))
        return logits
