"""Spectral normalisation of a whole network."""

from torch import nn
from torch.nn.utils.parametrizations import spectral_norm


def spectrally_normalised(network: nn.Module) -> None:
    """Have every linear, convolutional and embedding weight divided by its largest singular value.

    Source: Miyato et al., "Spectral Normalization for Generative Adversarial Networks" (2018).
    """
    for layer in list(network.modules()):
        if isinstance(layer, nn.Linear | nn.Conv2d | nn.Embedding):
            spectral_norm(layer)
