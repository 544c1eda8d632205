"""The parts of a network that are frozen and trained one by one, in order from the image upwards."""

from collections.abc import Iterator
from typing import NamedTuple

from torch import nn
from torch.nn.modules.batchnorm import _NormBase

_NORMALISATIONS = (_NormBase, nn.LayerNorm, nn.GroupNorm, nn.LocalResponseNorm, nn.RMSNorm)


class Block(NamedTuple):
    """A part of a network. No parameter is in two blocks of one network.

    Attributes:
        name: of its first module in the network.
        modules: those that belong to it, each with all that is in it.
        parameters: of these modules, and those that a module around them has itself.
    """

    name: str
    modules: list[nn.Module]
    parameters: list[nn.Parameter]


def blocks_of(network: nn.Module) -> list[Block]:
    """Divide a network into blocks that each can be frozen, in the order in which it lists its modules.

    The network itself is taken apart, and each `nn.Sequential` and `nn.ModuleList` in it, and each module that holds
    more than half of all parameters in more than one part. What is not taken apart is a block: a layer, a residual
    block, a transformer layer. A normalisation, and a module without parameters, belongs to the block before it.
    Parameters that a module taken apart has itself, such as a class token, belong to the first block.
    """
    half = _size(network) / 2
    blocks: list[Block] = []
    loose = list(network.parameters(recurse=False))
    before: list[nn.Module] = []
    taken: set[int] = set()
    for name, module, owned in _parts(network, "", half):
        loose += owned
        if module is None:
            continue
        new = [parameter for parameter in module.parameters() if id(parameter) not in taken]
        taken |= {id(parameter) for parameter in new}
        if blocks and (not new or _is_normalisation(module)):
            blocks[-1].modules.append(module)
            blocks[-1].parameters.extend(new)
        elif new:
            blocks.append(Block(name, [*before, module], new))
            before = []
        else:
            before.append(module)
    loose = [parameter for parameter in dict.fromkeys(loose) if id(parameter) not in taken]
    if loose and blocks:
        blocks[0].parameters.extend(loose)
    elif loose:
        blocks.append(Block("", [network], loose))
    return blocks


def _parts(module: nn.Module, name: str, half: float) -> Iterator[tuple[str, nn.Module | None, list[nn.Parameter]]]:
    """Modules that are not taken apart, and the parameters of those that are."""
    for own, child in module.named_children():
        full = f"{name}.{own}" if name else own
        if _is_taken_apart(child, half):
            yield full, None, list(child.parameters(recurse=False))
            yield from _parts(child, full, half)
        else:
            yield full, child, []


def _is_taken_apart(module: nn.Module, half: float) -> bool:
    if type(module) in (nn.Sequential, nn.ModuleList):
        return True
    with_parameters = [child for child in module.children() if _size(child)]
    own = list(module.parameters(recurse=False))
    # one part and nothing beside it is a wrapper
    return _size(module) > half and (len(with_parameters) > 1 or (len(with_parameters) == 1 and not own))


def _is_normalisation(module: nn.Module) -> bool:
    return isinstance(module, _NORMALISATIONS) and not list(module.children())


def _size(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())
