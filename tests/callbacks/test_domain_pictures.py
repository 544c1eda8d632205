"""When pictures of two domains are drawn, from what, and that they leave no trace."""

import copy
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from adapting import Blobs, SourceModel, trainer_in
from matplotlib.figure import Figure
from torch import Tensor

from callbacks import Checkpoint, DomainPictures, Resumption, domain_pictures
from callbacks.domain_pictures import in_the_plane, principal_components


class Quick(DomainPictures):
    """Keeps the figures."""

    def __init__(self) -> None:
        super().__init__()
        self.figures: dict[str, Figure] = {}

    def _publish(self, trainer: Any, name: str, figure: Figure) -> None:
        self.figures[name] = figure


def panels(figure: Figure) -> list[str]:
    return [axes.get_title() for axes in figure.axes]


def before(folder: Path) -> dict[str, Any]:
    with np.load(folder / "domains_before.npz") as file:
        return dict(file)


def test_points_get_all_pictures_and_images_those_of_features(tmp_path: Path) -> None:
    for images in (False, True):
        pictures = DomainPictures()
        folder, model, data = tmp_path / str(images), SourceModel(6 if images else 2), Blobs(20, images)
        trainer = trainer_in(folder, pictures, max_epochs=1)
        trainer.fit(model, data)
        drawn = ["domains.png"] if images else ["domains.png", "boundary.png"]
        assert [path.name for path in pictures.paths] == drawn
        trainer.test(model, data, verbose=False)
        drawn += ["test_domains.png", *([] if images else ["test_boundary.png"]), "test_confusion.png"]
        assert [path.name for path in pictures.paths] == drawn
        assert sorted(pictures.paths) == sorted((folder / "media").iterdir())
        assert model.modes == (set() if images else {False})


def test_training_shows_the_first_validation_and_the_last_without_the_targets_classes(tmp_path: Path) -> None:
    pictures = Quick()
    trainer_in(tmp_path, pictures, num_sanity_val_steps=1).fit(SourceModel(), Blobs())
    moments = ["first validation, after 3 training batches", "after 9 training batches"]
    assert panels(pictures.figures["domains"]) == panels(pictures.figures["boundary"]) == moments
    then, now = (axes.images[0].get_array() for axes in pictures.figures["boundary"].axes)
    assert not np.array_equal(then, now)
    legend = [text.get_text() for text in pictures.figures["boundary"].legends[0].get_texts()]
    assert legend == ["source", "target, class unknown", "red", "green", "blue"]


def test_a_run_that_goes_on_shows_its_own_beginning(tmp_path: Path) -> None:
    def fit(epochs: int, ckpt: Path | None = None) -> Quick:
        torch.manual_seed(0)
        pictures = Quick()
        callbacks = [Resumption(), Checkpoint(), pictures]
        trainer = trainer_in(tmp_path, *callbacks, max_epochs=epochs, enable_checkpointing=True)
        trainer.fit(SourceModel(), Blobs(), ckpt_path=ckpt, weights_only=True)
        return pictures

    assert panels(fit(1).figures["domains"]) == ["after 3 training batches"]
    first = before(tmp_path)
    assert first["batches"] == 3
    assert first["source"].shape == (45, 8)
    assert first["target"].shape == (40, 8)
    pictures = fit(3, tmp_path / "checkpoints" / "last.ckpt")
    assert panels(pictures.figures["domains"])[0] == "first validation, after 3 training batches"
    assert all(np.array_equal(first[key], value) for key, value in before(tmp_path).items())
    assert pictures._domains[0].count == 45
    torch.manual_seed(1)
    trainer_in(tmp_path, Quick(), max_epochs=1).fit(SourceModel(), Blobs(51))  # another run in the same folder
    assert before(tmp_path)["source"].shape == (51, 8)


def test_a_validation_of_its_own_draws_and_keeps_nothing(tmp_path: Path) -> None:
    pictures = Quick()
    trainer_in(tmp_path, pictures).validate(SourceModel(), Blobs(), verbose=False)
    assert {name: panels(figure) for name, figure in pictures.figures.items()} == {
        "domains": ["now"],
        "boundary": ["now"],
    }
    assert not list(tmp_path.iterdir())


def test_the_confusions_are_of_all_test_examples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Cyclic(SourceModel):
        def test_step(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> dict[str, Tensor]:
            outputs = super().test_step(batch, batch_idx, dataloader_idx)
            wrong = torch.where(batch.index < 4, 1, 0) if dataloader_idx else 2
            return {**outputs, "predicted": (batch.label + wrong) % 3}

    monkeypatch.setattr(domain_pictures, "LIMIT", 20)
    pictures = Quick()
    trainer_in(tmp_path, pictures).test(Cyclic(), Blobs(), verbose=False)
    cells = [text.get_text() for text in pictures.figures["test_confusion"].axes[0].texts]
    assert cells[:12] == ["86%", "12", "14%", "2", "92%", "12", "8%", "1", "8%", "1", "92%", "12"]
    assert panels(pictures.figures["test_confusion"]) == [""]
    assert pictures.figures["test_confusion"].axes[0].get_title("left") == "90.0% of 40 target test examples right"
    assert [len(part.get_offsets()) for part in pictures.figures["test_domains"].axes[0].collections] == [20, 20]


def test_of_two_processes_one_draws_with_the_confusions_of_both(tmp_path: Path) -> None:
    class Titled(DomainPictures):
        def _publish(self, trainer: Any, name: str, figure: Figure) -> None:
            with (tmp_path / name).open("a") as file:
                file.write(figure.axes[0].get_title("left") + "\n")

    trainer = trainer_in(tmp_path, Titled(), devices=2, strategy="ddp_fork")
    trainer.test(SourceModel(), Blobs(examples=46), verbose=False)  # 41 of the target, one of which both see
    (line,) = (tmp_path / "test_confusion").read_text().splitlines()
    assert line.endswith("% of 41 target test examples right")


def test_training_is_bit_for_bit_the_same_with_and_without(tmp_path: Path) -> None:
    states = []
    for callbacks in ([], [DomainPictures()]):
        torch.manual_seed(5)
        random.seed(5)
        np.random.seed(5)
        model = SourceModel()
        trainer_in(tmp_path, *callbacks, max_epochs=2).fit(model, Blobs())
        states.append((copy.deepcopy(model.state_dict()), torch.get_rng_state(), random.getstate(), np.random.rand()))
    (weights, rng, *rest), (other_weights, other_rng, *other_rest) = states
    assert all(torch.equal(weights[key], other_weights[key]) for key in weights)
    assert torch.equal(rng, other_rng)
    assert rest == other_rest


def test_other_models_get_no_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(SourceModel, "domains")
    trainer = trainer_in(tmp_path, DomainPictures(), max_epochs=1)
    trainer.fit(SourceModel(), data := Blobs())
    trainer.test(SourceModel(), data, verbose=False)
    assert not list(tmp_path.iterdir())


def test_near_features_are_near_in_the_plane_and_the_same_every_time() -> None:
    source, target = (np.random.default_rng(seed).normal(size=(30, 60)).astype(np.float32) for seed in (0, 1))
    source[:15] += 10
    target[:10] += 10
    joint = principal_components(np.concatenate([source, target]))
    assert joint.shape == (60, 50)
    state = {"source": joint[:30], "target": joint[30:]}
    plane, again = in_the_plane(state), in_the_plane(state)
    assert plane is not None
    assert again is not None
    assert all(torch.equal(part, other) for part, other in zip(plane, again, strict=True))
    group, rest = torch.cat([plane.source[:15], plane.target[:10]]), torch.cat([plane.source[15:], plane.target[10:]])
    assert torch.cdist(group, group).max() < torch.cdist(group, rest).max()
    assert (torch.cdist(group, group.mean(0, keepdim=True)) < torch.cdist(group, rest.mean(0, keepdim=True))).all()


@pytest.mark.parametrize("value", [0.0, np.nan, np.inf])
def test_features_that_are_all_the_same_or_no_numbers_have_no_picture(value: float) -> None:
    features = np.full((20, 4), value, np.float32)
    assert in_the_plane({"source": features, "target": features}) is None
    assert in_the_plane({"source": features[:2], "target": np.eye(4, dtype=np.float32)}) is None
