"""Two ways in which adversarial training fails without its losses showing it."""

from collections import deque
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities import rank_zero_warn

WINDOW = 20  # logged batches in a row
SURE_OF_DATA, SURE_OF_SAMPLES = 0.95, 0.05  # beyond which the discriminator tells the two apart
LEAST_DIVERSITY, LEAST_RECALL = 0.25, 0.02
_PATIENCE = 3  # validations, the first of which see a model that has hardly begun

_SATURATED_MEND = (
    "the generator learns next to nothing: lower model.init_args.discriminator_optimizer.init_args.lr or "
    "model.init_args.discriminator_steps, raise model.init_args.r1, or choose another model.init_args.loss"
)
_COLLAPSED_MEND = (
    "the samples are much alike: lower model.init_args.discriminator_optimizer.init_args.lr, raise "
    "model.init_args.r1, or choose another model.init_args.loss"
)


class CollapseWarning(Callback):
    """Warns of a saturated discriminator and of samples that have lost their diversity, each once a run.

    It is silent unless the model logs what it watches:

    - ``train/d_x`` and ``train/d_gz``, the mean probabilities in [0, 1] with which the discriminator takes data and
      samples for data. Above 0.95 and below 0.05 on 20 logged batches in a row, the discriminator is saturated.
    - ``val/diversity``, the spread of the samples, where 1 is that of the data, and ``val/recall``, the share of the
      data that lies among the samples. Below 0.25 or 0.02 from the third validation on, the generator has collapsed.

    Every process reads the metrics, which are the same in all, and that of rank zero warns.
    """

    def __init__(self) -> None:
        self._window: deque[tuple[float, float]] = deque(maxlen=WINDOW)
        self._validations = 0
        self._warned: set[str] = set()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Look at the discriminator, on the batches that are logged."""
        if "saturated" in self._warned or not trainer._logger_connector.should_update_logs:
            return
        metrics = trainer.callback_metrics
        if "train/d_x" not in metrics or "train/d_gz" not in metrics:
            return
        self._window.append((float(metrics["train/d_x"]), float(metrics["train/d_gz"])))
        lowest, highest = min(d_x for d_x, _ in self._window), max(d_gz for _, d_gz in self._window)
        if len(self._window) == WINDOW and lowest > SURE_OF_DATA and highest < SURE_OF_SAMPLES:
            self._warn(
                "saturated",
                f"the discriminator is saturated: on the last {WINDOW} logged batches train/d_x was above "
                f"{lowest:.3f} and train/d_gz below {highest:.3f}. {_SATURATED_MEND}",
            )

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Look at the samples, if this validation is a part of training."""
        if trainer.sanity_checking or trainer.state.fn != TrainerFn.FITTING:
            return
        self._validations += 1
        metrics = trainer.callback_metrics
        low = [
            f"{name} is {float(metrics[name]):.3f}, below {least:g}"
            for name, least in (("val/diversity", LEAST_DIVERSITY), ("val/recall", LEAST_RECALL))
            if name in metrics and float(metrics[name]) < least
        ]
        if low and self._validations >= _PATIENCE and "collapsed" not in self._warned:
            self._warn("collapsed", f"the generator has collapsed: {' and '.join(low)}. {_COLLAPSED_MEND}")

    def state_dict(self) -> dict[str, Any]:
        """What was seen and said, so that a continued run does not begin to count again."""
        return {
            "window": [list(pair) for pair in self._window],
            "validations": self._validations,
            "warned": sorted(self._warned),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from there."""
        self._window = deque([(d_x, d_gz) for d_x, d_gz in state_dict["window"]], maxlen=WINDOW)
        self._validations = state_dict["validations"]
        self._warned = set(state_dict["warned"])

    def _warn(self, kind: str, text: str) -> None:
        self._warned.add(kind)
        rank_zero_warn(text)
