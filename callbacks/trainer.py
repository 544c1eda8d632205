"""The Trainer with commands of its own."""

from typing import Any, Literal

from lightning.pytorch import Callback, LightningDataModule, LightningModule, Trainer

from callbacks.exporting import Exporter
from callbacks.preflight import Preflight
from callbacks.sample_command import SampleCommand, load_weights, sampler_for
from callbacks.sampling import Sampler
from callbacks.text_sampling import BlankFiller, TextSampler, Translator

CARRIED_OUT_BY: dict[str, tuple[type[SampleCommand | Exporter], ...]] = {
    "sample": (TextSampler, Translator, BlankFiller, Sampler),
    "export": (Exporter,),
}
"""The callbacks of commands that are not Lightning's; of several, the first that fits the model does it."""


def carried_out_by(command: str, seed: int) -> list[Callback]:
    """Build the callbacks of a command, a key of `CARRIED_OUT_BY`, with the seed of their random numbers."""
    return [kind(seed) for kind in CARRIED_OUT_BY[command]]


class CommandTrainer(Trainer):
    """Trainer with the commands `check`, `sample` and `export`, which callbacks carry out."""

    def check(
        self, model: LightningModule, datamodule: LightningDataModule | None = None, ckpt_path: str | None = None
    ) -> None:
        """Check the settings and run a batch of training, validation and test, without keeping anything.

        Args:
            model: the model to train.
            datamodule: its data.
            ckpt_path: the checkpoint that the run would go on from.
        """
        self._own(Preflight)[0].run(self, model, datamodule)

    def sample(
        self,
        model: LightningModule,
        datamodule: LightningDataModule | None = None,
        n: int | None = None,
        label: int | None = None,
        prompt: str = "",
        length: int | None = None,
        temperature: float | None = None,
        top_k: int | None = None,
        top_p: float | None = None,
        input: str | None = None,
        out: str | None = None,
        ckpt_path: str | None = None,
        weights_only: bool | None = None,
    ) -> None:
        """Have a trained model draw examples, write, complete or translate text, without loading any data.

        Args:
            model: the model.
            datamodule: the data that it was trained on.
            n: number of samples; 64 if not given, 1 of text.
            label: class of all images, of a model that is conditional on the class; classes in turn if not given.
            prompt: what a written text begins with, nothing if empty; or a text with <mask> for what is filled in.
            length: tokens that are written behind the prompt, 500 if not given.
            temperature: of written text; 1 if not given, and 0 takes the likeliest token.
            top_k: number of the likeliest tokens that each of a text is drawn from, all if not given; or that are
                listed for each blank, 5 if not given.
            top_p: share of probability that the likeliest tokens drawn from have together; all if not given.
            input: file of lines to translate, or - for standard input.
            out: folder to write to; the run's own if not given.
            ckpt_path: the checkpoint with the weights; the run's own if not given.
            weights_only: not used, code in a checkpoint is never run.
        """
        of_samplers = {
            "n": n,
            "label": label,
            "prompt": prompt,
            "length": length,
            "temperature": temperature,
            "top_k": top_k,
            "top_p": top_p,
            "input": input,
            "out": out,
        }
        given = {name: value for name, value in of_samplers.items() if value not in (None, "")}
        sampler = sampler_for(self._own(SampleCommand), model, given)
        if ckpt_path is not None:
            load_weights(model, ckpt_path)
        sampler.run(self, model, datamodule, **given)

    def export(
        self,
        model: LightningModule,
        datamodule: LightningDataModule | None = None,
        *,
        format: Literal["onnx", "torchscript", "torch_export", "safetensors"],
        out: str | None = None,
        length: int | None = None,
        ckpt_path: str | None = None,
        weights_only: bool | None = None,
    ) -> None:
        """Write a trained model's `forward` to a file for other programs, and compare what the file gives.

        Args:
            model: the model.
            datamodule: the data that it was trained on, of which none are loaded.
            format: onnx, torchscript, torch_export, or safetensors for the weights alone.
            out: the file; `model` with the suffix of the format in the run's folder if not given.
            length: of sequences, for a file that takes no others; any length if not given.
            ckpt_path: the checkpoint with the weights; the run's own if not given.
            weights_only: not used, code in a checkpoint is never run.
        """
        if ckpt_path is not None:
            load_weights(model, ckpt_path)
        self._own(Exporter)[0].run(self, model, datamodule, format, out, length, ckpt_path)

    def _own(self, kind: type[Any]) -> list[Any]:
        return [callback for callback in vars(self)["callbacks"] if isinstance(callback, kind)]
