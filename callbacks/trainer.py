"""The Trainer with commands of its own."""

from typing import Any

from lightning.pytorch import LightningDataModule, LightningModule, Trainer

from callbacks.preflight import Preflight
from callbacks.sampling import Sampler, load_weights


class CommandTrainer(Trainer):
    """Trainer with the commands `check` and `sample`, which a callback each carries out."""

    def check(
        self, model: LightningModule, datamodule: LightningDataModule | None = None, ckpt_path: str | None = None
    ) -> None:
        """Check the settings and run a batch of training, validation and test, without keeping anything.

        Args:
            model: the model to train.
            datamodule: its data.
            ckpt_path: the checkpoint that the run would go on from.
        """
        self._own(Preflight).run(self, model, datamodule)

    def sample(
        self,
        model: LightningModule,
        datamodule: LightningDataModule | None = None,
        n: int = 64,
        label: int | None = None,
        out: str | None = None,
        ckpt_path: str | None = None,
        weights_only: bool | None = None,
    ) -> None:
        """Draw new examples from a trained generative model, without loading any data.

        Args:
            model: the model.
            datamodule: the data that it was trained on.
            n: number of samples.
            label: class of all samples, of a model that is conditional on the class; classes in turn if not given.
            out: folder to write to; the run's own if not given.
            ckpt_path: the checkpoint with its weights; the run's best if not given.
            weights_only: not used, code in a checkpoint is never run.
        """
        if ckpt_path is not None:
            load_weights(model, ckpt_path)
        self._own(Sampler).run(self, model, datamodule, n, label, out)

    def _own(self, kind: type[Any]) -> Any:
        return next(callback for callback in vars(self)["callbacks"] if isinstance(callback, kind))
