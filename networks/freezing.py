"""A network of which the lower part can be frozen."""

from typing import Self

from torch import nn

from networks.blocks import Block, blocks_of


class Freezable(nn.Module):
    """Holds a network, and trains its highest blocks only.

    Args:
        network: that is held.
        name: of the network, for errors.

    Attributes:
        trained_blocks: how many of the highest blocks train; all if nothing was said.
    """

    def __init__(self, network: nn.Module, name: str) -> None:
        super().__init__()
        self.network = network
        self.name = name
        self.trained_blocks = len(self.blocks)

    @property
    def blocks(self) -> list[Block]:
        """Parts of the network that can be frozen, from the input upwards."""
        return blocks_of(self.network)

    def train_blocks(self, n: int) -> None:
        """Let the highest n blocks train. All below is frozen, and stays in evaluation mode.

        Raises:
            ValueError: if there are not so many.
        """
        blocks = self.blocks
        if not 0 <= n <= len(blocks):
            raise ValueError(f"blocks is {n}: {self.name} has {len(blocks)}, choose one in [0, {len(blocks)}]")
        self.trained_blocks = n
        for place, block in enumerate(blocks):
            for parameter in block.parameters:
                parameter.requires_grad_(place >= len(blocks) - n)
                parameter.grad = parameter.grad if parameter.requires_grad else None
        self.train()

    def train(self, mode: bool = True) -> Self:
        """Switch what is not frozen to training mode, or everything to evaluation mode."""
        blocks = self.blocks
        frozen = blocks[: len(blocks) - self.trained_blocks]
        super().train(mode and len(frozen) < max(len(blocks), 1))
        for block in frozen:
            for module in block.modules:
                module.eval()
        return self
