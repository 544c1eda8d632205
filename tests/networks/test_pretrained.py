"""Weights of all kinds are found in their files, and by their names in the network."""

import re
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import Tensor, nn
from torchvision import models

from networks import ConvClassifier, ImageShape, Pretrained
from networks.pretrained import load_pretrained, read_file, shipped_classifier, state_in
from networks.torchvision_networks import check_torchvision_name, torchvision_network, torchvision_weights

SHAPE = ImageShape(1, 8, 8)


def network(seed: int = 0, **sizes: Any) -> ConvClassifier:
    torch.manual_seed(seed)
    return ConvClassifier(SHAPE, 10, **{"channels": (4, 6), "features": 5, **sizes})


def under(prefix: str, state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {prefix + name: value for name, value in state.items()}


def load(own: nn.Module, state: dict[str, Tensor], leave_out: str | None = None) -> Any:
    return load_pretrained(own, "ConvClassifier", Pretrained("given.pth", state), leave_out)


def equal(one: nn.Module, other: nn.Module, but: str = "nothing") -> bool:
    states = one.state_dict(), other.state_dict()
    return all(torch.equal(states[0][name], states[1][name]) for name in states[0] if not name.startswith(but))


@pytest.mark.parametrize("place", ["", "state_dict", "model", "model_state_dict", "weights"])
@pytest.mark.parametrize("suffix", [".pth", ".ckpt", ".safetensors"])
def test_weights_are_found_in_a_file(place: str, suffix: str, tmp_path: Path) -> None:
    state = network().state_dict()
    path = tmp_path / f"given{suffix}"
    if suffix == ".safetensors":
        safetensors.torch.save_file(state, path)
    else:
        torch.save({place: state, "epoch": 3, "optimizer": {"lr": 0.1}} if place else state, path)
    found = state_in(read_file(path), path)
    assert found.keys() == state.keys()
    assert all(torch.equal(found[name], state[name]) for name in state)


class Harmful:
    def __reduce__(self) -> Any:
        return (print, ("code was run",))


@pytest.mark.parametrize("content", [b"", b"no weights", "code"])
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_file_that_cannot_be_read_is_one_clear_line(
    content: Any, suffix: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / f"given{suffix}"
    if content == "code":
        torch.save({"state_dict": Harmful()}, path)
    else:
        path.write_bytes(content)
    with pytest.raises(ValueError, match=rf"^weights is '{path}': it cannot be read, .*$"):
        read_file(path)
    assert "code was run" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("content", "held"),
    [({"epoch": 3, "lr": 0.1}, ", only epoch, lr"), ([1, 2], ""), ({}, ", only "), (torch.zeros(3), "")],
)
def test_a_file_without_weights_says_what_it_holds(content: Any, held: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=rf"^weights is '.*given.pth': it has no weights{held}; keep them by name"):
        state_in(content, tmp_path / "given.pth")


@pytest.mark.parametrize(
    "prefix",
    ["", "model.", "module.", "network.", "backbone.", "module.model.", "network.backbone.network.", "encoder."],
)
def test_prefixes_are_resolved(prefix: str) -> None:
    own, given = network(0), network(1)
    report = load(own, under(prefix, given.state_dict()))
    assert equal(own, given)
    assert (report.prefix, report.missing, report.unexpected, report.misshapen) == (prefix, [], [], {})
    assert str(report) == f"{len(given.state_dict())} tensors taken over" + (f", under {prefix!r}" if prefix else "")


def test_of_several_networks_in_a_file_the_one_that_matches_is_taken() -> None:
    own, given = network(0), network(1)
    state = under("module.encoder.", given.state_dict()) | {
        "module.queue": torch.zeros(3),
        "temperature": torch.ones(1),
    }
    report = load(own, state)
    assert equal(own, given)
    assert report.unexpected == ["module.queue", "temperature"]


def test_the_classification_layer_keeps_its_own() -> None:
    own, given = network(0), network(1)
    before = own.head.weight.clone()
    report = load(
        own, given.state_dict() | {"head.weight": torch.zeros(1000, 5), "head.bias": torch.zeros(1000)}, "head"
    )
    assert torch.equal(own.head.weight, before)
    assert equal(own, given, but="head")
    assert (report.missing, report.unexpected) == ([], [])


def test_the_report_lists_what_is_missing_and_what_is_not_used() -> None:
    own, given = network(0), network(1)
    state = {name: value for name, value in given.state_dict().items() if not name.startswith("head")}
    report = load(own, state | {"projector.weight": torch.zeros(2), "projector.bias": torch.zeros(2)})
    assert str(report).splitlines() == [
        "14 tensors taken over",
        "  not there, left as they were (2): head.bias, head.weight",
        "  there, not used (2): projector.bias, projector.weight",
    ]


def test_files_that_do_not_count_batches_are_whole() -> None:
    own, given = network(0), network(1)
    state = {name: value for name, value in given.state_dict().items() if "num_batches_tracked" not in name}
    assert load(own, state).missing == []


def test_nothing_that_matches_is_one_clear_line() -> None:
    given = {"conv.weight": torch.zeros(3), "conv.bias": torch.zeros(3)}
    with pytest.raises(ValueError) as error:  # noqa: PT011
        load(network(), given)
    line = str(error.value)
    assert line.startswith("weights is 'given.pth': none of them belongs to ConvClassifier, which has body.0.weight,")
    assert "and they are conv.bias, conv.weight: choose the backbone" in line
    assert "\n" not in line


@pytest.mark.parametrize(
    ("sizes", "reason"),
    [
        ({"channels": (4, 7)}, r"body\.4\.weight is \(7, 4, 3, 3\) instead of \(6, 4, 3, 3\); body\.5"),
        (
            {"channels": (4, 6, 8)},
            "they have besides body.13.bias, body.13.weight, body.8.weight and 3 more; body.9",
        ),
        ({"channels": (4,)}, "they lack body.4.weight"),
    ],
    ids=["wider", "deeper", "shallower"],
)
def test_weights_of_another_architecture_are_one_clear_line(sizes: dict[str, Any], reason: str) -> None:
    own = network(0)
    before = {name: value.clone() for name, value in own.state_dict().items()}
    with pytest.raises(
        ValueError, match=rf"^weights is 'given.pth': they are not of this ConvClassifier: .*{reason}"
    ) as e:
        load(own, network(1, **sizes).state_dict())
    assert "\n" not in str(e.value)
    assert all(torch.equal(before[name], value) for name, value in own.state_dict().items())


def test_a_deeper_network_that_begins_alike_is_another_one() -> None:
    with torch.device("meta"):
        shallow, deep = models.resnet18(), models.resnet34()
    with pytest.raises(ValueError, match=r"they have besides layer1\.2\.bn1\.bias, .* and \d+ more$"):
        load(shallow, deep.state_dict())
    with pytest.raises(ValueError, match=r"they lack layer1\.2\.bn1\.bias, .* and \d+ more$"):
        load(deep, shallow.state_dict())


def test_the_shipped_classifier_is_whole() -> None:
    shipped = shipped_classifier()
    assert shipped.network is not None
    own = shipped.network()
    assert load_pretrained(own, "ConvClassifier", shipped).missing == []
    assert (shipped.shape, shipped.mean, shipped.headless) == ((1, 28, 28), None, False)


@pytest.mark.parametrize(
    ("name", "near"), [("resnet81", "'resnet18'"), ("vit_b16", "'vit_b_16'"), ("efficientnet", "'efficientnet_b0'")]
)
def test_an_unknown_name_has_its_near_ones(name: str, near: str) -> None:
    with pytest.raises(ValueError, match=rf"^backbone is '{name}': .* no such classifier, did you mean .*{near}.*\?"):
        check_torchvision_name(name)


def test_a_name_like_no_other_is_refused_and_a_known_one_is_not() -> None:
    with pytest.raises(ValueError, match=r"^backbone is 'xyzzyx': torchvision has no such classifier; give"):
        check_torchvision_name("xyzzyx")
    check_torchvision_name("resnet18")


def test_torchvision_has_weights_by_name() -> None:
    known = torchvision_weights("resnet50")
    assert list(known) == ["IMAGENET1K_V1", "IMAGENET1K_V2", "DEFAULT"]
    assert known["DEFAULT"] is models.ResNet50_Weights.IMAGENET1K_V2


def test_weights_that_cannot_be_downloaded_are_one_clear_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*args: Any, **kwargs: Any) -> None:
        raise OSError("Temporary failure in name resolution")

    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", offline)
    known = torchvision_weights("squeezenet1_1")["DEFAULT"]
    line = (
        f"weights is 'IMAGENET1K_V1': {known.url} cannot be had (Temporary failure in name resolution): bring that "
        "file here and give its path"
    )
    with pytest.raises(ValueError, match=f"^{re.escape(line)}$"):
        torchvision_network("squeezenet1_1", ImageShape(3, 64, 64), known)


@pytest.mark.parametrize("name", ["squeezenet1_1", "googlenet"])
def test_a_file_that_torchvision_names_is_read_by_torchvision(name: str, tmp_path: Path) -> None:
    known = torchvision_weights(name)["DEFAULT"]
    torch.manual_seed(1)
    settings: dict[str, Any] = {"init_weights": False} if name == "googlenet" else {}
    state = models.get_model(name, **settings).state_dict()
    path = tmp_path / Path(known.url).name
    torch.save(state, path)
    before = torch.hub.get_dir()
    own, shape = torchvision_network(name, ImageShape(1, 8, 8), known, path)
    assert shape == (3, 224, 224)
    assert torch.hub.get_dir() == before
    assert all(torch.equal(state[key], value) for key, value in own.state_dict().items())
    assert own.train()(torch.rand(2, 3, 64, 64)).shape == (2, 1000)  # and no logits of classifiers half way
    torch.save({"state_dict": Harmful()}, path)
    with pytest.raises(ValueError, match="it cannot be read"):
        torchvision_network(name, ImageShape(1, 8, 8), known, path)


@pytest.mark.parametrize(
    ("name", "size", "weights", "start"),
    [
        ("vit_b_16", 28, None, r"backbone is 'vit_b_16': vit_b_16 cannot be built for images of 28x28 \("),
        ("vit_b_16", 32, "DEFAULT", r"weights is 'IMAGENET1K_V1': vit_b_16 cannot be built for images of 32x32 \("),
    ],
)
def test_a_size_that_a_network_cannot_have(name: str, size: int, weights: str | None, start: str) -> None:
    known = torchvision_weights(name)[weights] if weights else None
    with pytest.raises(ValueError, match=rf"^{start}.*\): set another image_size"):
        torchvision_network(name, ImageShape(3, 20, 20), known, image_size=size)
