"""A run that is named brings its own configuration and checkpoint, and continues only what it was."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from jsonargparse import Namespace

from callbacks.checkpoint import newest_whole
from callbacks.run_folder import RunFolder, RunSettings
from callbacks.run_record import shared_settings
from callbacks.settings import SettingsError, differences
from callbacks.sources import flags


def with_own_config(args: list[str]) -> list[str]:
    """Where a run is named and no configuration is, put the run's own in front of the flags.

    Args:
        args: the command line, subcommand first.

    Raises:
        ValueError: if there is no such run, and no model to begin one with.
    """
    given = {name: value for name, value in flags(args) if value is not None}
    if "config" in given or "run.id" not in given:
        return args
    settings = RunSettings(
        id=given["run.id"], experiment=given.get("run.experiment"), dir=given.get("run.dir", RunSettings.dir)
    )
    run = RunFolder.find(settings)
    if run is None and "model" not in given:
        raise ValueError(f"there is no run {settings.id!r} in {settings.dir!r}: check --run.id and --run.dir")
    if run is None:
        return args
    # whatever the file says of its place: it may have been moved, or come from somebody else
    place = [f"--run.dir={settings.dir}", f"--run.experiment={run.path.parent.name}"]
    return [args[0], f"--config={run.config}", *place, *args[1:]]


def own_checkpoint(run: RunFolder, subcommand: str | None) -> str | None:
    """Choose the checkpoint that a command takes if none is given.

    It is the newest to train on, and else the mean of the last epochs, the best or the newest, whichever is there.

    Raises:
        ValueError: if the command needs one and there is none.
    """
    if subcommand in ("fit", "check"):
        newest = newest_whole(run.last.parent)
        return str(newest) if newest else None
    for path in (run.average, run.best, run.last):
        if path.exists():
            return str(path)
    raise ValueError(
        f"{subcommand} needs a trained model: give the --run.id of a run in {run.path.parent.parent}, or a --ckpt_path"
    )


def refuse_other_settings(saved: Mapping[str, Any], config: dict[str, Any], run: RunFolder) -> None:
    """Let training go on only with the model, the data and the seed that the checkpoint was trained with.

    Args:
        saved: the checkpoint.
        config: the resolved configuration.
        run: that would go on.

    Raises:
        SettingsError: naming every difference.
    """
    before = shared_settings(run.load_config()) if run.config.exists() else None
    trained = saved.get("callbacks", {}).get("RunRecord", {}).get("settings", before)
    if trained is not None and (changes := differences(trained, shared_settings(config))):
        raise SettingsError(
            [
                f"run {run.id} was trained with other settings ({'; '.join(changes)}): "
                "take the changes back, choose another --run.id, or add --run.override true"
            ]
        )


def plain_config(config: Namespace, passing: Iterable[str], linked: Iterable[str]) -> dict[str, Any]:
    """The resolved configuration of a run as plain values.

    Args:
        config: the settings of a command.
        passing: keys of what belongs to this launch only.
        linked: dotted keys of what follows another setting.
    """
    # not the parser's own dump, which cannot write a number where a transform's type is `numbers.Number`
    plain: dict[str, Any] = json.loads(json.dumps(config.as_dict(), default=str))
    for key in passing:
        plain.pop(key, None)
    for target in linked:
        part, _, key = target.partition(".init_args.")
        plain[part].get("init_args", {}).pop(key, None)
    plain["trainer"].pop("default_root_dir")  # the run's folder, wherever it is moved to
    plain["run"]["override"] = False  # said for one launch, not for every later one
    return plain


def print_changes(run: RunFolder, config: Mapping[str, Any]) -> None:
    """Print each setting of a run that exists already which is another one in this launch."""
    for change in differences(run.load_config(), config) if run.config.exists() else []:
        if not change.startswith("run.override"):  # said for one launch only
            print(f"changed from the run's own config: {change}")
