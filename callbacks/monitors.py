"""A metric that is watched has to be one that is logged."""

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import EarlyStopping
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities import rank_zero_warn

from callbacks import checkpoint, early_stopping
from callbacks.settings import SettingsError, nearest
from callbacks.training_protocols import pretrains

_KEYS = {checkpoint.Checkpoint: "checkpoint", early_stopping.EarlyStopping: "early_stopping"}


class Monitors(Callback):
    """Ends a run whose callbacks wait for a metric that never comes, at the first validation after pretraining.

    Metrics of training are exempt, which may be logged later, and those of pretraining, which may have been.

    Raises:
        SettingsError: from the hooks, naming the metric that was probably meant.
    """

    def __init__(self) -> None:
        self._looked = False

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Look once, when the first validation of the whole has logged its metrics."""
        if self._looked or trainer.sanity_checking or trainer.state.fn != TrainerFn.FITTING or pretrains(pl_module):
            return
        self._looked = True
        if problems := unlogged_monitors(trainer):
            raise SettingsError(problems)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Look where a validation was due and there is none: the run can go on, but will not be stopped early."""
        if self._looked or trainer.check_val_every_n_epoch != 1 or pretrains(pl_module):
            return
        self._looked = True
        problems = [f"{problem}; there is no validation" for problem in unlogged_monitors(trainer, with_training=True)]
        stops = any(isinstance(callback, EarlyStopping) and callback.strict for callback in vars(trainer)["callbacks"])
        if problems and stops:
            raise SettingsError(problems)
        for problem in problems:
            rank_zero_warn(problem)


def unlogged_monitors(trainer: Trainer, with_training: bool = False) -> list[str]:
    """List the monitored metrics that have not been logged, one line each; none while the model pretrains.

    Args:
        trainer: in the midst of a fit.
        with_training: whether metrics of training, too, should have been logged by now.
    """
    if pretrains(trainer.lightning_module):
        return []
    logged = sorted(trainer.callback_metrics)
    problems = []
    for callback in vars(trainer)["callbacks"]:
        monitor = getattr(callback, "monitor", None)
        unused = isinstance(callback, EarlyStopping) and not callback.strict
        later = not with_training and str(monitor).startswith(("train/", "pretrain/"))
        if isinstance(monitor, str) and monitor not in logged and not unused and not later:
            key = _KEYS.get(type(callback), type(callback).__name__)
            hint = nearest(monitor, logged) or f", choose one of {', '.join(logged)}"
            problems.append(f"{key}.monitor is {monitor!r}, which is never logged{hint}")
    return problems
