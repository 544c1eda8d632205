"""The smallest adversarial pair for the digits."""

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from lit_models import GAN
from networks import MLPDiscriminator, MLPGenerator

SHAPE = (1, 8, 8)
NETWORKS: dict[str, Any] = {
    "latent_dim": 4,
    "generator": partial(MLPGenerator, hidden=(16,)),
    "discriminator": partial(MLPDiscriminator, hidden=(16,)),
}


def small(**arguments: Any) -> GAN:
    torch.manual_seed(0)
    return GAN(**{"data_shape": SHAPE, "num_classes": 10, **NETWORKS, **arguments})


def weights(module: nn.Module) -> Tensor:
    return torch.cat([parameter.detach().flatten().clone() for parameter in module.parameters()])
