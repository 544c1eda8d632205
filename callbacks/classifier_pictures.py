"""Pictures of what a classifier says of the test data: its confusions, its worst mistakes, and where it looks."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from lightning.pytorch import LightningModule, Trainer
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from callbacks.class_names import class_names
from callbacks.confusion_drawing import confusion_table, confusions
from callbacks.drawing import INK
from callbacks.grad_cam import grad_cam
from callbacks.predictions import Arrays, gather_parts, merge_parts, stack
from callbacks.protocols import Classifying
from callbacks.publishing import DrawingCallback
from callbacks.tile_drawing import WRONG, Line, Tile, columns_for, shortened, tile, tile_sheet
from callbacks.undisturbed import undisturbed

MISTAKES = 20  # most that are drawn
CLASSES = 10  # the first classes, of which one image each is drawn that was told right
COLUMNS = 10
SEED = 0


class ClassifierPictures(DrawingCallback):
    """Draws what a ``Classifying`` model said in a test, into the run's ``media/`` folder and to Weights & Biases.

    - ``test_confusion.png``: how often each class was taken for which
    - ``test_misclassified.png``: the mistakes that the model was most certain of, with the probabilities of the class
      that it said and of the true one
    - ``test_grad_cam.png``, where the network has maps with places: which places speak for a class, by Grad-CAM. Of
      images that were told right, the first of each class, and of the most certain mistakes, for both classes.

    They are of the whole test part, over all processes; that of rank zero draws. A new picture replaces the one before.
    Batches without images, such as those of texts, get the first only.
    """

    def __init__(self) -> None:
        super().__init__()
        self._said: list[Arrays] = []
        self._shown: Arrays = {}
        self._classes = 0

    def on_test_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start anew."""
        self._said, self._shown = [], {}

    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Keep what was said of every image, and the few images that may be drawn."""
        if not isinstance(pl_module, Classifying) or dataloader_idx > 0:
            return
        said = _said(outputs)
        self._classes = outputs["probability"].shape[1]
        self._said.append({key: said[key] for key in ("index", "label", "predicted")})
        if isinstance(x := getattr(batch, "x", None), Tensor) and x.ndim == 4:
            places = shown(said)
            few = _rows(said, places)
            few["image"] = (x[torch.from_numpy(places).to(x.device)] * 255).round().to("cpu", torch.uint8).numpy()
            self._shown = _selected(_joined([self._shown, few]))

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Bring together what was said in all processes."""
        if isinstance(pl_module, Classifying):
            said = merge_parts(gather_parts(_joined(self._said), trainer))
            merged = merge_parts(gather_parts(self._shown, trainer))
            self._said, self._shown = [said], _selected(merged)

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Draw the test data."""
        if not isinstance(pl_module, Classifying) or not trainer.is_global_zero or not (said := self._said[0]):
            return
        label, predicted = (torch.from_numpy(said[key]).long() for key in ("label", "predicted"))
        names = class_names(trainer, self._classes)
        wrong = int((label != predicted).sum())
        what = "images" if self._shown else "examples"
        title = f"{1 - wrong / len(label):.1%} of {len(label):,} test {what} right"
        counts = confusions(label, predicted, len(names))
        self._publish(trainer, "test_confusion", confusion_table(counts, names, title))
        if self._shown:
            wrongly = self._shown["label"] != self._shown["predicted"]
            right, mistakes = (_rows(self._shown, rows) for rows in (~wrongly, wrongly))
            self._publish(trainer, "test_misclassified", _mistake_sheet(mistakes, wrong, names, title))
            if figure := _grad_cam_sheet(pl_module, right, mistakes, names):
                self._publish(trainer, "test_grad_cam", figure)


def shown(said: Arrays) -> NDArray[np.intp]:
    """Returns the places of the examples that are drawn: the most certain mistakes, then one right for each class.

    Args:
        said: ``index``, ``label``, ``predicted`` and ``certainty``, all (N,).
    """
    wrong = said["label"] != said["predicted"]
    by_certainty = np.lexsort((said["index"], -said["certainty"]))
    mistakes = by_certainty[wrong[by_certainty]][:MISTAKES]
    by_index = np.argsort(said["index"])
    right = by_index[~wrong[by_index] & (said["label"][by_index] < CLASSES)]
    _, first = np.unique(said["label"][right], return_index=True)
    return np.concatenate([mistakes, right[first]])


def heat_maps(
    model: LightningModule, image: NDArray[np.uint8], classes: Sequence[NDArray[np.int64]]
) -> list[Tensor] | None:
    """Computes Grad-CAM of images for one class each, or for several in turn.

    Args:
        model: a ``Classifying`` one, which is left as it was.
        image: (B, C, H, W).
        classes: those asked about, (B,) each.

    Returns:
        float (B, H', W') for each of the classes; None if the network has no maps.
    """
    assert isinstance(model, Classifying)
    with undisturbed(model, SEED), torch.enable_grad():
        x = torch.from_numpy(image).to(next(model.parameters())).div_(255)
        # the graph begins at the image, so that weights may be frozen
        found = model.feature_maps(x.requires_grad_())
        if found is None:
            return None
        return [grad_cam(*found, torch.from_numpy(asked).to(model.device)) for asked in classes]


def _said(outputs: Mapping[str, Tensor]) -> Arrays:
    """What a model said of a batch, (B,) each."""
    probability, label = outputs["probability"].float(), outputs["label"]
    certainty, predicted = probability.max(1)
    truth = probability.gather(1, label.unsqueeze(1)).squeeze(1)
    told = {"index": outputs["index"], "label": label}
    return stack([{**told, "predicted": predicted, "certainty": certainty, "truth": truth}])


def _joined(parts: Sequence[Arrays]) -> Arrays:
    """Rows of one after the other; parts may be empty."""
    parts = [part for part in parts if part]
    return {key: np.concatenate([part[key] for part in parts]) for key in (parts[0] if parts else ())}


def _rows(examples: Arrays, places: NDArray[Any]) -> Arrays:
    return {key: values[places] for key, values in examples.items()}


def _selected(examples: Arrays) -> Arrays:
    return _rows(examples, shown(examples)) if examples else {}


def _mistake_sheet(mistakes: Arrays, wrong: int, names: Sequence[str], title: str) -> Figure:
    tiles = [
        tile(image, _line(names, said, certainty, WRONG), _line(names, label, truth))
        for image, said, certainty, label, truth in _each(mistakes, "predicted", "certainty", "label", "truth")
    ]
    if not tiles:
        return tile_sheet(f"{title}: there are no mistakes", {})
    columns = columns_for(tiles, COLUMNS)
    rows = [tiles[start : start + columns] for start in range(0, len(tiles), columns)]
    which = f"The {len(tiles)} most certain of {wrong:,} mistakes" if wrong > len(tiles) else "All mistakes"
    return tile_sheet(title, {f"{which}: the class that was said (red), and the true one": rows})


def _grad_cam_sheet(model: LightningModule, right: Arrays, mistakes: Arrays, names: Sequence[str]) -> Figure | None:
    """Heat over images; None if the network has no maps."""
    asked = {
        "Told right: what speaks for the class": (right, ("predicted",)),
        "Mistakes: what speaks for the class that was said (red), and for the true one": (
            mistakes,
            ("predicted", "label"),
        ),
    }
    sections = {}
    for heading, (examples, keys) in asked.items():
        if not len(examples["index"]):
            continue
        heats = heat_maps(model, examples["image"], [examples[key] for key in keys])
        if heats is None:
            return None
        rows = _heat_rows(examples, dict(zip(keys, heats, strict=True)), names)
        columns = columns_for([tile for row in rows for tile in row], COLUMNS)
        sections[heading] = [row[:columns] for row in rows]
    return tile_sheet("Grad-CAM, each map relative to its own warmest place", sections)


def _heat_rows(examples: Arrays, heats: Mapping[str, Tensor], names: Sequence[str]) -> list[list[Tile]]:
    """The images, and below them the heat of the class that was said and, if it is there, of the true one."""
    told = {"predicted": "certainty", "label": "truth"}
    rows = [[tile(image, (f"true: {shortened(names[label])}", INK)) for image, label in _each(examples, "label")]]
    for key, heat in heats.items():
        color = WRONG if key == "predicted" and len(heats) > 1 else INK
        each = _each(examples, key, told[key])
        rows.append(
            [
                tile(image, _line(names, asked, probability, color), heat=warmth)
                for (image, asked, probability), warmth in zip(each, heat, strict=True)
            ]
        )
    return rows


def _each(examples: Arrays, *keys: str) -> Iterator[tuple[Any, ...]]:
    """Images, float (C, H, W), with what is known of each."""
    images = torch.from_numpy(examples["image"]).float() / 255
    yield from zip(images, *(examples[key].tolist() for key in keys), strict=True)


def _line(names: Sequence[str], place: int, probability: float, color: str = INK) -> Line:
    return f"{shortened(names[place])}  {probability:.1%}", color
