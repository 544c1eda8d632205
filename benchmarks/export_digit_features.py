"""Exports the classifier of MNIST's digits that `networks.DigitFeatures` takes its features from.

    python cli.py fit --config configs/classifier/mnist.yaml --run.id mnist-features
    python cli.py test --run.id mnist-features
    python -m benchmarks.export_digit_features --run runs/classifier-mnist/mnist-features

It writes `networks/weights/mnist_classifier.safetensors`, and beside it what the run's folder tells of its making.
Distances in other features are other numbers: after an export, those of docs/results.md have to be measured anew.
"""

import argparse
import hashlib
import json
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
import yaml

WEIGHTS = Path(__file__).parent.parent / "networks" / "weights" / "mnist_classifier.safetensors"
LEAST_ACCURACY = 0.993  # of the test part


def main() -> None:
    """Export the run that was named."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--run", type=Path, required=True, help="folder of a tested run of the classifier")
    run = parser.parse_args().run
    made = provenance(run)
    if made["test_accuracy"] < LEAST_ACCURACY:
        parser.error(f"{run} has test/accuracy {made['test_accuracy']:.4f}: it takes at least {LEAST_ACCURACY}")
    state = torch.load(run / "checkpoints" / "best.ckpt", weights_only=True)["state_dict"]
    prefix = "network."
    network = {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
    weights = safetensors.torch.save(network, {key: json.dumps(value) for key, value in made.items()})
    WEIGHTS.parent.mkdir(exist_ok=True)
    WEIGHTS.write_bytes(weights)
    stated = {"sha256": hashlib.sha256(weights).hexdigest(), **made}
    WEIGHTS.with_suffix(".json").write_text(json.dumps(stated, indent=2) + "\n")
    print(f"wrote {WEIGHTS}, {len(weights)} bytes, sha256 {stated['sha256']}")


def provenance(run: Path) -> dict[str, Any]:
    """What a run's folder tells of the making of its weights."""
    config = yaml.safe_load((run / "config.yaml").read_text())
    fit = [launch for launch in json.loads((run / "provenance.json").read_text()) if launch["stage"] == "fit"][-1]
    return {
        "network": config["model"]["init_args"]["network"]["init_args"],
        "command": " ".join(["python", *fit["command"]]),
        "git_commit": fit["git_commit"],
        "git_modified": fit["git_modified"],
        "seed": config["seed_everything"],
        "data_sha256": fit["data_sha256"],
        "versions": {name: fit["versions"][name] for name in ("torch", "torchvision", "lightning")},
        "test_accuracy": json.loads((run / "test.json").read_text())["test/accuracy"],
    }


if __name__ == "__main__":
    main()
