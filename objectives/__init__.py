"""Loss terms: pure functions of tensors, without state and without Lightning."""

from objectives.classification import cross_entropy
from objectives.elbo import free_bits, gaussian_kl, importance_weighted_bound, log_normal
from objectives.kl_sparsity import kl_sparsity
from objectives.reconstruction import binary_cross_entropy, gaussian_nll, psnr, squared_error

__all__ = [
    "binary_cross_entropy",
    "cross_entropy",
    "free_bits",
    "gaussian_kl",
    "gaussian_nll",
    "importance_weighted_bound",
    "kl_sparsity",
    "log_normal",
    "psnr",
    "squared_error",
]
