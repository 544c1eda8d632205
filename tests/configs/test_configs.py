"""Every shipped configuration runs, alone and under every overlay, and says what its keys mean."""

import bz2
import json
import pickle
from collections.abc import Mapping
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torchvision
import yaml
from lightning import LightningModule
from offline import small
from undrawn import undrawn

import cli
from callbacks.protocols import Adapting, Classifying, Embedding, Filtered, Generative, Reconstructive
from callbacks.text_protocols import Filling, Translating, Writing
from lit_models import SequenceClassifier

CONFIGS = Path(__file__).parent.parent.parent / "configs"
OVERLAYS = sorted((CONFIGS / "overlay").glob("*.yaml"))
TECHNIQUES = sorted(path for path in CONFIGS.glob("*/*.yaml") if path.parent.name not in ("overlay", "sweeps"))
FIRST_OF_EACH = [min(paths) for _, paths in groupby(TECHNIQUES, key=lambda path: path.parent)]

ADAPTING = ("source_only", "target_only", "dann", "dan", "deep_coral", "cdan", "mcd", "drcn", "dsn")
OF_TWO_DOMAINS = {"test/source_accuracy", "test/target_accuracy", "test/proxy_a_distance"}
OF_TWO_DOMAINS |= {f"oracle/{name}_accuracy" for name in ("selected", "last", "best")}
# the names that readers of test.json rely on
CONTRACT = {
    "autoencoder": {"test/mse", "test/pca_mse_ratio"},
    "sparse_autoencoder": {"test/mse", "test/mean_activation"},
    "denoising_autoencoder": {"test/mse", "test/psnr", "test/psnr_gain"},
    "masked_autoencoder": {"test/total", "test/mean_patch", "test/mean_patch_ratio"},
    "vae": {"test/nll", "test/elbo", "test/kl", "test/active_units"},
    "classifier": {"test/accuracy", "test/total"},
    "stacked": {"test/accuracy", "test/total"},
    "transfer": {"test/accuracy", "test/total"},
    "vit": {"test/accuracy", "test/total"},
    "dbn": {
        "test/accuracy",
        "test/total",
        "test/layer1/free_energy",
        "test/layer1/log_z",
        "test/layer1/log_z_error",
        "test/layer1/log_likelihood",
    },
    "masked_language_model": {"test/nll", "test/perplexity", "test/token_accuracy"},
    "sequence_classifier": {"test/accuracy", "test/total"},
    "language_model": {"test/nll", "test/perplexity", "test/bits_per_character", "test/token_accuracy"},
    "seq2seq": {
        "test/bleu",
        "test/bleu_lowercased",
        "test/chrf",
        "test/exact_match",
        "test/bleu_signature",
        "test/nll",
    },
    "gan": {"test/precision", "test/recall", "test/diversity", "test/n_real", "test/n_generated", "test/features"},
    "iwae": {"test/nll", "test/elbo", "test/kl", "test/active_units"},
    **dict.fromkeys(ADAPTING, OF_TWO_DOMAINS),
}
# the configurations of the runs that others begin with, by the id that these have in them
RUNS_BEFORE = {"patches": "masked_autoencoder/mnist.yaml"}


@pytest.fixture
def cifar_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that torchvision takes for CIFAR-10: random images in its file format."""
    monkeypatch.setattr(torchvision.datasets.CIFAR10, "_check_integrity", lambda self: True)
    monkeypatch.setattr(torchvision.datasets.CIFAR10, "_load_meta", lambda self: None)
    folder = tmp_path / "sets" / "cifar-10-batches-py"
    folder.mkdir(parents=True, exist_ok=True)
    for number, part in enumerate([*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]):
        pixels = np.random.default_rng(number).integers(0, 256, (10, 3072), dtype=np.uint8)
        (folder / part).write_bytes(pickle.dumps({"data": pixels, "labels": list(range(10))}))
    return folder.parent


@pytest.fixture
def downloaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder in which torchvision finds the weights that it would download: random ones in their file."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    folder = tmp_path / "torch" / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    known = torchvision.models.ResNet18_Weights.DEFAULT
    torch.save(torchvision.models.resnet18().state_dict(), folder / Path(known.url).name)


@pytest.fixture
def usps_root(tmp_path: Path) -> Path:
    """A folder that torchvision takes for USPS: random images in its file format."""
    folder = tmp_path / "sets"
    folder.mkdir(exist_ok=True)
    for file, count in (("usps.bz2", 200), ("usps.t.bz2", 40)):
        pixels = np.random.default_rng(0).uniform(-1, 1, (count, 256))
        rows = (" ".join(f"{place}:{value:.2f}" for place, value in enumerate(row, 1)) for row in pixels)
        (folder / file).write_bytes(
            bz2.compress("\n".join(f"{at % 10 + 1} {row}" for at, row in enumerate(rows)).encode())
        )
    return folder


@pytest.fixture
def text_file(tmp_path: Path) -> Path:
    """A text of 12,000 characters."""
    path = tmp_path / "text.txt"
    path.write_text("All the world's a stage, and all the men and women merely players.\n" * 180)
    return path


@pytest.fixture
def sentence_root(tmp_path: Path) -> Path:
    """A folder of sentences in two languages, as Multi30k comes."""
    folder = tmp_path / "sentences"
    folder.mkdir()
    for part, count in (("train", 100), ("val", 20), ("test_2016_flickr", 20)):
        for language, words in (("de", ("ein", "Hund", "läuft")), ("en", ("a", "dog", "runs"))):
            lines = (" ".join((*words * (1 + number % 3), str(number))) for number in range(count))
            (folder / f"{part}.{language}").write_text("\n".join(lines) + "\n")
    return folder


@pytest.fixture
def places(
    mnist_root: Path,
    picture_root: Path,
    cifar_root: Path,
    usps_root: Path,
    downloaded: None,
    text_file: Path,
    sentence_root: Path,
) -> Mapping[str, str]:
    """The argument of each dataset that the package does not carry."""
    roots = {"MNIST": mnist_root, "MNISTM": mnist_root, "ImageFolder": picture_root}
    roots |= {"CIFAR10": cifar_root, "USPS": usps_root, "ParallelText": sentence_root}
    return {name: f"root={path}" for name, path in roots.items()} | {"TextFile": f"path={text_file}"}


def name(path: Path) -> str:
    return f"{path.parent.name}/{path.stem}"


def pictures_of(model: LightningModule) -> set[str]:
    """What the model's methods allow to draw, after `fit` and after `test`."""
    kinds = {"reconstructions": Reconstructive, "samples": Generative, "latents": Embedding}
    if isinstance(model, SequenceClassifier):  # texts are no images
        return {"test_confusion.png"}
    if isinstance(model, Adapting):  # two domains, whose codes have a picture of their own
        kinds = {"reconstructions": Reconstructive, "domains": Adapting}
    names = {f"{name}.png" for name, kind in kinds.items() if isinstance(model, kind)}
    names |= {f"test_{name}" for name in names}
    if isinstance(model, Classifying):
        names |= {"test_confusion.png", "test_misclassified.png"}
        if model.feature_maps(torch.zeros(2, *model.hparams["image_shape"])) is not None:
            names.add("test_grad_cam.png")
    if isinstance(model, Translating):
        names |= {f"{prefix}attention_cross.png" for prefix in ("", "test_")}
    return names | ({"filters.png"} if isinstance(model, Filtered) else set())


def predicted_by(model: LightningModule) -> str:
    """The file that `predict` writes."""
    kinds = {"latents.npz": (Embedding, Filling), "translations.txt": (Translating,), "scores.npz": (Writing,)}
    return next((file for file, some in kinds.items() if isinstance(model, some)), "samples.npz")


def quick(given: Mapping[str, Any]) -> list[str]:
    """Words that bring down what takes its time whatever a few batches hold."""
    words = ["--data.init_args.batch_size=8", "--data.init_args.eval_batch_size=16", "--pictures.n_samples=9"]
    words += ["--data.init_args.image_size=32"] if "image_size" in given["data"]["init_args"] else []
    model = given["model"]["init_args"]
    # what untrained networks write hardly ever ends
    counts = {"max_tokens": 6, "gibbs_steps": 10, "ais_chains": 10, "ais_temperatures": 20}
    words += [f"--model.init_args.{key}={count}" for key, count in counts.items() if key in model]
    for part, network in model.items():
        sizes = network.get("init_args", {}) if isinstance(network, dict) else {}
        for key, most in {"width": 32, "layers": 2}.items():
            if isinstance(sizes.get(key), int) and sizes[key] > most:
                words.append(f"--model.init_args.{part}.init_args.{key}={most}")
    return words


@pytest.mark.parametrize("config", TECHNIQUES, ids=name)
def test_config_runs_through_every_stage(
    config: Path, tmp_path: Path, places: Mapping[str, str], picture_root: Path
) -> None:
    given = yaml.safe_load(config.read_text())
    data = given["data"]
    words = ["--config", str(config), "--config", str(CONFIGS / "overlay/debug.yaml"), *small(config), *quick(given)]
    words += ["--data.init_args.train_per_class=8"] if "train_per_class" in data["init_args"] else []
    if before := RUNS_BEFORE.get(given["model"]["init_args"].get("weights")):
        first = ["--config", str(CONFIGS / before), "--config", str(CONFIGS / "overlay/debug.yaml"), "--run.id=first"]
        root = f"--data.init_args.{places[data['class_path']]}"
        words.append(f"--model.init_args.weights={cli.main(['fit', *first, root, f'--run.dir={tmp_path}']).run.path}")
    domains = {f"data.init_args.{name}": data["init_args"].get(name) for name in ("source", "target")}
    for key, chosen in {"data": data, **domains}.items():
        if not isinstance(chosen, dict):  # texts have languages for source and target
            continue
        if argument := places.get(chosen["class_path"]):
            words.append(f"--{key}.init_args.{argument}")
        if chosen["class_path"] == "MNISTM":
            words += [f"--{key}.init_args.photos={picture_root}", f"--{key}.init_args.cache={tmp_path}"]
    place = [f"--run.dir={tmp_path}", "--run.id=smoke"]
    with undrawn():  # the test draws all kinds of pictures
        fitted = cli.main(["fit", *words, *place])
        if config in FIRST_OF_EACH:  # the others have validated in training
            cli.main(["validate", *place])
    run = fitted.run
    cli.main(["test", *place])
    cli.main(["predict", *place])
    assert CONTRACT.get(config.parent.name, set()) <= json.loads((run.path / "test.json").read_text()).keys()
    drawn = {path.name for path in (run.path / "media").iterdir()}
    assert {"learning_curves.png"} | pictures_of(fitted.model) <= drawn
    assert (run.path / predicted_by(fitted.model)).exists()


def check_overlays(config: Path, overlays: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    """What all of them set is in the configuration that a command with them prints; the last one of a key counts."""
    expected: dict[str, dict[str, object]] = {}
    for overlay in overlays:
        for key, value in yaml.safe_load(overlay.read_text()).items():
            expected[key] = expected.get(key, {}) | value
    with pytest.raises(SystemExit, match="0"):
        cli.main(["fit", *(f"--config={path}" for path in (config, *overlays)), "--print_config"])
    printed = yaml.safe_load(capsys.readouterr().out)
    for key, value in expected.items():
        assert value.items() <= printed[key].items()
    given = yaml.safe_load(config.read_text())["model"]
    assert printed["model"]["class_path"].endswith(given["class_path"])
    plain = {key: value for key, value in given["init_args"].items() if not isinstance(value, dict | list)}
    assert plain.items() <= printed["model"]["init_args"].items()


@pytest.mark.parametrize("config", TECHNIQUES, ids=name)
def test_overlays_combine_with_every_config(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    check_overlays(config, OVERLAYS, capsys)


@pytest.mark.parametrize("overlay", OVERLAYS, ids=lambda path: path.stem)
def test_every_overlay_changes_what_it_says(overlay: Path, capsys: pytest.CaptureFixture[str]) -> None:
    check_overlays(CONFIGS / "vae/digits.yaml", [overlay], capsys)


@pytest.mark.parametrize("config", TECHNIQUES, ids=name)
def test_no_size_of_the_data_is_written_in_a_config(config: Path) -> None:
    assert "image_shape" not in config.read_text()
    assert "num_classes" not in config.read_text()
    assert "vocab_size" not in config.read_text()


@pytest.mark.parametrize("config", TECHNIQUES, ids=name)
def test_technique_has_its_page(config: Path) -> None:
    page = CONFIGS.parent / "docs" / f"{config.parent.name}.md"
    assert f"configs/{name(config)}.yaml" in page.read_text()


def test_sweep_launches_a_command_that_parses(capsys: pytest.CaptureFixture[str]) -> None:
    sweep = yaml.safe_load((CONFIGS / "sweeps/vae.yaml").read_text())
    chosen = {
        key: space["values"][0] if "values" in space else space["min"] for key, space in sweep["parameters"].items()
    }
    flags = [f"--{key}={value}" for key, value in chosen.items()]
    words = [
        part
        for word in sweep["command"]
        for part in (flags if word == "${args}" else [word.replace("${program}", sweep["program"])])
    ]
    assert words[:4] == ["${env}", "python", "cli.py", "fit"]
    with pytest.raises(SystemExit, match="0"):
        cli.main([*words[3:], "--print_config"])
    printed = yaml.safe_load(capsys.readouterr().out)
    for key, value in chosen.items():
        found = printed
        for part in key.split("."):
            found = found[part]
        assert found == value
    assert sweep["metric"]["name"] == "val/elbo"
