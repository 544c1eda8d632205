"""The tokenizer of a run, kept beside its weights, which mean nothing without it."""

from pathlib import Path

from jsonargparse import Namespace
from lightning.pytorch import Callback, LightningModule, Trainer

from callbacks.run_folder import RunFolder
from callbacks.run_record import write_text
from callbacks.text_protocols import Tokenized


class TokenizerFile(Callback):
    """Writes `tokenizer.json` into the run's folder when training begins, if the data are ``Tokenized``.

    Args:
        run: the run's folder.
    """

    def __init__(self, run: RunFolder) -> None:
        self._run = run

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the file, in the process of rank zero."""
        data = getattr(trainer, "datamodule", None)
        if trainer.is_global_zero and isinstance(data, Tokenized):
            self._run.path.mkdir(parents=True, exist_ok=True)
            write_text(self._run.tokenizer, data.tokenizer_json())


def hand_over_tokenizer(tokenizer: Path | None, data: Namespace) -> None:
    """Let data take the tokenizer that a model was trained with, instead of training their own anew.

    Args:
        tokenizer: the file that belongs to the weights that are going to be used; there may be none.
        data: `class_path` and `init_args` of the data. They are changed if they take a `tokenizer`, name none, and
            there is one.
    """
    settings = data.get("init_args")
    if settings is None or tokenizer is None or not tokenizer.is_file():
        return
    if settings.get("tokenizer", "") is None:
        settings.tokenizer = str(tokenizer)
