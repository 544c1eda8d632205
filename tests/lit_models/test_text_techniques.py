"""What holds for every technique that learns to say tokens, with either kind of network."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from lightning import LightningDataModule
from torch import Tensor
from torch.optim import SGD, Adam

from datamodules import AssociativeRecall, NumberWords, PythonDocs
from lit_models import LanguageModel, MaskedLanguageModel, Seq2Seq
from networks import (
    EOS,
    PAD,
    MaskedRecurrent,
    MaskedTransformer,
    RecurrentLM,
    RecurrentSeq2Seq,
    TransformerLM,
    TransformerSeq2Seq,
)

NETWORKS: dict[str, tuple[type[Any], Any]] = {
    "transformer language model": (LanguageModel, partial(TransformerLM, dim=32, heads=2, layers=1)),
    "recurrent language model": (LanguageModel, partial(RecurrentLM, dim=32, hidden=32, layers=1)),
    "transformer": (Seq2Seq, partial(TransformerSeq2Seq, dim=32, heads=2, layers=1)),
    "recurrent, Bahdanau": (Seq2Seq, partial(RecurrentSeq2Seq, dim=32, hidden=32)),
    "recurrent, Luong": (Seq2Seq, partial(RecurrentSeq2Seq, dim=32, hidden=32, attention="luong", cell="gru")),
    "transformer, masked": (MaskedLanguageModel, partial(MaskedTransformer, dim=32, heads=2, layers=1)),
    "recurrent, masked": (MaskedLanguageModel, partial(MaskedRecurrent, dim=32, hidden=16, layers=1)),
}
WITHOUT_ATTENTION = ("recurrent language model", "recurrent, masked")
TRANSLATING = [name for name, (technique, _) in NETWORKS.items() if technique is Seq2Seq]


@pytest.fixture(params=NETWORKS)
def kind(request: pytest.FixtureRequest) -> str:
    return request.param  # type: ignore[no-any-return]


def data_of(kind: str, **kwargs: Any) -> Any:
    if "language model" in kind:
        return AssociativeRecall(pairs=2, train_size=640, val_size=100, test_size=100, **kwargs)
    return NumberWords(highest=999, train_size=640, val_size=60, test_size=60, **kwargs)


def build(kind: str, data: Any, **kwargs: Any) -> Any:
    torch.manual_seed(0)
    technique, network = NETWORKS[kind]
    sizes = {"vocab_size": data.vocab_size}
    own = {LanguageModel: lambda: {"context": data.context}, Seq2Seq: lambda: {"beam": 2}}
    sizes |= own.get(technique, dict)()
    return technique(**{**sizes, "network": network, "optimizer": partial(Adam, lr=1e-2), **kwargs})


def first_batch(data: Any) -> Any:
    data.setup("fit")
    return next(iter(data.val_dataloader()))


def test_it_learns(kind: str, make_trainer: Callable[..., Any]) -> None:
    data = data_of(kind)
    model, trainer = build(kind, data), make_trainer(max_epochs=6, gradient_clip_val=1.0)
    before = trainer.validate(model, data, verbose=False)[0]["val/nll"]
    trainer.fit(model, data)
    after = trainer.validate(model, data, verbose=False)[0]["val/nll"]
    assert after < 0.7 * before


def test_evaluation_repeats_itself_and_leaves_the_generator_alone(kind: str, make_trainer: Callable[..., Any]) -> None:
    data = data_of(kind)
    model = build(kind, data)
    first = make_trainer().test(model, data, verbose=False)
    torch.manual_seed(123)
    state = torch.get_rng_state()
    assert make_trainer().test(model, data, verbose=False) == first
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("stage", ["validate", "test"])
def test_scores_do_not_depend_on_the_batch_size(kind: str, stage: str, make_trainer: Callable[..., Any]) -> None:
    model = build(kind, data_of(kind))
    whole, parts = (
        getattr(make_trainer(), stage)(model, data_of(kind, eval_batch_size=size), verbose=False)[0]
        for size in (1000, 7)
    )
    assert whole == {name: pytest.approx(parts[name], rel=1e-4, abs=1e-6) for name in whole}


def test_one_bf16_step_is_close_to_a_float32_step(kind: str, make_trainer: Callable[..., Any]) -> None:
    terms = {}
    for precision in ("32-true", "bf16-mixed"):
        data = data_of(kind)
        model, trainer = build(kind, data), make_trainer(max_steps=1, precision=precision, log_every_n_steps=1)
        trainer.fit(model, data)
        terms[precision] = {k: v.item() for k, v in trainer.callback_metrics.items() if k.startswith("train/")}
        assert all(parameter.dtype == torch.float32 for parameter in model.parameters())
        assert all(parameter.isfinite().all() for parameter in model.parameters())
    assert set(terms["32-true"]) == {"train/total", "train/nll", "train/token_accuracy"}
    assert terms["bf16-mixed"] == {
        name: pytest.approx(value, rel=2e-2, abs=2e-2) for name, value in terms["32-true"].items()
    }


def test_a_loss_needs_no_trainer(kind: str) -> None:
    data = data_of(kind)
    terms = build(kind, data, label_smoothing=0.1).loss(first_batch(data))
    assert all(term.isfinite() and term.shape == () for term in terms)
    assert terms.total != terms.nll


def test_the_optimizer_has_every_parameter_once(kind: str) -> None:
    model = build(kind, data_of(kind), optimizer=partial(SGD, lr=0.1))
    groups = model.configure_optimizers().param_groups
    held = [id(parameter) for group in groups for parameter in group["params"]]
    assert sorted(held) == sorted(id(parameter) for parameter in model.parameters())


def test_attention_is_shown_with_the_tokens_of_its_axes(kind: str) -> None:
    data = data_of(kind)
    model, batch = build(kind, data).eval(), first_batch(data)
    with torch.no_grad():
        maps, axes = model.attention(batch), model.axes(batch)
    assert bool(maps) == (kind not in WITHOUT_ATTENTION)
    for name, weights in maps.items():
        rows, columns = axes[name.partition("/")[0]]
        assert weights.shape[0::2] == rows.shape
        assert weights.shape[3] == columns.shape[1]
        at_padding = weights.masked_fill((columns != PAD)[:, None, None, :], 0.0)
        real = (rows != PAD)[:, None, :, None]
        assert (at_padding * real).abs().max() == 0
        sums = weights.sum(-1)[(rows != PAD)[:, None].expand(weights.shape[:3])]
        torch.testing.assert_close(sums, torch.ones_like(sums))


@pytest.mark.parametrize("kind", TRANSLATING)
class TestTranslation:
    def test_what_is_written_ends(self, kind: str) -> None:
        data = data_of(kind)
        model, batch = build(kind, data, max_tokens=9).eval(), first_batch(data)
        with torch.no_grad():
            written = model.translate(batch.source)
        assert written.shape[0] == len(batch.source)
        assert written.shape[1] <= 9
        for row in written.tolist():
            end = row.index(EOS)
            assert set(row[end + 1 :]) <= {PAD}
            assert PAD not in row[:end]

    def test_scores_are_of_the_test_part_and_not_in_training(self, kind: str, make_trainer: Callable[..., Any]) -> None:
        data = data_of(kind)
        model, trainer = build(kind, data), make_trainer(max_epochs=1)
        trainer.fit(model, data)
        assert not {name for name in trainer.callback_metrics if "bleu" in name}
        trainer.test(model, data, verbose=False)
        found = set(trainer.callback_metrics)
        assert {"test/bleu", "test/bleu_lowercased", "test/chrf", "test/exact_match", "test/perplexity"} <= found
        assert "bleu_signature" in model.measured_with
        trainer.validate(model, data, verbose=False)
        assert "val/exact_match" in trainer.callback_metrics

    def test_predictions_are_text_that_knows_its_place(self, kind: str, make_trainer: Callable[..., Any]) -> None:
        data = data_of(kind)
        (first, *_) = make_trainer().predict(build(kind, data), data)
        assert len(first["hypothesis"]) == len(first["index"])
        assert all(isinstance(text, str) for text in first["hypothesis"])

    def test_data_without_text_are_said_to_be_so(self, kind: str, make_trainer: Callable[..., Any]) -> None:
        data = data_of(kind)
        data.setup("test")
        with pytest.warns(UserWarning, match=r"need a DataModule with decode\(\)"):
            found = make_trainer().test(build(kind, data), data.test_dataloader(), verbose=False)[0]
        assert "test/nll" in found
        assert "test/bleu" not in found


def test_bits_are_those_of_characters_whatever_the_tokens(make_trainer: Callable[..., Any]) -> None:
    data = PythonDocs(level="bpe", merged_vocab=300, context=16)
    kind = "transformer language model"
    model = build(kind, data)
    found = make_trainer(limit_val_batches=3).validate(model, data, verbose=False)[0]
    nats = characters = 0.0
    with torch.no_grad():
        for batch, _ in zip(data.val_dataloader(), range(3), strict=False):
            log_p = model.eval()(batch.token).log_softmax(-1)
            nats -= log_p.gather(-1, batch.target.unsqueeze(-1)).squeeze(-1)[batch.target != PAD].sum().item()
            texts = [data.decode(row[row != PAD]) for row in batch.target]
            characters += sum(map(len, texts))
    # a character of several bytes may be cut by the end of a window, where decoding counts it twice
    assert found["val/bits_per_character"] == pytest.approx(nats / math.log(2) / characters, rel=1e-3)
    assert found["val/bits_per_character"] < found["val/nll"] / math.log(2)


@pytest.mark.parametrize("kind", [name for name in NETWORKS if "language model" in name])
class TestWriting:
    def prompt(self, data: LightningDataModule) -> Tensor:
        return first_batch(data).token[:3, :4]  # type: ignore[no-any-return]

    def test_a_text_goes_on(self, kind: str) -> None:
        data = data_of(kind)
        model, prompt = build(kind, data).eval(), self.prompt(data)
        torch.manual_seed(0)
        one, other = model.write(prompt, 20), model.write(prompt, 20)
        assert one.shape == (3, 24)  # longer than the context of 8
        assert torch.equal(one[:, :4], prompt)
        assert not torch.equal(one, other)
        torch.manual_seed(0)
        assert torch.equal(model.write(prompt, 20), one)

    def test_without_temperature_it_is_always_the_likeliest(self, kind: str) -> None:
        data = data_of(kind)
        model, prompt = build(kind, data).eval(), self.prompt(data)
        with torch.no_grad():
            text = model.write(prompt, 3, temperature=0.0)
            for length in range(4, 7):
                logits = model(text[:, :length])[:, -1]
                chosen = logits.gather(1, text[:, length : length + 1])
                allowed = logits[:, len((PAD, 1, EOS, 3)) :]
                assert (chosen.squeeze(1) >= allowed.max(1).values - 1e-5).all()

    def test_predictions_score_each_sequence(self, kind: str, make_trainer: Callable[..., Any]) -> None:
        data = data_of(kind)
        model = build(kind, data)
        predicted = make_trainer().predict(model, data)
        nll = sum(part["nll"].sum() for part in predicted) / sum(part["tokens"].sum() for part in predicted)
        assert nll == pytest.approx(make_trainer().validate(model, data, verbose=False)[0]["val/nll"], rel=1e-5)


@pytest.mark.parametrize(
    ("make", "start"),
    [
        (lambda: LanguageModel(10, 0), "context is 0:"),
        (lambda: LanguageModel(1, 8), "vocab_size is 1:"),
        (lambda: Seq2Seq(10, beam=0), "beam is 0:"),
        (lambda: Seq2Seq(10, max_tokens=0), "max_tokens is 0:"),
        (lambda: Seq2Seq(10, length_penalty=-1.0), "length_penalty is -1.0:"),
        (lambda: Seq2Seq(10, label_smoothing=1.0), "label_smoothing is 1.0:"),
    ],
)
def test_an_impossible_argument_is_one_clear_line(make: Callable[[], Any], start: str) -> None:
    with pytest.raises(ValueError, match=start) as error:
        make()
    assert "\n" not in str(error.value)
