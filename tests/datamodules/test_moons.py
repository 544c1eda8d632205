import math
from typing import Any

import pytest
import torch
from sklearn.datasets import make_moons

from datamodules import PointBatch, TwoMoons


def everything(data: TwoMoons, part: Any = "train") -> PointBatch:
    dataset = data.dataset(part)
    return dataset.__getitems__(range(len(dataset)))


def distance_to_moons(batch: PointBatch) -> torch.Tensor:
    """Distance of each point to the nearest of scikit-learn's noiseless moons of the same class, moved and doubled."""
    point, label = make_moons(20_001)
    moons = 2 * (torch.from_numpy(point).float() - torch.tensor([0.5, 0.25]))
    distance = torch.empty(len(batch.point))
    for place, theirs in ((0, 1), (1, 0)):  # they call the upper moon 0
        chosen = batch.label == place
        distance[chosen] = torch.cdist(batch.point[chosen], moons[torch.from_numpy(label) == theirs]).amin(1)
    return distance


def test_points_are_those_of_scikit_learns_moons() -> None:
    data = TwoMoons(noise=0.0)
    batch = everything(data)
    assert batch.point.dtype == torch.float32
    assert batch.point.shape[1:] == data.data_shape
    assert distance_to_moons(batch).max() < 1e-3
    assert batch.point[batch.label == 1, 1].mean() > 0 > batch.point[batch.label == 0, 1].mean()
    assert data.class_names == ("lower", "upper")


def test_defaults_are_those_of_the_paper() -> None:
    data = TwoMoons()
    assert everything(data).label.bincount().tolist() == [150, 150]
    assert everything(data).point.mean(0).norm() < 0.15
    many = everything(TwoMoons(train_size=20_000))
    centre = torch.where(many.label[:, None] == 1, 1.0, -1.0) * torch.tensor([-1.0, -0.5])
    radius = (many.point - centre).norm(dim=1)
    assert radius.mean().item() == pytest.approx(2, abs=0.01)
    assert radius.std().item() == pytest.approx(0.1, abs=0.005)


def test_rotation_turns_counter_clockwise_about_the_origin() -> None:
    turned = everything(TwoMoons(noise=0.0, rotation=35))
    turn = math.radians(-35)
    back = torch.tensor([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]])
    assert distance_to_moons(turned).max() > 0.5
    assert distance_to_moons(turned._replace(point=turned.point @ back.T)).max() < 1e-3
    # other points than those of the source, not the same ones turned
    assert not everything(TwoMoons(noise=0.0)).label.equal(turned.label)
    quarter = everything(TwoMoons(noise=0.0, rotation=90))
    assert quarter.point[quarter.label == 1, 0].mean() < 0


def test_parts_are_the_same_every_time_and_share_no_point() -> None:
    sizes = {"train_size": 30, "val_size": 20, "test_size": 10}
    torch.manual_seed(0)
    one = TwoMoons(**sizes, seed=0)
    points = [everything(one, part).point for part in ("train", "val", "test")]
    assert [len(part) for part in points] == [30, 20, 10]
    assert len(torch.cat(points).unique(dim=0)) == 60
    torch.manual_seed(1)
    assert TwoMoons(**sizes, seed=1).fingerprint() == one.fingerprint()
    assert TwoMoons(**sizes, split_seed=1).fingerprint() != one.fingerprint()


def test_the_place_of_a_point_does_not_tell_its_class() -> None:
    label = everything(TwoMoons(train_size=1_000)).label
    assert 400 < (label[1:] == label[:-1]).sum() < 600
    assert 200 < label[:500].sum() < 300


@pytest.mark.parametrize(
    "arguments",
    [{"noise": -0.1}, {"noise": float("nan")}, {"radius": 0.0}, {"rotation": float("inf")}, {"train_size": 0}],
)
def test_impossible_arguments_are_named(arguments: dict[str, Any]) -> None:
    ((name, value),) = arguments.items()
    with pytest.raises(ValueError, match=rf"^{name}={value!r} is .*: choose "):
        TwoMoons(**arguments)
