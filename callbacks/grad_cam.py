"""Grad-CAM: which places of an image speak for a class."""

import torch
from torch import Tensor


def grad_cam(maps: Tensor, logits: Tensor, classes: Tensor) -> Tensor:
    """Computes Grad-CAM from the last maps of a network.

    The weight of a map is how much the class's logit rises with it, averaged over its places:

        alpha_k = 1/Z sum over places i, j of d logit / d A_kij,    heat_ij = relu(sum over k of alpha_k A_kij)

    Where the logits are a linear layer on the mean of each map, alpha_k is that layer's weight over the number of
    places Z. It is then the class activation mapping of Zhou et al. (2016), over Z.

    Source: Selvaraju et al., "Grad-CAM: Visual Explanations from Deep Networks via Gradient-based Localization" (2017),
    equations 1 and 2.

    Args:
        maps: A, float (B, C, H, W).
        logits: (B, K), those of each image computed from its own maps under autograd; the graph is kept.
        classes: int64 (B,), the class that is asked about.

    Returns:
        float (B, H, W), none negative; 0 where nothing speaks for the class.
    """
    asked = logits.gather(1, classes.unsqueeze(1)).sum()  # no image's logits depend on another's maps
    (slope,) = torch.autograd.grad(asked, maps, retain_graph=True)
    alpha = slope.mean((2, 3), keepdim=True)  # (B, C, 1, 1)
    return (alpha * maps).sum(1).relu().detach()
