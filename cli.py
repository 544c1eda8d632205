"""Espalier's one entry: `python cli.py fit --config configs/<technique>/<data>.yaml`."""

import gc

gc.disable()  # during the imports below, whose objects all stay: looking for garbage among them takes a second or two

import difflib
import json
import logging
import os
import re
import sys
import traceback
import warnings
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import torch
from jsonargparse import ArgumentError, Namespace
from lightning import LightningDataModule, Trainer
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from lightning.pytorch.loggers import Logger

import callbacks
import datamodules
import lit_models
import networks
from callbacks import RunFolder, RunSettings, WandbSettings
from lit_models import Technique

gc.enable()

SUBCOMMANDS = ("fit", "validate", "test", "predict")
# arguments that are never written in a configuration: they follow the seed of the run and the shape of its data
LINKED = (("data", "seed"), ("model", "image_shape"), ("model", "num_classes"))


class EspalierCLI(LightningCLI):
    """LightningCLI in which a run is a folder that can be continued, tested and read by its id."""

    def __init__(self, args: list[str]) -> None:
        self.command = ["cli.py", *args]
        parser_kwargs = {"exit_on_error": False}
        super().__init__(
            Technique,
            LightningDataModule,
            save_config_callback=None,
            trainer_defaults={
                "max_epochs": 10,
                "use_distributed_sampler": False,  # the data brings its own resumable sampler
                "enable_model_summary": False,
                "num_sanity_val_steps": 0,  # a continued run would have one more of them than an unbroken one
            },
            seed_everything_default=0,
            parser_kwargs={**parser_kwargs, **{name: dict(parser_kwargs) for name in SUBCOMMANDS}},
            subclass_mode_model=True,
            subclass_mode_data=True,
            args=with_own_config(args),
            auto_configure_optimizers=False,
        )

    @staticmethod
    def subcommands() -> dict[str, set[str]]:
        """Trainer methods and the arguments of theirs that are not flags."""
        shared = {"model", "datamodule", "weights_only"}
        return {
            "fit": shared | {"train_dataloaders", "val_dataloaders"},
            "validate": shared | {"dataloaders", "verbose"},
            "test": shared | {"dataloaders", "verbose"},
            "predict": shared | {"dataloaders", "return_predictions"},
        }

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add the run, its tracking, the default callbacks, and the links from the data."""
        parser.add_class_arguments(RunSettings, "run")
        parser.add_class_arguments(WandbSettings, "wandb")
        parser.add_lightning_class_args(callbacks.Checkpoint, "checkpoint")
        parser.add_lightning_class_args(callbacks.EarlyStopping, "early_stopping")
        parser.add_lightning_class_args(callbacks.Pictures, "pictures")
        parser.link_arguments("seed_everything", "data.init_args.seed", compute_fn=_number)
        # a list, because checkpoints hold plain values only
        parser.link_arguments("data.image_shape", "model.init_args.image_shape", list, apply_on="instantiate")
        parser.link_arguments("data.num_classes", "model.init_args.num_classes", apply_on="instantiate")

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        """Parse the words that `main` was given."""
        self.config = parser.parse_args(args)

    def _parse_ckpt_path(self) -> None:
        """Nothing: hyper-parameters in a checkpoint are compared with the settings, and never replace them."""

    def before_instantiate_classes(self) -> None:
        """Find the run's folder and what it already holds."""
        config = self.config[self.subcommand]
        settings = RunSettings(**config.run.as_dict())
        technique, data = (config[key].class_path.rsplit(".")[-1] for key in ("model", "data"))
        self.run = (settings.id and RunFolder.find(settings)) or RunFolder.create(
            settings, f"{_snake(technique)}-{data.lower()}"
        )
        config.run.id, config.run.experiment = self.run.id, self.run.path.parent.name
        config.trainer.default_root_dir = str(self.run.path)
        self.plain_config = self._plain_config()
        self.checkpoint = config.ckpt_path or self._own_checkpoint()
        if self.run.config.exists():
            self._compare(settings)

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """Add the loggers and the callbacks that belong to every run."""
        config = self.config_init[self.subcommand]
        loggers = self._loggers(config.trainer.logger, config.wandb)
        self.record = callbacks.RunRecord(self.run, self.plain_config, self.command)
        own = [self.record, callbacks.RNGState(), callbacks.LearningCurves(), callbacks.Throughput()]
        if self.subcommand == "predict":
            own.append(callbacks.LatentWriter())
        if config.trainer.enable_progress_bar is None and not sys.stdout.isatty():
            config.trainer.enable_progress_bar = False
            own.append(callbacks.EpochLines())
        config.trainer.callbacks = [*(config.trainer.callbacks or []), *own]
        kwargs["profiler"] = config.trainer.profiler or callbacks.NoProfiler()
        return super().instantiate_trainer(logger=loggers, **kwargs)

    def _loggers(self, given: Any, wandb: WandbSettings) -> list[Logger]:
        if given is False:
            return []
        chosen = given if isinstance(given, list) else [given] if isinstance(given, Logger) else []
        if not chosen and (logger := callbacks.wandb_logger(wandb, self.run)):
            chosen = [logger]
        # only training has steps to write rows for; validate and test write one JSON each
        return [callbacks.MetricsFile(self.run.path), *chosen] if self.subcommand == "fit" else chosen

    def _prepare_subcommand_kwargs(self, subcommand: str) -> dict[str, Any]:
        kwargs: dict[str, Any] = super()._prepare_subcommand_kwargs(subcommand)
        return {**kwargs, "ckpt_path": self.checkpoint, "weights_only": True}

    def fit(self, **kwargs: Any) -> None:
        """Train, and say what was made."""
        self.trainer.fit(**kwargs)
        self._report()

    def validate(self, **kwargs: Any) -> None:
        """Evaluate on the validation part, and write `validate.json`."""
        self._write_results("validate", self.trainer.validate(verbose=False, **kwargs))

    def test(self, **kwargs: Any) -> None:
        """Evaluate on the test part, and write `test.json`."""
        self._write_results("test", self.trainer.test(verbose=False, **kwargs))

    def predict(self, **kwargs: Any) -> None:
        """Encode images, and write `latents.npz`."""
        self.trainer.predict(return_predictions=False, **kwargs)
        self._report()

    def _write_results(self, stage: str, results: Sequence[Mapping[str, float]]) -> None:
        metrics = {name: value for part in results for name, value in sorted(part.items())}
        if self.trainer.is_global_zero:
            callbacks.write_text(self.run.path / f"{stage}.json", json.dumps(metrics, indent=2) + "\n")
            for name, value in metrics.items():
                print(f"{name:32} {value:.6g}")
        self._report()

    def _report(self) -> None:
        if not self.trainer.is_global_zero:
            return
        paths = [path for callback in vars(self.trainer)["callbacks"] for path in getattr(callback, "paths", [])]
        for path in paths:
            print(f"wrote {path}")
        print(f"run {self.run.path}")

    def _own_checkpoint(self) -> str | None:
        if self.subcommand == "fit":
            newest = callbacks.newest_whole(self.run.last.parent)
            return str(newest) if newest else None
        for path in (self.run.best, self.run.last):
            if path.exists():
                return str(path)
        raise ValueError(
            f"{self.subcommand} needs a trained model: give the --run.id of a run in {self.run.path.parent.parent}, "
            "or a --ckpt_path"
        )

    def _compare(self, settings: RunSettings) -> None:
        """Refuse to continue with another model or other data; print every other change."""
        before = self.run.load_config()
        if self.subcommand == "fit" and self.checkpoint:
            saved = torch.load(self.checkpoint, map_location="cpu", weights_only=True, mmap=True)
            trained = saved["callbacks"].get("RunRecord", callbacks.shared_settings(before))
            changes = callbacks.differences(trained, callbacks.shared_settings(self.plain_config))
            if changes and not settings.override:
                raise ValueError(
                    f"run {self.run.id} was trained with other settings ({'; '.join(changes)}): "
                    "take the changes back, choose another --run.id, or add --run.override true"
                )
        for change in callbacks.differences(before, self.plain_config):
            if not change.startswith(("run.override", "trainer.default_root_dir")):
                print(f"changed from the run's own config: {change}")

    def _plain_config(self) -> dict[str, Any]:
        """The resolved configuration as plain values, without what belongs to this launch only."""
        config: Namespace = self.config[self.subcommand]
        # not the parser's own dump, which cannot write a number where a transform's type is `numbers.Number`
        plain: dict[str, Any] = json.loads(json.dumps(config.as_dict(), default=str))
        for key in ("config", "ckpt_path"):
            plain.pop(key, None)
        for part, key in LINKED:
            plain[part]["init_args"].pop(key, None)
        plain["run"]["override"] = False  # said for one launch, not for every later one
        return plain


def with_own_config(args: list[str]) -> list[str]:
    """Where a run is named and no configuration is, put the run's own in front of the flags."""
    flags = _flags(args)
    if not args or "config" in flags or "run.id" not in flags:
        return args
    settings = RunSettings(
        id=flags["run.id"], experiment=flags.get("run.experiment"), dir=flags.get("run.dir", RunSettings.dir)
    )
    run = RunFolder.find(settings)
    if run is None and "model" not in flags:
        raise ValueError(f"there is no run {settings.id!r} in {settings.dir!r}: check --run.id and --run.dir")
    return args if run is None else [args[0], "--config", str(run.config), *args[1:]]


def _flags(args: list[str]) -> dict[str, str]:
    words = [part for word in args for part in (word.split("=", 1) if word.startswith("-") else [word])]
    names = {"-c": "config"}
    return {names.get(word, word.lstrip("-")): value for word, value in pairwise(words) if word.startswith("-")}


def _number(seed: bool | int) -> int:
    if isinstance(seed, bool):
        raise ValueError(f"seed_everything is {seed}: give a number, so that the run can be repeated")
    return seed


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()


def _in_one_line(error: BaseException) -> str:
    """Say what is wrong and where, without the parser's account of everything else it tried."""
    keys = dict.fromkeys(re.findall(r'Parser key "([^"]+)"', str(error)))
    while "jsonargparse" in _raised_in(error) and (inner := error.__cause__ or error.__context__):
        error = inner
    message = " ".join(str(error).split())
    if unknown := re.search(r"Expected a dot import path string: (\w+)", message):
        known = [*lit_models.__all__, *datamodules.__all__, *networks.__all__]
        message = f"there is no class {unknown[1]!r}{_nearest(unknown[1], known)}"
    return ": ".join([*([".".join(keys)] if keys else []), message])


def _raised_in(error: BaseException) -> str:
    frames = list(traceback.walk_tb(error.__traceback__))
    return frames[-1][0].f_code.co_filename if frames else ""


def _nearest(name: str, known: Sequence[str]) -> str:
    matches = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f", did you mean {matches[0]!r}?" if matches else ""


def _leave_out_noise() -> None:
    """Silence what the libraries say that no user of this command can act on."""
    logging.getLogger("lightning.pytorch.utilities.rank_zero").addFilter(_is_no_advertisement)
    warnings.filterwarnings("ignore", message=".*isinstance.treespec, LeafSpec. is deprecated")


def _is_no_advertisement(record: logging.LogRecord) -> bool:
    return "litlogger" not in record.getMessage()


def main(args: list[str] | None = None) -> EspalierCLI:
    """Run one command.

    Args:
        args: words of the command line without the program's name; those of the process if not given.

    Raises:
        SystemExit: with code 2 and one line on standard error, if the user can mend what is wrong.
    """
    _leave_out_noise()
    try:
        return EspalierCLI(sys.argv[1:] if args is None else args)
    except (ArgumentError, ValueError, FileNotFoundError, PermissionError) as error:
        print(f"error: {_in_one_line(error)}", file=sys.stderr)
        raise SystemExit(2) from None
    finally:
        os.environ.pop(callbacks.RUN_ID_VARIABLE, None)  # a second call in this process is another run


if __name__ == "__main__":
    main()
