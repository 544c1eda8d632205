"""Sequences and networks in which everything that could matter does."""

from typing import Any

import torch
from torch import Tensor, nn

from networks.tokens import EOS, PAD

VOCAB = 11
TRANSFORMERS = [
    {"positions": "rotary"},
    {"positions": "learned", "norm": "rms", "activation": "swiglu", "bias": False},
    {"positions": "sinusoidal", "norm_first": False, "activation": "relu", "tied": False},
    {"positions": "rotary", "norm": "rms", "norm_first": False},
]
RECURRENT = [
    {"attention": "bahdanau", "cell": "lstm", "layers": 2},
    {"attention": "bahdanau", "cell": "gru", "tied": False},
    {"attention": "luong", "cell": "gru", "layers": 2, "bidirectional": False},
    {"attention": "luong", "cell": "lstm"},
    {"attention": "none", "cell": "lstm", "layers": 2},
]


def spread(network: nn.Module) -> Any:
    """In evaluation, in double precision, and with weights large enough that everything matters."""
    torch.manual_seed(1)
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.4)
    return network.double().eval()


def tokens(*shape: int, seed: int = 0) -> Tensor:
    """Random ones, none of them special."""
    return torch.randint(4, VOCAB, shape, generator=torch.Generator().manual_seed(seed))


def sources() -> Tensor:
    """Three of unequal lengths."""
    source = tokens(3, 7)
    for row, length in enumerate((7, 4, 2)):
        source[row, length - 1] = EOS
        source[row, length:] = PAD
    return source
