"""How far back a sequence model reaches: right answers by distance or length, and the size of gradients by distance."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from datamodules.batch import SequencePairBatch, TokenBatch
from datamodules.recall import recall_distance
from lit_models.token_technique import Detokenising
from networks import PAD
from objectives import token_losses

Tally = dict[int, list[int]]  # distance or length to how many were right, and how many there were


def recall_tally(network: Callable[[Tensor], Tensor], batches: Iterable[TokenBatch]) -> Tally:
    """Count right answers by the distance of question and pair.

    Args:
        network: int64 (B, T) to logits (B, T, V) of the next token.
        batches: of `AssociativeRecall`.

    Returns:
        Distance in tokens to the number of right answers and of all.
    """
    tally: Tally = {}
    with torch.no_grad():
        for batch in batches:
            right = network(batch.token).argmax(-1) == batch.target
            asked = batch.target != PAD
            distance = recall_distance(batch.token, batch.target)
            _count(tally, distance[asked], right[asked])
    return tally


def exact_tally(
    translate: Callable[[Tensor], Tensor], data: Detokenising, batches: Iterable[SequencePairBatch]
) -> Tally:
    """Count what is written without any mistake by the length of the source.

    Args:
        translate: int64 (B, S) to what is written, (B, T).
        data: that writes tokens as text.
        batches: of pairs.

    Returns:
        Characters of the source to the number of right ones and of all.
    """
    tally: Tally = {}
    with torch.no_grad():
        for batch in batches:
            written, wanted = map(data.decode, translate(batch.source)), map(data.decode, batch.target)
            right = torch.tensor(list(map(str.__eq__, written, wanted)))
            _count(tally, torch.tensor([len(data.decode(row)) for row in batch.source]), right)
    return tally


def _count(tally: Tally, place: Tensor, right: Tensor) -> None:
    """Add answers, int64 (N,) and bool (N,)."""
    for at in sorted(set(place.tolist())):
        here = right[place == at]
        before = tally.get(at, [0, 0])
        tally[at] = [before[0] + int(here.sum()), before[1] + len(here)]


def gradient_norms(network: nn.Module, batches: Iterable[TokenBatch]) -> list[float]:
    """Measure what each token of a window has to do with the prediction after its last.

    It is the Euclidean norm of the gradient of the last target's negative log-likelihood with respect to the embedding
    of the token k places before the last one, mean over all whole windows, as a multiple of that for k = 0. Parameters
    gather no gradient.

    Source: Pascanu, Mikolov and Bengio, "On the difficulty of training recurrent neural networks" (2013), whose
    temporal components this measures at the input.

    Args:
        network: int64 (B, T) to logits (B, T, V) of the next token; what its module `embedding` gives, (B, T, D), it
            reads.
        batches: of windows of one length T, of which those with PAD among their targets are left out.

    Returns:
        T numbers, for k from 0 on.

    Raises:
        ValueError: if no window is whole.
    """
    embedded: list[Tensor] = []
    embedding = network.get_submodule("embedding")
    sums: list[Tensor] = []
    hook = embedding.register_forward_hook(lambda module, given, made: embedded.append(made))
    try:
        for batch in batches:
            whole = (batch.target != PAD).all(1)
            if whole.any():
                logits = network(batch.token[whole])
                last = token_losses(logits[:, -1:], batch.target[whole, -1:], PAD).nll.sum()
                (gradient,) = torch.autograd.grad(last, embedded.pop())
                sums.append(gradient.norm(dim=-1).double().sum(0).flip(0))
    finally:
        hook.remove()
    if not sums:
        raise ValueError("batches have no whole window: give at least one")
    total = torch.stack(sums).sum(0)
    return [float(value) for value in total / total[0]]


def measured(task: str, model: Any, data: Any) -> dict[str, Any]:
    """What is measured of a trained model beside its test: parameters, and on test data what its task allows.

    Args:
        task: `recall` and `reverse` have a `tally`, `language` has `gradients`.
        model: `LanguageModel` or `Seq2Seq`.
        data: its DataModule, set up for the test.

    Returns:
        Plain values; the keys of a tally are strings, as JSON has them.
    """
    model.eval()
    found: dict[str, Any] = {"parameters": sum(parameter.numel() for parameter in model.parameters())}
    batches = data.test_dataloader()
    if task == "recall":
        found["tally"] = _written(recall_tally(model.network, batches))
    elif task == "reverse":
        found["tally"] = _written(exact_tally(model.translate, data, batches))
    elif task == "language":
        found["gradients"] = gradient_norms(model.network, batches)
    return found


def _written(tally: Tally) -> dict[str, list[int]]:
    return {str(place): tally[place] for place in sorted(tally)}
