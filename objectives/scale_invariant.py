"""A reconstruction error that leaves the brightness of an image open."""

from torch import Tensor

from objectives.precision import full_precision


@full_precision
def scale_invariant_error(reconstruction: Tensor, x: Tensor) -> Tensor:
    """|e|^2 / k - (sum of e)^2 / k^2 with e = reconstruction - x: the variance of the error over an example's k values.

    A reconstruction that is off by one number everywhere costs nothing, so what counts are differences within the
    example. Data whose mean matters, like points of a few dimensions, are not told by it.

    Source: Bousmalis et al., "Domain Separation Networks" (2016), eq. 4, after Eigen et al., "Depth Map Prediction from
    a Single Image using a Multi-Scale Deep Network" (2014), eq. 4.

    Args:
        reconstruction: (B, *).
        x: of the same shape.

    Returns:
        (B,).
    """
    return (reconstruction - x).flatten(1).var(1, correction=0)
