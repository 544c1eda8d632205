"""What is drawn of attention, of which example, and when."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from drawn import trainer_in
from matplotlib.image import imread
from small_text import Letters, Mirror, Writer
from torch import Tensor

from callbacks import AttentionPictures, attention_pictures, callbacks_of_every_run
from callbacks.attention_drawing import BETWEEN, attention_grid, printable, shades
from callbacks.drawing import save_png
from datamodules.batch import SequencePairBatch
from networks import rollout

ALL = ["attention_encoder.png", "attention_decoder.png", "attention_cross.png"]


class Drawn(NamedTuple):
    """What was asked to be drawn."""

    weights: dict[str, Tensor]
    rows: list[str]
    columns: list[str]
    title: str
    axis_names: tuple[str, str]


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Drawn]:
    asked = []
    monkeypatch.setattr(
        attention_pictures, "attention_grid", lambda *what: (asked.append(Drawn(*what)), attention_grid(*what))[1]
    )
    return asked


def test_there_is_a_picture_of_each_kind(tmp_path: Path) -> None:
    pictures = AttentionPictures()
    trainer = trainer_in(tmp_path, pictures)
    trainer.fit(Mirror(), Letters())
    assert [path.name for path in pictures.paths] == ALL
    trainer.test(Mirror(), Letters(), verbose=False)
    assert sorted(path.name for path in (tmp_path / "media").iterdir()) == sorted(
        [*ALL, *(f"test_{name}" for name in ALL)]
    )


def test_it_is_of_the_first_example_without_its_padding(drawn: list[Drawn], tmp_path: Path) -> None:
    model, data = Mirror(), Letters()
    trainer_in(tmp_path, AttentionPictures()).validate(model, data, verbose=False)
    assert [what.title for what in drawn] == ["Encoder attention", "Decoder attention", "Cross attention"]
    assert [what.axis_names for what in drawn[1:]] == [("queries", "keys"), ("queries: target", "keys: source")]
    encoder, _, cross = drawn
    # of "ab", which is neither first nor alone in its batch
    assert (cross.rows, cross.columns) == (["<bos>", "a", "b", "<eos>"], ["a", "b", "<eos>"])
    alone = model.eval().attention(data.batch([0]))
    assert list(cross.weights) == ["layer 1", "layer 2"]
    for layer, weights in cross.weights.items():
        assert weights.shape == (2, 4, 3)
        torch.testing.assert_close(weights[:, :3], alone[f"cross/{layer}"][0], atol=1e-6, rtol=0)
    # through both layers, in which padding takes no part
    assert list(encoder.weights) == ["layer 1", "layer 2", "rollout"]
    through = rollout([alone["encoder/layer 1"], alone["encoder/layer 2"]])
    torch.testing.assert_close(encoder.weights["rollout"], through, atol=1e-6, rtol=0)


def test_long_sequences_are_cut(drawn: list[Drawn], tmp_path: Path) -> None:
    class Long(Mirror):
        def attention(self, batch: SequencePairBatch) -> dict[str, Tensor]:
            return {"decoder/layer 1": torch.arange(50.0 * 70).view(1, 1, 50, 70) / 5000}

        def axes(self, batch: SequencePairBatch) -> dict[str, tuple[Tensor, Tensor]]:
            left_padded = torch.cat([torch.zeros(1, 10, dtype=torch.int64), torch.full((1, 60), 4)], dim=1)
            return {"decoder": (torch.full((1, 50), 5), left_padded)}

    trainer_in(tmp_path, AttentionPictures()).test(Long(), Letters(), verbose=False)
    ((weights, rows, columns, title, _),) = drawn
    assert (rows, columns) == (40 * ["a"], 40 * [" "])
    torch.testing.assert_close(weights["layer 1"][0], torch.arange(50.0 * 70).view(50, 70)[:40, 10:50] / 5000)
    assert title == "Decoder attention: the first 40 of 60 tokens"


def test_data_without_names_show_numbers(drawn: list[Drawn], tmp_path: Path) -> None:
    trainer_in(tmp_path, AttentionPictures()).test(Mirror(), Letters().test_dataloader(), verbose=False)
    assert drawn[0].rows == ["5", "6", "2"]


def test_training_draws_once_at_its_end(tmp_path: Path) -> None:
    batches: list[int] = []

    class Look(AttentionPictures):
        def _draw(self, trainer: Any, model: Any, prefix: str = "") -> None:
            batches.append(trainer.fit_loop.epoch_loop.total_batch_idx + 1)

    trainer_in(tmp_path, Look(), max_epochs=3).fit(Mirror(), Letters())
    assert batches == [9]


def test_drawing_leaves_no_trace_in_training(tmp_path: Path) -> None:
    class Random(Mirror):
        def attention(self, batch: SequencePairBatch) -> dict[str, Tensor]:
            torch.rand(3)
            return super().attention(batch)

    ends = []
    for pictures in (AttentionPictures(), None):
        torch.manual_seed(0)
        model = Random().train()
        trainer_in(tmp_path, pictures).fit(model, Letters())  # type: ignore[arg-type]
        ends.append((torch.get_rng_state(), model.training))
    assert torch.equal(ends[0][0], ends[1][0])
    assert ends[0][1] == ends[1][1]


@pytest.mark.parametrize("model", [Writer, type("Blind", (Mirror,), {"attention": lambda self, batch: {}})])
def test_models_without_attention_get_none(model: type, tmp_path: Path) -> None:
    pictures = AttentionPictures()
    trainer_in(tmp_path, pictures).test(model(), Letters(), verbose=False)
    assert pictures.paths == []


def test_every_run_has_it() -> None:
    found = callbacks_of_every_run(None, {}, [], None)  # type: ignore[arg-type]
    assert any(isinstance(callback, AttentionPictures) for callback in found)


@pytest.mark.parametrize(("name", "shown"), [(" a", "\N{OPEN BOX}a"), ("\n", "↵"), ("x日", "x□"), ("$é$", "$é$")])
def test_names_can_be_drawn(name: str, shown: str) -> None:
    assert printable(name) == shown


def test_shades_are_those_of_the_weights() -> None:
    colors = shades(np.array([[0.0, 0.01, 0.25, 1.0]]))[0].astype(int)
    assert colors[0].tolist() == [255, 255, 255]
    assert (np.diff(colors.sum(axis=1)) < -20).all()


def test_each_weight_has_its_place(tmp_path: Path) -> None:
    weights = {"layer 1": torch.zeros(2, 3, 4), "layer 2": torch.zeros(2, 3, 4)}
    weights["layer 2"][1, 2, 1] = 1
    save_png(attention_grid(weights, list("abc"), list("ABCD"), "Title", ("q", "k")), tmp_path / "figure.png")
    picture = (imread(tmp_path / "figure.png")[..., :3] * 255).round().astype(int)
    down, across = (picture == shades(np.ones((1, 1)))[0, 0]).all(axis=-1).nonzero()
    in_bar = across > across.min() + 3 * 22  # the bar is the only other place of that colour
    down, across = down[~in_bar], across[~in_bar]
    assert (np.ptp(down) + 1, np.ptp(across) + 1) == (22, 22)
    top, left = down.min() - 2 * 22 - (3 * 22 + BETWEEN), across.min() - 22 - (4 * 22 + BETWEEN)
    for row in (0, 1):
        for column in (0, 1):  # frames of the maps
            y, x = top + row * (3 * 22 + BETWEEN), left + column * (4 * 22 + BETWEEN)
            assert (picture[y, x : x + 4 * 22] == 190).all()
            assert (picture[y + 1 : y + 65, x + 1] == 255).all()


@pytest.mark.parametrize(("layers", "heads", "rows", "columns"), [(1, 1, 1, 1), (2, 3, 2, 9), (12, 16, 40, 40)])
@pytest.mark.filterwarnings("error")
def test_figures_of_any_size_are_drawn(layers: int, heads: int, rows: int, columns: int, tmp_path: Path) -> None:
    weights = {f"layer {layer}": torch.rand(heads, rows, columns) for layer in range(layers)}
    figure = attention_grid(weights, rows * ["$_{x$"], columns * ["\N{SNOWMAN}\n日"], "Attention", ("queries", "keys"))
    save_png(figure, tmp_path / "figure.png")
    assert max(figure.get_size_inches() * figure.dpi) < 3300
    labelled = sum("\N{SNOWMAN}" in text.get_text() for text in figure.texts)
    assert labelled == (0 if layers == 12 else heads * columns)


def test_layers_may_have_fewer_heads(tmp_path: Path) -> None:
    weights = {"layer 1": torch.rand(2, 3, 3), "layer 2": torch.rand(1, 3, 3)}
    figure = attention_grid(weights, list("abc"), list("abc"), "Title", ("queries", "keys"))
    save_png(figure, tmp_path / "figure.png")
    assert len(figure.images) == 3 + 1  # and the bar
