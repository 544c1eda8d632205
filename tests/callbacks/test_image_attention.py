"""What is drawn of attention between patches, of which images."""

from pathlib import Path
from typing import Any

import pytest
import torch
from drawn import IMAGES, Plain, labelled, loader, pixels, trainer_in
from torch import Tensor, nn
from torch.utils.data import DataLoader

from callbacks import ImageAttentionPictures, callbacks_of_every_run, image_attention
from callbacks.drawing import save_png
from callbacks.image_attention import attention_sheet
from callbacks.protocols import PatchAttending
from datamodules.batch import ImageBatch
from networks import ImageShape, PatchAttention, PatchEncoder, patch_attention, rollout


class Seeing(Plain):
    """Has an encoder of patches beside the rest."""

    def __init__(self) -> None:
        super().__init__()
        self.eye = PatchEncoder(ImageShape(1, 8, 8), dim=8, heads=2, layers=2)
        self.seen: list[Tensor] = []

    def patch_attention(self, image: Tensor) -> PatchAttention | None:
        assert not self.training
        assert not torch.is_grad_enabled()
        self.seen.append(image)
        return patch_attention(self.eye, image)


@pytest.fixture
def sheets(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Tensor, list[int], PatchAttention]]:
    asked = []
    monkeypatch.setattr(
        image_attention, "attention_sheet", lambda *what: (asked.append(what), attention_sheet(*what))[1]
    )
    return asked


def test_it_is_of_the_first_images_wherever_they_come(sheets: list[Any], tmp_path: Path) -> None:
    pictures, model = ImageAttentionPictures(), Seeing()
    backwards = DataLoader(list(range(47, -1, -1)), batch_size=16, collate_fn=labelled)  # type: ignore[arg-type]
    trainer_in(tmp_path, pictures).validate(model, backwards, verbose=False)  # type: ignore[arg-type]
    assert [path.name for path in pictures.paths] == ["attention_image.png"]
    ((image, index, attention),) = sheets
    assert index == [0, 1, 2]
    assert torch.equal(image, IMAGES[:3])
    assert [weights.shape for weights in attention.layers] == 2 * [(3, 2, 5, 5)]
    assert isinstance(model, PatchAttending)


def test_it_is_drawn_of_the_last_validation_and_of_the_test(tmp_path: Path) -> None:
    pictures, model = ImageAttentionPictures(), Seeing()
    trainer = trainer_in(tmp_path, pictures)  # type: ignore[arg-type]
    trainer.fit(model, loader(), loader())
    assert len(model.seen) == 1
    trainer.test(model, loader(), verbose=False)
    assert [path.name for path in pictures.paths] == ["attention_image.png", "test_attention_image.png"]


@pytest.mark.parametrize("layers", [1, 6, 40])
def test_a_picture_of_deep_networks_has_fewer_images(layers: int, tmp_path: Path) -> None:
    attention = PatchAttention(layers * [torch.full((3, 2, 5, 5), 0.2)], (2, 2), 1)
    figure = attention_sheet(IMAGES[:3], [0, 1, 2], attention)
    shown = sum(text.get_text().startswith("Image ") for text in figure.texts)
    assert shown == {1: 3, 6: 2, 40: 1}[layers]
    assert sum(text.get_text() == "rollout" for text in figure.texts) == shown * layers
    save_png(figure, tmp_path / "figure.png")


def test_the_warmest_place_is_the_patch_that_is_attended_to(tmp_path: Path) -> None:
    weights = torch.zeros(1, 1, 5, 5)
    weights[..., 0, 3] = 1  # the class token looks at the patch on the lower left
    weights[..., 1:, 2] = 1  # and all others elsewhere
    attention = PatchAttention([weights], (2, 2), 1)
    figure = attention_sheet(torch.zeros(1, 1, 8, 8), [7], attention)
    save_png(figure, tmp_path / "figure.png")
    picture = pixels(tmp_path / "figure.png").int()
    warm = picture[..., 0] - picture[..., 2] > 40  # yellow and red, not black, grey or white
    down, across = warm.nonzero().unbind(1)
    tiles = sorted({int(image.get_extent()[0]) for image in figure.images})
    assert len(tiles) == 3
    side = int(figure.images[0].get_size()[0])
    top = picture.shape[0] - int(figure.images[0].get_extent()[3])
    in_head = (across >= tiles[1]) & (across < tiles[2])
    assert in_head.any()
    assert down[in_head].float().mean() > top + side / 2
    assert across[in_head].float().mean() < tiles[1] + side / 2
    assert not (across < tiles[1]).any()  # the image alone is grey


def test_the_rollout_of_the_first_layer_is_of_that_layer_alone() -> None:
    torch.manual_seed(0)
    layers = list(torch.rand(2, 1, 2, 5, 5).softmax(-1))
    attention = PatchAttention(layers, (2, 2), 1)
    assert not torch.allclose(attention.heat(rollout(layers[:1])), attention.heat(rollout(layers)))


@pytest.mark.parametrize("what", ["no patches", "points", "no such model"])
def test_others_get_none(what: str, tmp_path: Path) -> None:
    class Blind(Seeing):
        def patch_attention(self, image: Tensor) -> PatchAttention | None:
            assert image.ndim == 4
            return None

    class Points(Seeing):
        def test_step(self, batch: ImageBatch, batch_idx: int) -> None:
            pass

    model: nn.Module = {"no patches": Blind, "points": Points, "no such model": Plain}[what]()
    data = loader()
    if what == "points":
        data = DataLoader(  # type: ignore[assignment]
            range(4),  # type: ignore[arg-type]
            collate_fn=lambda rows: ImageBatch(torch.zeros(1, 2), torch.zeros(1).long(), torch.tensor(rows)),
        )
    pictures = ImageAttentionPictures()
    trainer_in(tmp_path, pictures).test(model, data, verbose=False)  # type: ignore[arg-type]
    assert pictures.paths == []


def test_every_run_has_it() -> None:
    found = callbacks_of_every_run(None, {}, [], None)  # type: ignore[arg-type]
    assert any(isinstance(callback, ImageAttentionPictures) for callback in found)
