"""A network without its classification layer, and what images need before it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.modules.dropout import _DropoutNd

from networks.freezing import Freezable
from networks.preparation import Preparation


class FeatureCache(NamedTuple):
    """Features of whole parts of the data in their order; None for a part that is not kept.

    Attributes:
        train: (N, D), of the training part.
        val: (M, D), of the validation part.
    """

    train: Tensor | None
    val: Tensor | None


class Head(NamedTuple):
    """Names of the layer that gives the classes, and of the dropout layers that lead to nothing but to it."""

    name: str
    dropout: list[str]


class Backbone(Freezable):
    """Gives the features that a network tells its classes from, of images of the data.

    The classification layer is taken out whatever its name: it is the last layer with weights that an image passes. A
    dropout right before it is taken out with it.

    Args:
        network: which is changed; with a classification layer unless `headless`.
        preparation: what images need before it.
        name: of the network, for errors.
        headless: whether the network gives features already.

    Attributes:
        head_name: of the layer that was taken out; None if there was none.
        out_features: number of features, D.

    Raises:
        ValueError: if the network cannot take such images, or has no classification layer to be recognised.
    """

    def __init__(self, network: nn.Module, preparation: Preparation, name: str, headless: bool = False) -> None:
        super().__init__(network, name)
        self.preparation = preparation
        self.head_name: str | None = None
        if not headless:
            head = find_head(network, preparation, name)
            self.head_name = head.name
            for layer in (head.name, *head.dropout):
                self.network = _without(self.network, layer)
        feature, self._maps = self._look()
        self.out_features = feature.shape[1]
        self.trained_blocks = len(self.blocks)

    @property
    def has_maps(self) -> bool:
        """Whether the features come from maps with a height and a width."""
        return self._maps is not None

    def forward(self, image: Tensor) -> Tensor:
        """Features of images in [0, 1], (B, C, H, W) -> (B, D)."""
        feature: Tensor = self.network(self.preparation(image))
        return feature.flatten(1)

    def feature_maps(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """The last maps with a height and a width, and the features that come from them.

        The maps are part of the graph of the features also where all weights are frozen, so that the gradient of what
        follows can be asked of them.

        Args:
            image: (B, C, H, W) in [0, 1].

        Returns:
            Maps (B, C', H', W') and features (B, D).

        Raises:
            ValueError: if the network has no such maps, as one that works on a sequence of patches.
        """
        if self._maps is None:
            raise ValueError(f"{self.name} has no maps with a height and a width")
        found: list[Tensor] = []

        def keep(module: nn.Module, given: object, output: Tensor) -> Tensor:
            leaf = output if output.requires_grad or not torch.is_grad_enabled() else output.detach().requires_grad_()
            found.append(leaf.clone())  # what follows may work in place, which a leaf does not allow
            return found[-1]

        handle = self.network.get_submodule(self._maps).register_forward_hook(keep)
        try:
            feature = self(image)
        finally:
            handle.remove()
        return found[-1], feature

    @torch.no_grad()
    def _look(self) -> tuple[Tensor, str | None]:
        """Features of an empty image, and the name of the part that gives the last maps of it."""
        _, height, width = self.preparation.shape
        within = {inner for block in self.blocks for module in block.modules for inner in list(module.modules())[1:]}
        maps: list[str | None] = [None]

        def note(name: str, output: object) -> None:
            if self.network.get_submodule(name) in within or not isinstance(output, Tensor) or output.ndim < 3:
                return
            size = output.shape[2:]
            if output.ndim == 3 and output.shape[1] > 1:
                maps.append(None)  # a sequence of patches
            elif output.ndim == 4 and size.numel() > 1:
                # those with the proportions of the image, up to a pixel; others have their channels last
                maps.append(name if abs(size[0] * width - size[1] * height) <= max(height, width) else None)

        with _watched(self.network, note), _in_evaluation(self.network):
            feature: Tensor = self.network(torch.zeros(1, *self.preparation.shape)).flatten(1)
        return feature, maps[-1]


@torch.no_grad()
def find_head(network: nn.Module, preparation: Preparation, name: str) -> Head:
    """Find the layer that gives the classes: the last with weights that an image passes, if it gives the outputs.

    Args:
        network: with a classification layer.
        preparation: tells the shape of the images that the network takes.
        name: of the network, for errors.

    Raises:
        ValueError: if the network cannot take such images, or the last layer is none that classifies.
    """
    passed: list[str] = []

    def note(module: str, output: object) -> None:
        layer = network.get_submodule(module)
        if isinstance(layer, nn.Linear | nn.Conv2d) or not list(layer.children()):
            passed.append(module)

    shape = preparation.shape
    with _watched(network, note), _in_evaluation(network):
        try:
            output = network(torch.zeros(1, *shape))
        except (RuntimeError, ValueError, AssertionError, IndexError) as error:
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise ValueError(
                f"{name} cannot take images of {shape.channels}x{shape.height}x{shape.width} ({reason}): set image_size"
            ) from None
    weighted = [place for place, module in enumerate(passed) if list(network.get_submodule(module).parameters())]
    last = network.get_submodule(passed[weighted[-1]]) if weighted else None
    outputs = output.flatten(1).shape[1] if isinstance(output, Tensor) and output.ndim > 1 else None
    is_linear = isinstance(last, nn.Linear) and last.out_features == outputs
    is_convolution = isinstance(last, nn.Conv2d) and last.kernel_size == (1, 1) and last.out_channels == outputs
    if is_linear or is_convolution:
        return Head(passed[weighted[-1]], _dropout_before(network, passed, weighted[-1]))
    what = "it has no layers" if last is None else f"its last one is {type(last).__name__} {passed[weighted[-1]]!r}"
    given = f"{outputs} values" if outputs else f"a {type(output).__name__}"
    raise ValueError(
        f"{name} has no recognisable classification layer: {what} and it gives {given}; end it in an nn.Linear or a "
        "1x1 nn.Conv2d with one output for each class"
    )


def _dropout_before(network: nn.Module, passed: list[str], place: int) -> list[str]:
    found = []
    for module in reversed(passed[:place]):
        if not isinstance(network.get_submodule(module), _DropoutNd) or passed.count(module) > 1:
            break
        found.append(module)
    return found


def _without(network: nn.Module, name: str) -> nn.Module:
    """The network with nothing in the place of a layer."""
    if not name:
        return nn.Identity()
    parent, _, own = name.rpartition(".")
    setattr(network.get_submodule(parent), own, nn.Identity())
    return network


@contextmanager
def _watched(network: nn.Module, note: Callable[[str, object], None]) -> Iterator[None]:
    """Tells the name and the output of each module that is called."""

    def hook(name: str) -> Callable[[nn.Module, object, object], None]:
        return lambda module, given, output: note(name, output)

    handles = [module.register_forward_hook(hook(name)) for name, module in network.named_modules()]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def _in_evaluation(network: nn.Module) -> Iterator[None]:
    training = {module: module.training for module in network.modules()}
    network.eval()
    try:
        yield
    finally:
        for module, mode in training.items():
            module.training = mode
