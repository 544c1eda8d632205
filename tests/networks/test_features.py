import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch

from networks import InceptionFeatures, RawFeatures


@pytest.mark.parametrize("shape", [(3, 8, 6), (2,)])
def test_raw_features_are_the_values(shape: tuple[int, ...]) -> None:
    x = torch.rand(5, *shape)
    features = RawFeatures(shape)
    with torch.autocast("cpu", torch.bfloat16):
        found = features.train()(x)
    assert features.dim == found.shape[1]
    assert f"{features.dim} features" in features.description
    assert not features.training
    assert torch.equal(found, x.flatten(1))


def test_inception_says_what_it_lacks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    weights = str(tmp_path / "weights.pth")
    monkeypatch.setitem(sys.modules, "torch_fidelity", None)
    with pytest.raises(ValueError, match="InceptionFeatures needs torch-fidelity: pip install torch-fidelity"):
        InceptionFeatures(weights)
    monkeypatch.setitem(sys.modules, "torch_fidelity", ModuleType("torch_fidelity"))
    with pytest.raises(ValueError, match=r"weights\.pth': there is no such file"):
        InceptionFeatures(weights)
