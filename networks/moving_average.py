"""A copy of a network that follows it slowly."""

from copy import deepcopy

import torch
from torch import Tensor, nn


class MovingAverage(nn.Module):
    """Exponential moving average of a network's parameters and of the statistics of its batch normalisation.

    The decay rises from 0.1 as (1 + t) / (10 + t), so that the average soon forgets the untrained network. Other
    buffers are copied. Batch statistics belong to the weights they were seen with, so they are averaged alike.

    Source: Yazici et al., "The Unusual Effectiveness of Averaging in GAN Training" (2019).

    Args:
        network: to follow; it is copied.
        decay: share of the old average at every update, in [0, 1); 0 follows at once.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        super().__init__()
        self.network = deepcopy(network).requires_grad_(False).eval()
        self.decay = decay

    def forward(self, *inputs: Tensor | None) -> Tensor:
        """What the averaged network makes of the inputs."""
        output: Tensor = self.network(*inputs)
        return output

    def train(self, mode: bool = True) -> "MovingAverage":
        """Nothing: the average is always in evaluation mode."""
        return self

    @torch.no_grad()
    def update(self, network: nn.Module, step: int) -> None:
        """Take one step towards the network.

        Args:
            network: as it is now.
            step: number of updates so far, t.
        """
        share = 1 - min(self.decay, (1 + step) / (10 + step))
        averaged: list[Tensor] = list(self.network.parameters())
        followed: list[Tensor] = list(network.parameters())
        buffers = dict(network.named_buffers())
        for name, buffer in self.network.named_buffers():
            if name.endswith(("running_mean", "running_var")):
                averaged.append(buffer)
                followed.append(buffers[name])
            else:
                buffer.copy_(buffers[name])
        torch._foreach_lerp_(averaged, followed, share)
