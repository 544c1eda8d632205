"""What the samplers of images and of text have in common."""

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from callbacks.checkpoint_file import read_checkpoint
from callbacks.undisturbed import undisturbed


class SampleCommand(Callback):
    """Has a trained model make something and writes it, by its method `run`.

    The arguments of `run` behind the data are those of the command `sample` that apply.

    Args:
        seed: of the random numbers: the same seed and arguments give the same samples.

    Attributes:
        makes: what it makes, as a part of a sentence.
        protocol: what a model has to offer.
        paths: the files, once they are written.
    """

    makes: str
    protocol: type
    run: Callable[..., None]

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.paths: list[Path] = []

    @contextmanager
    def prepared(self, trainer: Trainer, model: LightningModule) -> Iterator[torch.device]:
        """Has the model on the trainer's device and in its precision, as `undisturbed` has it, and names the device."""
        trainer.precision_plugin.convert_module(model)
        device = trainer.strategy.root_device
        model.to(device)
        with undisturbed(model, self.seed), trainer.precision_plugin.forward_context():
            yield device


def sampler_for(samplers: Sequence[SampleCommand], model: LightningModule, given: Mapping[str, Any]) -> SampleCommand:
    """Choose the sampler that a model is one for.

    Args:
        samplers: in the order in which they are asked.
        model: that shall make something.
        given: arguments of the command.

    Raises:
        ValueError: if the model can make nothing, or arguments were given that do not apply to it.
    """
    chosen = next((one for one in samplers if isinstance(model, one.protocol)), None)
    if chosen is None:
        raise ValueError(
            f"model: {type(model).__name__} cannot sample, it is no generative model: give the --run.id of one, "
            "such as VAE"
        )
    known = inspect.signature(chosen.run).parameters
    if wrong := [f"--{name}" for name in given if name not in known]:
        verb, them = ("do", "them") if len(wrong) > 1 else ("does", "it")
        raise ValueError(
            f"{' and '.join(wrong)} {verb} not apply to {type(model).__name__}, which {chosen.makes}: leave {them} out"
        )
    return chosen


def folder_to_write(trainer: Trainer, out: str | None) -> Path:
    """The folder that `out` names, or that of the run.

    Raises:
        ValueError: if there is something else than a folder.
    """
    if out is not None and Path(out).exists() and not Path(out).is_dir():
        raise ValueError(f"out is {out!r}, which is no folder: choose another")
    return Path(out or trainer.default_root_dir)


def load_weights(model: LightningModule, path: str) -> None:
    """Give a model the weights of a checkpoint, as the Trainer does it for an evaluation."""
    saved = read_checkpoint(path)
    model.on_load_checkpoint(saved)
    model.load_state_dict(saved["state_dict"], strict=model.strict_loading)
