import pytest
import torch
from torch import Tensor, nn
from torchvision.transforms import v2

from datamodules.augmentation import KeyedAugmentation

IMAGE = torch.rand(6, 3, 8, 8, generator=torch.Generator().manual_seed(0))
INDEX = torch.tensor([5, 3, 11, 0, 2**40, 7])


class AddNoise(nn.Module):
    def forward(self, image: Tensor) -> Tensor:
        return image + torch.randn_like(image)


@pytest.fixture
def augment() -> KeyedAugmentation:
    return KeyedAugmentation([v2.RandomCrop(8, padding=2), v2.RandomHorizontalFlip(), AddNoise()], seed=4)


def test_outcome_does_not_depend_on_the_batch(augment: KeyedAugmentation) -> None:
    whole = augment(IMAGE, INDEX, 2)
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    assert augment(IMAGE[order], INDEX[order], 2).equal(whole[order])
    for position in range(len(IMAGE)):
        alone = slice(position, position + 1)
        assert augment(IMAGE[alone], INDEX[alone], 2).equal(whole[alone])


def test_outcome_does_not_depend_on_the_global_generator(augment: KeyedAugmentation) -> None:
    torch.manual_seed(0)
    first = augment(IMAGE, INDEX, 2)
    torch.manual_seed(1)
    assert augment(IMAGE, INDEX, 2).equal(first)


def test_outcome_changes_with_seed_epoch_and_index(augment: KeyedAugmentation) -> None:
    same = IMAGE[:1].expand(3, -1, -1, -1)
    index = torch.tensor([1, 2, 3])
    draws = [
        augment(same, index, 0),
        augment(same, index, 1),
        KeyedAugmentation(list(augment.transforms), 5)(same, index, 0),
    ]
    flat = torch.cat(draws).flatten(1)
    assert len(flat.unique(dim=0)) == 9


def test_global_generator_is_put_back_also_after_an_error(augment: KeyedAugmentation) -> None:
    broken = KeyedAugmentation([AddNoise(), nn.Linear(7, 1)], seed=0)
    before = torch.get_rng_state()
    augment(IMAGE, INDEX, 0)
    assert torch.get_rng_state().equal(before)
    with pytest.raises(RuntimeError):
        broken(IMAGE, INDEX, 0)
    assert torch.get_rng_state().equal(before)


def test_input_is_not_changed(augment: KeyedAugmentation) -> None:
    before = IMAGE.clone()
    augment(IMAGE, INDEX, 0)
    assert IMAGE.equal(before)


def test_change_of_shape_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"shape \(3, 8, 8\) into \(3, 5, 5\)"):
        KeyedAugmentation([v2.RandomCrop(5)], seed=0)(IMAGE, INDEX, 0)
