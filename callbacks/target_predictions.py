"""What a model said of the target's validation part in every epoch, and in a test how often it was right."""

from pathlib import Path
from typing import Any

import numpy as np
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.trainer.states import TrainerFn
from torch import Tensor

from callbacks.predictions import Arrays, gather_parts, load_arrays, merge_parts, save_arrays, stack
from callbacks.protocols import TARGET, Adapting, Oracle

FILE = "target_predictions.npz"


class TargetPredictions(Callback):
    """Shows what choosing an epoch without labels of the target has cost, and what an oracle would have chosen.

    In training, each validation of an ``Adapting`` model adds the classes that it says of the target's examples to
    ``target_predictions.npz`` in the run's folder: ``epoch`` (E,), ``index`` (N,), the positions of the examples in the
    validation part, and ``predicted`` (E, N). There are no labels, and none are asked for. A validation replaces what
    the file has of its own and of later epochs, so that a run that was broken off and went on has the file of an
    unbroken one; examples that not all epochs saw are left out.

    In a test, when nothing is learnt or chosen any more, the data tell the labels (``Oracle``), and every process logs
    the accuracy on these validation examples:

    - ``oracle/selected_accuracy``: in the epoch of the checkpoint that is tested, by default the best by the
      monitored metric. Not logged of weights without an epoch, or of an epoch without validation.
    - ``oracle/last_accuracy``: in the last epoch
    - ``oracle/best_accuracy``: in the epoch ``oracle/best_epoch``, the first of the most accurate. No method can choose
      it honestly; the distance to it is what better selection could gain.

    A model that was trained elsewhere has no such file: then nothing is logged, and nothing is amiss.
    """

    def __init__(self) -> None:
        self._seen: list[dict[str, Tensor]] = []
        self._tested_epoch: int | None = None
        self._report = ""

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Forget the checkpoint of another call."""
        self._tested_epoch = None

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Note the epoch of the weights."""
        self._tested_epoch = checkpoint.get("epoch")

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start anew, as the validation before may have been broken off."""
        self._seen = []

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Keep what the model says of the target."""
        if dataloader_idx == TARGET and isinstance(pl_module, Adapting) and _trains(trainer):
            self._seen.append({key: outputs[key].detach() for key in ("index", "predicted")})

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the epoch, in the process of rank zero."""
        if not isinstance(pl_module, Adapting) or not _trains(trainer):
            return
        merged = merge_parts(gather_parts(stack(self._seen), trainer))
        self._seen = []
        if trainer.is_global_zero and merged:
            path = _path(trainer)
            save_arrays(path, with_epoch(load_arrays(path), trainer.current_epoch, merged))

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log the accuracies."""
        data = getattr(trainer, "datamodule", None)
        kept = load_arrays(_path(trainer))
        self._report = ""
        if not isinstance(pl_module, Adapting) or not isinstance(data, Oracle) or not kept or not len(kept["index"]):
            return
        right = kept["predicted"] == data.oracle_labels().numpy()[kept["index"]]
        accuracy = dict(zip(kept["epoch"].tolist(), right.mean(axis=1).tolist(), strict=True))
        last, best = max(accuracy), max(accuracy, key=lambda epoch: accuracy[epoch])
        chosen = {"selected": self._tested_epoch, "last": last, "best": best}
        epochs = {name: epoch for name, epoch in chosen.items() if epoch in accuracy}
        scores = {f"oracle/{name}_accuracy": accuracy[epoch] for name, epoch in epochs.items() if epoch is not None}
        pl_module.log_dict({**scores, "oracle/best_epoch": float(best)})
        told = ", ".join(f"{name} {accuracy[epoch]:.4f} (epoch {epoch})" for name, epoch in epochs.items())
        self._report = f"target validation accuracy by the oracle: {told}"

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Print them side by side."""
        if trainer.is_global_zero and self._report:
            print(self._report)


def with_epoch(kept: Arrays, epoch: int, predictions: Arrays) -> Arrays:
    """Add the predictions of an epoch to those of the epochs before it.

    Args:
        kept: content of the file, empty if there is none.
        epoch: the epoch; it and later ones are dropped from what was kept.
        predictions: ``index``, sorted, and ``predicted``, both (M,).

    Returns:
        ``epoch`` (E,), ``index`` (N,) and ``predicted`` (E, N), uint8, or int16 where that is too small.
    """
    index, predicted = predictions["index"], predictions["predicted"][None]
    earlier = kept["epoch"] < epoch if kept else np.zeros(0, bool)
    epochs = np.array([epoch])
    if earlier.any():
        index, old, new = np.intersect1d(kept["index"], index, assume_unique=True, return_indices=True)
        predicted = np.concatenate([kept["predicted"][earlier][:, old], predicted[:, new]])
        epochs = np.append(kept["epoch"][earlier], epoch)
    smallest: type[np.integer[Any]] = np.uint8 if predicted.max(initial=0) < 256 else np.int16
    return {"epoch": epochs, "index": index, "predicted": predicted.astype(smallest)}


def _path(trainer: Trainer) -> Path:
    return Path(trainer.default_root_dir) / FILE


def _trains(trainer: Trainer) -> bool:
    return trainer.state.fn == TrainerFn.FITTING and not trainer.sanity_checking
