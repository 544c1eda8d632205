"""Domain adaptation of two moons by small networks; another technique adds a line to `METHODS`."""

from collections.abc import Iterable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Adam

from datamodules import DomainBatch, DomainPair, PointBatch, TwoMoons, UnlabelledPointBatch
from lit_models import CDAN, DAN, DANN, DRCN, DSN, MCD, DeepCORAL
from lit_models.adaptation import AdaptationTechnique
from networks import MLPDecoder, MLPFeatures, MLPHead

# Of the learning test: smooth features suit what is learned against a discriminator, straight ones the distances.
SMOOTH: dict[str, Any] = {
    "extractor": partial(MLPFeatures, hidden=(64, 16), activation="tanh"),
    "classifier": partial(MLPHead, hidden=()),
    "optimizer": partial(Adam, lr=0.01),
}
# Where the classes are a condition, 16 features or a weight of 1 leave one draw in twelve, of moons and weights, hardly
# adapted; with these the worst of twelve gains 14 points, and of a plain discriminator 17.
WIDE = {**SMOOTH, "extractor": partial(MLPFeatures, hidden=(64, 64), activation="tanh")}
CONDITIONAL = {**WIDE, "weight": 0.5}
STRAIGHT = {**SMOOTH, "extractor": partial(MLPFeatures, hidden=(64, 16)), "optimizer": partial(Adam, lr=0.003)}
METHODS: dict[str, tuple[Any, dict[str, Any]]] = {
    "dann": (DANN, WIDE),
    "dan": (DAN, STRAIGHT),
    "dan_unbiased": (DAN, {**STRAIGHT, "estimator": "unbiased"}),
    "dan_linear": (DAN, {**STRAIGHT, "estimator": "linear"}),
    "deep_coral": (DeepCORAL, {**STRAIGHT, "layers": ["feature"], "weight": 1000.0}),
    "cdan": (CDAN, CONDITIONAL),
    "cdan_e": (CDAN, {**CONDITIONAL, "entropy": True}),
    "cdan_random": (CDAN, {**CONDITIONAL, "entropy": True, "random_features": 64}),
    "dsn": (DSN, {**SMOOTH, "reconstruction": "mse", "decoder": partial(MLPDecoder, hidden=(64,))}),
    "drcn": (
        DRCN,
        {  # a single feature cannot tell the domains apart and reconstruct the target
            **SMOOTH,
            "extractor": partial(MLPFeatures, hidden=(64, 1), activation="tanh"),
            "decoder": partial(MLPDecoder, hidden=(64,)),
        },
    ),
    "mcd": (
        MCD,
        {
            "steps": 2,
            "extractor": partial(MLPFeatures, hidden=(32, 32)),
            "classifier": partial(MLPHead, hidden=(64, 64)),
            "extractor_optimizer": partial(Adam, lr=1e-4, betas=(0.5, 0.999)),
            "classifier_optimizer": partial(Adam, lr=0.04, betas=(0.5, 0.999)),
        },
    ),
}


def two_rates(parameters: Iterable[nn.Parameter]) -> Adam:
    """The optimizers of MCD in one: slow features, of two layers, and a fast head."""
    weights = list(parameters)
    groups = [{"params": weights[:4], "lr": 1e-4}, {"params": weights[4:], "lr": 0.04}]
    return Adam(groups, betas=(0.5, 0.999))


REFERENCE = {"mcd": two_rates}  # how a classifier is trained like a technique, if not by SMOOTH's optimizer
POINTS = TwoMoons(train_size=8).load_training()[0].point
SHIFTED = TwoMoons(train_size=8, rotation=35).load_training()[0].point


def batch(source: Tensor = POINTS, target: Tensor = SHIFTED) -> DomainBatch:
    """Source and target, of which only the source has classes."""
    position = torch.arange(len(source))
    return DomainBatch(PointBatch(source, position % 2, position), UnlabelledPointBatch(target, position))


def build(name: str, **kwargs: Any) -> Any:
    """A random model for the moons, the same one every time."""
    torch.manual_seed(0)
    kind, arguments = METHODS[name]
    return kind((2,), 2, **{**arguments, **kwargs})


def steady(name: str, **kwargs: Any) -> Any:
    """The same with a constant lambda, where it has one: a ramp begins with 0."""
    return build(name, **({"ramp": 0.0} if issubclass(METHODS[name][0], AdaptationTechnique) else {}), **kwargs)


def doubled(name: str, weight: float = 0.75) -> Any:
    """The same in float64."""
    return steady(name, weight=weight).double()


def moons(**kwargs: Any) -> DomainPair:
    """The moons of Ganin et al. (2016), and the same turned by 35 degrees."""
    return DomainPair(source=TwoMoons(), target=TwoMoons(rotation=35.0), **{"batch_size": 64, **kwargs})
