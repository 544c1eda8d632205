"""Loss terms: pure functions of tensors, without state and without Lightning."""

from objectives.adversarial import GAMES, AdversarialLoss, Game, gradient_penalty, r1_penalty
from objectives.classification import accuracy, cross_entropy, mixed_cross_entropy
from objectives.coral import coral
from objectives.difference import difference
from objectives.discrepancy import discrepancy
from objectives.elbo import free_bits, gaussian_kl, importance_weighted_bound, log_normal
from objectives.entropy import conditional_entropy
from objectives.kl_sparsity import kl_sparsity
from objectives.masked_patches import masked_patch_error, normalised_patches
from objectives.mmd import BANDWIDTHS, Estimator, mmd
from objectives.reconstruction import binary_cross_entropy, gaussian_nll, psnr, squared_error
from objectives.scale_invariant import scale_invariant_error
from objectives.token_likelihood import TokenLosses, token_losses

__all__ = [
    "BANDWIDTHS",
    "GAMES",
    "AdversarialLoss",
    "Estimator",
    "Game",
    "TokenLosses",
    "accuracy",
    "binary_cross_entropy",
    "conditional_entropy",
    "coral",
    "cross_entropy",
    "difference",
    "discrepancy",
    "free_bits",
    "gaussian_kl",
    "gaussian_nll",
    "gradient_penalty",
    "importance_weighted_bound",
    "kl_sparsity",
    "log_normal",
    "masked_patch_error",
    "mixed_cross_entropy",
    "mmd",
    "normalised_patches",
    "psnr",
    "r1_penalty",
    "scale_invariant_error",
    "squared_error",
    "token_losses",
]
