from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim import SGD
from torch.utils.data import DataLoader

from datamodules import PythonDocs, SequencePairBatch, TokenBatch
from lit_models import MaskedLanguageModel
from networks import BOS, EOS, PAD, KeyedNoise, MaskedTransformer, TransformerLM
from objectives import token_losses

VOCAB = 9


class Left(nn.Module):
    """Tells each token from its left neighbour; the simplest that has something to learn."""

    def __init__(self, vocab_size: int, context: int | None) -> None:
        super().__init__()
        self.context = context
        self.width = 4
        self.embedding = nn.Embedding(vocab_size + 1, self.width)
        self.output = nn.Linear(self.width, vocab_size)

    def encode(self, token: Tensor) -> Tensor:
        return self.embedding(token.roll(1, 1))  # type: ignore[no-any-return]

    def decode(self, encoded: Tensor) -> Tensor:
        return self.output(encoded)  # type: ignore[no-any-return]

    def forward(self, token: Tensor) -> Tensor:
        return self.decode(self.encode(token))


def batch_of(lengths: list[int], seed: int = 0) -> TokenBatch:
    token = torch.randint(4, VOCAB, (len(lengths), max(lengths)), generator=torch.Generator().manual_seed(seed))
    for row, length in enumerate(lengths):
        token[row, length:] = PAD
    return TokenBatch(token, token, torch.tensor(lengths), torch.arange(len(lengths)), sum(lengths))


def parts_of(batch: TokenBatch, sizes: list[int]) -> list[TokenBatch]:
    parts = torch.arange(len(batch.token)).split(sizes)
    return [TokenBatch(*(field[rows] for field in batch[:4]), tokens=0) for rows in parts]


def loader(batches: list[Any]) -> DataLoader[Any]:
    return DataLoader(batches, batch_size=None)  # type: ignore[arg-type]  # a list is a dataset


def build(**kwargs: Any) -> MaskedLanguageModel:
    torch.manual_seed(0)
    return MaskedLanguageModel(VOCAB, 40, **{"network": Left, "optimizer": partial(SGD, lr=0.5), **kwargs})


def keyed(model: MaskedLanguageModel) -> MaskedLanguageModel:
    """Hides the same tokens of a text in training, so that two trainings can be compared."""
    model.noise = lambda batch: KeyedNoise(batch.index)  # type: ignore[method-assign]
    return model


def test_the_loss_is_that_of_the_chosen_places_alone() -> None:
    model = build(label_smoothing=0.1).eval()
    batch = batch_of([40, 13, 27])
    hidden = model.mask(batch)
    target = torch.zeros_like(batch.token).scatter(1, hidden.place, hidden.target)
    asked = target != PAD
    assert asked.sum(1).tolist() == [6, 2, 4]
    losses = token_losses(model(hidden.token), target, PAD, 0.1)
    terms = model.loss(batch)
    assert terms.nll.item() == pytest.approx(losses.nll.sum().item() / 12)
    assert terms.total.item() == pytest.approx(losses.smoothed.sum().item() / 12)
    right = (model(hidden.token).argmax(-1) == target)[asked].double().mean().item()
    assert terms.token_accuracy.item() == pytest.approx(right)


def test_training_hides_others_each_time_and_evaluation_the_same() -> None:
    model, batch = build(), batch_of([40, 40])
    assert not torch.equal(model.mask(batch).token, model.mask(batch).token)
    model.eval()
    assert torch.equal(model.mask(batch).token, model.mask(batch).token)
    alone = batch._replace(token=batch.token[1:], index=batch.index[1:])
    assert torch.equal(model.mask(alone).token[0], model.mask(batch).token[1])


@pytest.mark.parametrize("sizes", [[1, 1, 1, 1], [3, 1]])
def test_accumulated_batches_make_the_step_of_one_batch(sizes: list[int], make_trainer: Callable[..., Any]) -> None:
    whole = batch_of([7, 40, 20, 33])  # which ask for 1, 6, 3 and 5 tokens
    models = []
    for batches in ([whole], parts_of(whole, sizes)):
        model = keyed(build())
        make_trainer(max_epochs=1, accumulate_grad_batches=len(batches)).fit(model, loader(batches))
        models.append(model.network.state_dict())
    assert not torch.equal(models[0]["output.weight"], build().network.state_dict()["output.weight"])
    torch.testing.assert_close(*models)


def test_evaluated_means_are_over_all_chosen_places(make_trainer: Callable[..., Any]) -> None:
    model, whole = build(), batch_of([7, 40, 20, 33])
    found = make_trainer().validate(model, loader(parts_of(whole, [1, 3])), verbose=False)[0]
    terms = model.eval().loss(whole)
    assert found["val/nll"] == pytest.approx(terms.nll.item())
    assert found["val/perplexity"] == pytest.approx(terms.nll.exp().item())
    assert found["val/token_accuracy"] == pytest.approx(terms.token_accuracy.item())


def test_a_batch_that_asks_nothing_has_no_loss() -> None:
    nothing = batch_of([4, 2])._replace(token=torch.zeros(2, 4, dtype=torch.int64))
    assert [term.item() for term in build().loss(nothing)] == [0, 0, 0]


def test_both_texts_of_a_pair_are_read_one_after_the_other() -> None:
    source = torch.tensor([[4, 5, EOS], [6, EOS, PAD]])
    target = torch.tensor([[BOS, 7, EOS, PAD], [BOS, 8, 4, EOS]])
    model = build(mask_share=0.0, random_share=0.0)
    hidden = model.mask(SequencePairBatch(source, target, torch.arange(2), 5))
    assert hidden.token.tolist() == [[4, 5, EOS, BOS, 7, EOS, PAD], [6, EOS, BOS, 8, 4, EOS, PAD]]


def test_codes_are_of_texts_of_which_nothing_is_hidden() -> None:
    model, batch = build().eval(), batch_of([5, 3])
    found = model.predict_step(batch, 0)
    network = model.network
    assert isinstance(network, Left)
    expected = torch.stack([network.encode(batch.token)[row, :length].mean(0) for row, length in enumerate((5, 3))])
    torch.testing.assert_close(found["latent"], expected)
    assert torch.equal(found["index"], batch.index)


class Scripted(nn.Module):
    """At each place prefers what stands left of it plus one, and is the surer the further right the place is."""

    context, width = None, VOCAB

    def __init__(self, vocab_size: int, context: int | None) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(()))

    def encode(self, token: Tensor) -> Tensor:
        left = token.roll(1, 1).clamp(max=VOCAB - 1)
        wanted = nn.functional.one_hot((left + 1) % VOCAB, VOCAB)
        sure = torch.arange(1.0, token.shape[1] + 1).view(1, -1, 1)
        # the first special token is what it would say, if it might
        return sure * wanted + 100.0 * nn.functional.one_hot(torch.zeros_like(token), VOCAB)

    def decode(self, encoded: Tensor) -> Tensor:
        return encoded

    def forward(self, token: Tensor) -> Tensor:
        return self.decode(self.encode(token))


def test_blanks_are_filled_the_surest_first_beside_those_before() -> None:
    model = build(network=Scripted)
    mask = model.mask_token
    filled, probability = model.fill(torch.tensor([5, mask, 4, 6, mask]))
    assert filled.tolist() == [5, 6, 4, 6, 7]
    assert probability.shape == (2, VOCAB)
    assert probability.argmax(1).tolist() == [6, 7]
    torch.testing.assert_close(probability.sum(1), torch.ones(2))
    assert not probability[:, :4].any()
    assert model.fill(torch.tensor([4, 5]))[1].shape == (0, VOCAB)


def test_blanks_beside_each_other_depend_on_the_order() -> None:
    model = build(network=Scripted)
    mask = model.mask_token
    # the last place is filled first, when its left neighbour, which reads as number 8, is still masked: it says
    # number 0, which is special, and so nothing is preferred; the others follow from what is filled in
    filled, _ = model.fill(torch.tensor([4, mask, 7, mask]))
    assert filled.tolist() == [4, 5, 7, 8]


def test_a_network_learns_to_fill_in_a_text(make_trainer: Callable[..., Any]) -> None:
    data = PythonDocs(context=32, batch_size=32)
    network = partial(MaskedTransformer, dim=32, heads=2, layers=1)
    torch.manual_seed(0)
    model = MaskedLanguageModel(data.vocab_size, data.context, network, optimizer=partial(torch.optim.Adam, lr=1e-2))
    trainer = make_trainer(max_steps=150, limit_val_batches=4)
    trainer.fit(model, data)
    assert trainer.validate(model, data, verbose=False)[0]["val/token_accuracy"] > 0.25  # the commonest makes 0.15


@pytest.mark.parametrize(
    ("arguments", "start"),
    [
        ({"rate": 0.0}, "rate is 0.0:"),
        ({"label_smoothing": 1.0}, "label_smoothing is 1.0:"),
        ({"network": TransformerLM}, "network is TransformerLM, which cannot tell what is masked: choose one with"),
    ],
)
def test_an_impossible_argument_is_one_line(arguments: dict[str, Any], start: str) -> None:
    with pytest.raises(ValueError, match=start) as error:
        build(**arguments)
    assert "\n" not in str(error.value)
