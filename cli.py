"""Espalier's one entry: `python cli.py fit --config configs/<technique>/<data>.yaml`."""

import gc

# look for garbage every so many new objects, not every 700: the imports below make millions that stay
gc.set_threshold(100_000)

import inspect
import os
import sys
from functools import partial
from typing import Any

from jsonargparse import Namespace
from lightning import LightningDataModule, Trainer
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from lightning.pytorch.utilities import rank_zero_info

import callbacks
import datamodules  # noqa: F401  # makes the names of its classes known, as the next two do
import lit_models
import networks  # noqa: F401
from callbacks import RunFolder, RunSettings, SettingsError, WandbSettings
from lit_models import Technique

SUBCOMMANDS = ("fit", "check", "validate", "test", "predict", "sample", "export")
CALLBACKS = {
    "averaging": callbacks.CheckpointAveraging,
    "checkpoint": callbacks.Checkpoint,
    "early_stopping": callbacks.EarlyStopping,
    "pictures": callbacks.Pictures,
    "pretraining": callbacks.GreedyPretraining,
    "unfreezing": callbacks.Unfreezing,
}
# what is never written in a configuration, because it follows another setting
LINKED = {
    "data.init_args.seed": "seed_everything",
    "model.init_args.data_shape": "data.data_shape",
    "model.init_args.image_shape": "data.image_shape",
    "model.init_args.num_classes": "data.num_classes",
    "model.init_args.vocab_size": "data.vocab_size",
    "model.init_args.context": "data.context",
}


class EspalierCLI(LightningCLI):
    """LightningCLI in which a run is a folder that can be continued, tested and read by its id."""

    trainer: callbacks.CommandTrainer

    def __init__(self, args: list[str]) -> None:
        callbacks.check_command(args, SUBCOMMANDS)
        self.command = ["cli.py", *args]
        parser_kwargs = {"exit_on_error": False}
        super().__init__(
            Technique,
            LightningDataModule,
            save_config_callback=None,
            trainer_class=callbacks.CommandTrainer,
            trainer_defaults={
                "max_epochs": 10,
                "use_distributed_sampler": False,  # the data brings its own resumable sampler
                "enable_model_summary": False,
                "num_sanity_val_steps": 0,  # a continued run would have one more of them than an unbroken one
            },
            seed_everything_default=0,
            parser_kwargs={**parser_kwargs, **{name: dict(parser_kwargs) for name in self.subcommands()}},
            subclass_mode_model=True,
            subclass_mode_data=True,
            args=callbacks.with_own_config(args),
            auto_configure_optimizers=False,
        )

    def subcommands(self) -> dict[str, set[str]]:  # type: ignore[override]  # Lightning asks the instance
        """Trainer methods, or the one that is asked for, and the arguments of theirs that are not flags."""
        shared = {"model", "datamodule", "weights_only"}
        known = {
            "fit": shared | {"train_dataloaders", "val_dataloaders"},
            "validate": shared | {"dataloaders", "verbose"},
            "test": shared | {"dataloaders", "verbose"},
            "predict": shared | {"dataloaders", "return_predictions"},
            **dict.fromkeys(("check", "sample", "export"), shared),
        }
        asked = self.command[1]
        return {asked: known[asked]} if asked in known else known  # a parser takes a fifth of a second to build

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add the run, its tracking, the default callbacks, and the links from the data."""
        parser.add_class_arguments(RunSettings, "run")
        parser.add_class_arguments(WandbSettings, "wandb")
        for key, callback in CALLBACKS.items():
            parser.add_lightning_class_args(callback, key)
        for target, source in LINKED.items():
            # a shape becomes a list, because checkpoints hold plain values only
            compute = _number if source == "seed_everything" else list if source.endswith("_shape") else None
            parser.link_arguments(source, target, compute, apply_on="parse" if compute is _number else "instantiate")

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        """Parse the words that `main` was given, after a look at them that finds all mistakes at once."""
        self.given = callbacks.read_settings(args[1:])
        if not any(word in ("-h", "--help") or ".help" in word for word in args):
            settings = callbacks.SettingsCheck(self.given, LINKED, needed=("model", "data"))
            settings.run(self._parser(args[0]))
            for warning in settings.warnings:
                rank_zero_info(f"warning: {warning}")
            if settings.problems:
                raise SettingsError(settings.problems)
            self.defaults = settings.defaults
        self.config = parser.parse_args(args)

    def _parse_ckpt_path(self) -> None:
        """Nothing: hyper-parameters in a checkpoint are compared with the settings, and never replace them."""

    def before_instantiate_classes(self) -> None:
        """Find the run's folder and what it already holds."""
        config = self.config[self.subcommand]
        settings = RunSettings(**config.run.as_dict())
        experiment = callbacks.default_experiment(config.model.class_path, config.data.as_dict())
        self.run = (settings.id and RunFolder.find(settings)) or RunFolder.create(settings, experiment)
        self.run.check_writable()
        if self.given.origin("trainer.default_root_dir") not in (None, str(self.run.config)):
            raise ValueError("trainer.default_root_dir: follows run.dir, run.experiment and run.id, leave it out")
        config.run.id, config.run.experiment = self.run.id, self.run.path.parent.name
        config.trainer.default_root_dir = str(self.run.path)
        flags = inspect.signature(getattr(callbacks.CommandTrainer, str(self.subcommand))).parameters
        passing = {"config", *flags} - self.subcommands()[str(self.subcommand)]
        self.plain_config = callbacks.plain_config(config, passing, LINKED)
        self.checkpoint = config.ckpt_path or callbacks.own_checkpoint(self.run, self.subcommand)
        self.saved = callbacks.read_checkpoint(self.checkpoint) if self.checkpoint else None
        if self._trains and self.saved and not settings.override:
            callbacks.refuse_other_settings(self.saved, self.plain_config, self.run)
        callbacks.print_changes(self.run, self.plain_config)
        weights = config.model.get("init_args", {}).get("weights")  # of another run, to begin with
        tokenizer = self.run.tokenizer if self.checkpoint else lit_models.tokenizer_of(weights)
        callbacks.hand_over_tokenizer(tokenizer, config.data)

    def instantiate_classes(self) -> None:
        """Build everything, or name whatever stands against it."""
        config, parser = self.config[self.subcommand], self._parser(self.subcommand)
        problems = callbacks.hardware_problems(config.trainer)
        problems = problems or callbacks.problems_in(super().instantiate_classes, self.plain_config)
        if missing := callbacks.missing_links(config, LINKED):
            raise SettingsError(missing)
        if problems:  # in one part, perhaps not the only one
            problems += callbacks.problems_in(lambda: parser.instantiate(_modules(config)), self.plain_config)
            for key, callback in CALLBACKS.items():
                problems += callbacks.problems_in(partial(callback, **config[key].as_dict()), self.plain_config)
            raise SettingsError(list(dict.fromkeys(problems)))

    def after_instantiate_classes(self) -> None:
        """Make sure that the checkpoint is one of this model."""
        if self.saved and (misfit := callbacks.misfit(self.saved, self.model, self._trains)):
            raise ValueError(f"ckpt_path: {self.checkpoint!r} does not fit: {misfit}")
        self.saved = None

    @property
    def _trains(self) -> bool:
        return self.subcommand in ("fit", "check")

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """Add the loggers and the callbacks that belong to every run."""
        config = self.config_init[self.subcommand]
        if config.trainer.sync_batchnorm:
            config.trainer.sync_batchnorm = False
            config.trainer.plugins = [*(config.trainer.plugins or []), callbacks.SyncBatchNorm()]
        if self.subcommand == "check":
            self.preflight = callbacks.Preflight(config.trainer, self.plain_config)
            with callbacks.without_hints():
                return super().instantiate_trainer(**self.preflight.trainer_arguments(config.trainer.callbacks or []))
        if self.subcommand in callbacks.CARRIED_OUT_BY:
            config.trainer.callbacks = callbacks.carried_out_by(self.subcommand, config.seed_everything)
            with callbacks.without_hints():
                return super().instantiate_trainer(logger=False)
        # only training has steps to write rows for; validate and test write one JSON each
        rows = [callbacks.MetricsFile(self.run.path)] if self.subcommand == "fit" else []
        loggers = callbacks.loggers_of(config.trainer.logger, config.wandb, self.run, rows)
        own = callbacks.callbacks_of_every_run(self.run, self.plain_config, self.command, config.checkpoint)
        if self.subcommand == "predict":
            own.append(callbacks.PredictionWriter())
        if config.trainer.enable_progress_bar is None and not sys.stdout.isatty():
            config.trainer.enable_progress_bar = False
            own.append(callbacks.EpochLines())
        config.trainer.callbacks = [*(config.trainer.callbacks or []), *own]
        kwargs["profiler"] = config.trainer.profiler or callbacks.NoProfiler()
        return super().instantiate_trainer(logger=loggers, **kwargs)

    def _prepare_subcommand_kwargs(self, subcommand: str) -> dict[str, Any]:
        kwargs: dict[str, Any] = super()._prepare_subcommand_kwargs(subcommand)
        if subcommand == "check":  # which does not go on from the checkpoint, but has looked at it
            return {name: kwargs[name] for name in ("model", "datamodule")}
        return {**kwargs, "ckpt_path": self.checkpoint, "weights_only": True}

    def _run_subcommand(self, subcommand: str) -> None:
        try:
            super()._run_subcommand(subcommand)
        except ValueError as error:
            if type(error) is not ValueError:
                raise
            raise SettingsError(callbacks.problems_of(error, self.plain_config)) from error

    def check(self, **kwargs: Any) -> None:
        """Say where the settings come from, try everything, and keep nothing."""
        linked = {
            target: (self._followed(source), source) for target, source in LINKED.items() if target in self.defaults
        }
        if self.checkpoint and not self.given.origin("ckpt_path"):
            linked["ckpt_path"] = (self.checkpoint, "the run's own checkpoint")
        if self.trainer.is_global_zero:
            callbacks.print_origins(self.plain_config, self.given, self.defaults, linked)
            print()
        with callbacks.without_hints():
            self.trainer.check(**kwargs)
        if self.preflight.problems:
            raise SettingsError(self.preflight.problems)
        if self.trainer.is_global_zero:
            print("no problems found, nothing was kept")

    def _followed(self, source: str) -> Any:
        part, _, name = source.partition(".")
        return getattr(self.datamodule, name) if name else self.config[self.subcommand][part]

    def fit(self, **kwargs: Any) -> None:
        """Train, and say what was made, or how to go on."""
        try:
            self.trainer.fit(**kwargs)
        except callbacks.TerminatedError as stop:
            if not self.trainer.is_global_zero:
                raise SystemExit(0) from None  # a launcher that sees one process fail would kill the others
            print(f"{stop} and saved; to continue: {self.run.continuation}", flush=True)
            raise SystemExit(stop.exit_code) from None
        except callbacks.DivergedError:
            if not self.trainer.is_global_zero:
                raise SystemExit(2) from None  # all processes stop for the same reason, and one says it
            raise
        callbacks.print_written(self.run, self.trainer)

    def validate(self, **kwargs: Any) -> None:
        """Evaluate on the validation part, and write `validate.json`."""
        callbacks.write_results(self.run, self.trainer, self.trainer.validate(verbose=False, **kwargs))
        callbacks.print_written(self.run, self.trainer)

    def test(self, **kwargs: Any) -> None:
        """Evaluate on the test part, and write `test.json`."""
        callbacks.write_results(self.run, self.trainer, self.trainer.test(verbose=False, **kwargs))
        callbacks.print_written(self.run, self.trainer)

    def predict(self, **kwargs: Any) -> None:
        """Encode, score or translate, and write `latents.npz`, `scores.npz` or `translations.txt`."""
        self.trainer.predict(return_predictions=False, **kwargs)
        callbacks.print_written(self.run, self.trainer)

    def sample(self, **kwargs: Any) -> None:
        """Draw examples, write, translate or complete text with a trained model; write `samples.npz` or text files."""
        self.trainer.sample(**kwargs)
        self._note("sample")

    def export(self, **kwargs: Any) -> None:
        """Write the model's `forward` to a file for other programs, and compare what the file gives."""
        self.trainer.export(**kwargs)
        self._note("export")

    def _note(self, command: str) -> None:
        callbacks.RunRecord(self.run, self.plain_config, self.command).begin(self.trainer, command)
        callbacks.print_written(self.run, self.trainer)


def _modules(config: Namespace) -> Namespace:
    return Namespace(model=config.model, data=config.data)  # type: ignore[no-untyped-call]


def _number(seed: bool | int) -> int:
    if isinstance(seed, bool):
        raise ValueError(f"seed_everything is {seed}: give a number, so that the run can be repeated")
    return seed


def main(args: list[str] | None = None) -> EspalierCLI:
    """Run one command.

    Args:
        args: words of the command line without the program's name; those of the process if not given.

    Raises:
        SystemExit: with code 2 and a line on standard error for each mistake that the user can mend.
    """
    callbacks.leave_out_noise()
    try:
        return EspalierCLI(sys.argv[1:] if args is None else args)
    except callbacks.USER_ERRORS as error:
        for problem in callbacks.problems_of(error):
            print(f"error: {problem}", file=sys.stderr)
        raise SystemExit(2) from None
    finally:
        os.environ.pop(callbacks.RUN_ID_VARIABLE, None)  # a second call in this process is another run


if __name__ == "__main__":
    main()
