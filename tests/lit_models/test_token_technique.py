"""Each token counts once, however tokens are batched."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim import SGD, AdamW
from torch.utils.data import DataLoader

from datamodules import TokenBatch
from lit_models import InverseSquareRoot, TokenTechnique
from lit_models.parameter_groups import decay_groups
from networks import PAD

VOCABULARY = 9


class Bigram(TokenTechnique):
    """Tells each token from the one before it."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(VOCABULARY, **kwargs)
        self.table = nn.Embedding(VOCABULARY, VOCABULARY)
        self.bias = nn.Parameter(torch.zeros(VOCABULARY))

    def logits_and_targets(self, batch: Any) -> tuple[Tensor, Tensor]:
        return self.table(batch.token) + self.bias, batch.target


def batch_of(lengths: list[int], seed: int = 0) -> TokenBatch:
    """Sequences of these numbers of asked targets, in one batch."""
    generator = torch.Generator().manual_seed(seed)
    token = torch.randint(1, VOCABULARY, (len(lengths), max(lengths)), generator=generator)
    target = torch.randint(1, VOCABULARY, token.shape, generator=generator)
    for row, length in enumerate(lengths):
        target[row, length:] = PAD
    rows = torch.arange(len(lengths))
    return TokenBatch(token, target, torch.tensor(lengths), rows, sum(lengths))


def parts_of(batch: TokenBatch, sizes: list[int]) -> list[TokenBatch]:
    """The same sequences in batches of these sizes."""
    parts = []
    for rows in torch.arange(len(batch.token)).split(sizes):
        tensors = [field[rows] for field in batch[:4]]
        parts.append(TokenBatch(*tensors, tokens=int((tensors[1] != PAD).sum())))
    return parts


def loader(batches: list[TokenBatch]) -> DataLoader[Any]:
    return DataLoader(batches, batch_size=None)  # type: ignore[arg-type]  # a list is a dataset


def bigram(**kwargs: Any) -> Bigram:
    torch.manual_seed(0)
    return Bigram(optimizer=partial(SGD, lr=0.5), **kwargs)


@pytest.mark.parametrize("sizes", [[1, 1, 1, 1], [3, 1], [2, 2]])
@pytest.mark.parametrize("clip", [None, 0.05])
def test_accumulated_batches_make_the_step_of_one_batch(
    sizes: list[int], clip: float | None, make_trainer: Callable[..., Any]
) -> None:
    whole = batch_of([1, 12, 3, 7])
    models = []
    for batches in ([whole], parts_of(whole, sizes)):
        model = bigram(label_smoothing=0.1)
        settings = {"max_epochs": 1, "accumulate_grad_batches": len(batches), "gradient_clip_val": clip}
        make_trainer(**settings).fit(model, loader(batches))
        models.append(model)
    one, other = models
    assert not torch.equal(one.table.weight, bigram().table.weight)
    torch.testing.assert_close(one.table.weight, other.table.weight)
    torch.testing.assert_close(one.bias, other.bias)


def test_a_step_at_the_end_of_an_epoch_has_fewer_batches(make_trainer: Callable[..., Any]) -> None:
    whole = batch_of([1, 12, 3, 7])
    one, other = bigram(), bigram()
    make_trainer(max_epochs=1).fit(one, loader([whole]))
    make_trainer(max_epochs=1, accumulate_grad_batches=5).fit(other, loader(parts_of(whole, [3, 1])))
    torch.testing.assert_close(one.table.weight, other.table.weight)


def test_steps_do_not_remember_the_tokens_of_those_before(make_trainer: Callable[..., Any]) -> None:
    first, second = batch_of([1, 12, 3, 7]), batch_of([2, 2, 9, 5], seed=1)
    one, other = bigram(), bigram()
    make_trainer(max_epochs=1).fit(one, loader([first, second]))
    parts = [*parts_of(first, [2, 2]), *parts_of(second, [3, 1])]
    make_trainer(max_epochs=1, accumulate_grad_batches=2).fit(other, loader(parts))
    torch.testing.assert_close(one.table.weight, other.table.weight)


@pytest.mark.parametrize("sizes", [[4], [1, 3], [1, 1, 1, 1]])
def test_evaluated_means_are_over_tokens(sizes: list[int], make_trainer: Callable[..., Any]) -> None:
    whole = batch_of([1, 12, 3, 7])
    model = bigram(label_smoothing=0.2)
    found = make_trainer().validate(model, loader(parts_of(whole, sizes)), verbose=False)[0]
    log_p = (model.table(whole.token) + model.bias).log_softmax(-1)
    asked = whole.target != PAD
    nll = -log_p.gather(-1, whole.target.unsqueeze(-1)).squeeze(-1)[asked].mean().item()
    assert found["val/nll"] == pytest.approx(nll)
    assert found["val/perplexity"] == pytest.approx(math.exp(nll))
    assert found["val/total"] == pytest.approx(0.8 * nll - 0.2 * log_p.mean(-1)[asked].mean().item())
    right = (log_p.argmax(-1) == whole.target)[asked].float().mean().item()
    assert found["val/token_accuracy"] == pytest.approx(right)


def test_a_batch_that_asks_nothing_has_no_loss() -> None:
    whole = batch_of([4, 2])
    nothing = whole._replace(target=torch.zeros_like(whole.target), tokens=0)
    assert [term.item() for term in bigram().loss(nothing)] == [0, 0, 0]


@pytest.mark.parametrize(
    ("arguments", "start"),
    [({"label_smoothing": 1.0}, "label_smoothing is 1.0:"), ({"label_smoothing": -0.1}, "label_smoothing is -0.1:")],
)
def test_an_impossible_argument_is_one_line(arguments: dict[str, Any], start: str) -> None:
    with pytest.raises(ValueError, match=start):
        Bigram(**arguments)


def test_only_matrices_decay() -> None:
    norm = nn.LayerNorm(4)
    tied = nn.Linear(4, 4)
    network = nn.ModuleDict({"norm": norm, "one": tied, "again": tied})
    frozen = nn.Linear(4, 4).requires_grad_(False)
    network["frozen"] = frozen
    matrices, others = decay_groups(network)
    assert [id(parameter) for parameter in matrices["params"]] == [id(tied.weight)]
    assert {id(p) for p in others["params"]} == {id(p) for p in (norm.weight, norm.bias, tied.bias)}
    groups = AdamW(decay_groups(network), weight_decay=0.3).param_groups
    assert [group["weight_decay"] for group in groups] == [0.3, 0.0]
    assert len(decay_groups(nn.Embedding(3, 2))) == 1


def test_the_optimizer_decays_matrices_only() -> None:
    model = bigram()
    model._make_optimizer = partial(AdamW, weight_decay=0.1)
    matrices, others = model.make_optimizer().param_groups
    assert [id(parameter) for parameter in matrices["params"]] == [id(model.table.weight)]
    assert [id(parameter) for parameter in others["params"]] == [id(model.bias)]
    assert others["weight_decay"] == 0


def test_the_inverse_square_root_by_hand() -> None:
    optimizer = SGD([nn.Parameter(torch.zeros(()))], lr=2.0)
    scheduler = InverseSquareRoot(optimizer, warmup_steps=4)
    scheduler.start(math.inf)  # it needs no end
    rates = []
    for _ in range(16):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    assert rates[:4] == pytest.approx([0.5, 1.0, 1.5, 2.0])
    assert rates[15] == pytest.approx(1.0)  # four times the steps, half the rate
    assert rates[8] == pytest.approx(2.0 * math.sqrt(4 / 9))
    with pytest.raises(ValueError, match="warmup_steps is 0:"):
        InverseSquareRoot(optimizer, warmup_steps=0)
