"""Photographs augmented a batch at a time: against torchvision, and image by image."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as tv

import cli
from datamodules import KeyedAugmentation, PhotoAugmentation
from datamodules.photo_augmentation import change_colors, crop_and_flip, crop_boxes

IMAGE = torch.rand(6, 3, 20, 30, generator=torch.Generator().manual_seed(0))
INDEX = torch.tensor([5, 3, 11, 0, 2**40, 7])
PLAIN: dict[str, Any] = {"scale": (1, 1), "flip": 0, "brightness": 0, "contrast": 0, "saturation": 0, "hue": 0}


def draws(number: int, columns: int = 4) -> Tensor:
    return torch.rand(number, columns, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def ones(number: int) -> Tensor:
    return torch.ones(number, 3, dtype=torch.float64)


def test_outcome_does_not_depend_on_the_batch() -> None:
    augment = KeyedAugmentation([PhotoAugmentation()], 4)
    for image in (IMAGE, torch.rand(6, 3, 37, 41)):
        whole = augment(image, INDEX, 2)
        order = torch.tensor([3, 0, 5, 1, 4, 2])
        assert augment(image[order], INDEX[order], 2).equal(whole[order])
        for position in range(len(image)):
            alone = slice(position, position + 1)
            assert augment(image[alone], INDEX[alone], 2).equal(whole[alone])


def test_outcome_does_not_depend_on_the_number_of_threads() -> None:
    image = torch.rand(3, 3, 300, 300)
    augment = KeyedAugmentation([PhotoAugmentation()], 4)
    outcomes = []
    threads = torch.get_num_threads()
    try:
        for number in (1, 3):
            torch.set_num_threads(number)
            outcomes += [augment(image, INDEX[:3], 0)[:1], augment(image[:1], INDEX[:1], 0)]
    finally:
        torch.set_num_threads(threads)
    assert all(outcome.equal(outcomes[0]) for outcome in outcomes)


def test_the_global_generator_is_neither_read_nor_moved() -> None:
    augment = KeyedAugmentation([PhotoAugmentation()], 4)
    torch.manual_seed(0)
    first, state = augment(IMAGE, INDEX, 2), torch.get_rng_state()
    torch.manual_seed(0)
    assert torch.get_rng_state().equal(state)
    torch.manual_seed(1)
    assert augment(IMAGE, INDEX, 2).equal(first)


def test_outcome_changes_with_seed_epoch_and_index() -> None:
    same = IMAGE[:1].expand(3, -1, -1, -1)
    index = torch.tensor([1, 2, 3])
    augment = KeyedAugmentation([PhotoAugmentation()], 4)
    outcomes = [
        augment(same, index, 0),
        augment(same, index, 1),
        KeyedAugmentation([PhotoAugmentation()], 5)(same, index, 0),
    ]
    assert len(torch.cat(outcomes).flatten(1).unique(dim=0)) == 9


def test_input_is_not_changed_and_values_stay_in_range() -> None:
    before = IMAGE.clone()
    outcome = PhotoAugmentation(brightness=3, contrast=3)(IMAGE)
    assert IMAGE.equal(before)
    assert outcome.shape == IMAGE.shape
    assert outcome.min() == 0
    assert outcome.max() == 1


def test_without_any_change_the_image_is_what_it_was() -> None:
    torch.testing.assert_close(PhotoAugmentation(**PLAIN)(IMAGE), IMAGE, atol=1e-5, rtol=0)


def test_a_part_is_enlarged_and_mirrored_as_by_torchvision() -> None:
    box = crop_boxes(draws(6), 20, 30, (0.05, 1.0), (0.5, 2.0))
    flip = torch.tensor([True, False] * 3)
    found = crop_and_flip(IMAGE, box, flip)
    for image, (top, left, height, width), mirrored, outcome in zip(IMAGE, box.tolist(), flip, found, strict=True):
        expected = tv.resized_crop(image, top, left, height, width, [20, 30], antialias=False)
        torch.testing.assert_close(outcome, tv.horizontal_flip(expected) if mirrored else expected, atol=1e-4, rtol=0)


@given(
    height=st.integers(1, 300),
    width=st.integers(1, 300),
    scale=st.lists(st.floats(0.01, 1), min_size=2, max_size=2).map(sorted),
    ratio=st.lists(st.floats(0.1, 10), min_size=2, max_size=2).map(sorted),
)
def test_every_part_lies_in_the_image(height: int, width: int, scale: list[float], ratio: list[float]) -> None:
    top, left, rows, columns = crop_boxes(draws(50), height, width, tuple(scale), tuple(ratio)).unbind(1)
    assert (top >= 0).all()
    assert (left >= 0).all()
    assert (rows >= 1).all()
    assert (columns >= 1).all()
    assert (top + rows <= height).all()
    assert (left + columns <= width).all()


def test_areas_ratios_and_places_have_the_distribution_that_is_promised() -> None:
    top, left, rows, columns = crop_boxes(draws(20000), 1000, 1000, (0.2, 0.5), (0.75, 4 / 3)).double().unbind(1)
    area, aspect = rows * columns / 1e6, (columns / rows).log()
    assert (area.min().item(), area.mean().item(), area.max().item()) == pytest.approx((0.2, 0.35, 0.5), abs=3e-3)
    end = math.log(4 / 3)
    assert (aspect.min().item(), aspect.mean().item(), aspect.max().item()) == pytest.approx((-end, 0, end), abs=5e-3)
    for place, size in ((top, rows), (left, columns)):
        share = place / (1000 - size)
        assert (share.min().item(), share.mean().item(), share.max().item()) == pytest.approx((0, 0.5, 1), abs=6e-3)
    assert (
        torch.corrcoef(torch.stack([area, aspect, top / (1000 - rows), left / (1000 - columns)])).triu(1).max() < 0.03
    )


def test_of_a_long_image_the_whole_is_cut_out_in_the_ratio_that_fits() -> None:
    assert crop_boxes(draws(4), 10, 100, (1, 1), (0.75, 4 / 3)).tolist() == [[0, 0, 10, 100]] * 4


@pytest.mark.parametrize("channels", [1, 3])
def test_brightness_contrast_and_saturation_are_those_of_torchvision(channels: int) -> None:
    image = 0.4 + 0.2 * IMAGE[:, :channels]  # nothing is cut off on the way
    factors = ones(6) + 0.3 * (2 * draws(6, 3) - 1)
    found = change_colors(image, factors, torch.zeros(6, dtype=torch.float64))
    for one, (brightness, contrast, saturation), outcome in zip(image, factors.tolist(), found, strict=True):
        expected = tv.adjust_contrast(tv.adjust_brightness(one, brightness), contrast)
        torch.testing.assert_close(outcome, tv.adjust_saturation(expected, saturation), atol=5e-4, rtol=0)


def test_hue_turns_like_that_of_torchvision_and_keeps_luma_and_greys() -> None:
    image = 0.4 + 0.2 * IMAGE
    turn = torch.full((6,), 0.05, dtype=torch.float64)
    turned = change_colors(image, ones(6), turn)
    torch.testing.assert_close(tv.rgb_to_grayscale(turned), tv.rgb_to_grayscale(image), atol=1e-4, rtol=0)
    torch.testing.assert_close(change_colors(turned, ones(6), -turn), image, atol=1e-5, rtol=0)
    grey = image[:, :1].expand(-1, 3, -1, -1)
    torch.testing.assert_close(change_colors(grey, ones(6), turn), grey, atol=1e-5, rtol=0)
    change, theirs = turned - image, tv.adjust_hue(image, 0.05) - image
    theirs = theirs - tv.rgb_to_grayscale(theirs)  # which HSV changes, and this does not
    assert torch.cosine_similarity(change.flatten(), theirs.flatten(), dim=0) > 0.8


def test_a_third_of_a_turn_makes_red_green_and_green_blue() -> None:
    colors = (0.5 + 0.2 * torch.eye(3)).view(3, 3, 1, 1)
    turned = change_colors(colors, ones(3), torch.full((3,), 1 / 3, dtype=torch.float64))
    assert turned.argmax(1).flatten().tolist() == [1, 2, 0]


def test_half_of_the_images_are_mirrored() -> None:
    torch.manual_seed(0)
    ramp = torch.linspace(0, 1, 8).expand(2000, 3, 8, 8)
    mirrored = PhotoAugmentation(**{**PLAIN, "flip": 0.5})(ramp)[:, 0, 0, 0] > 0.5
    assert mirrored.float().mean().item() == pytest.approx(0.5, abs=0.04)


@pytest.mark.parametrize(
    ("arguments", "start"),
    [
        ({"scale": (0.5, 0.1)}, r"scale is \(0\.5, 0\.1\): give two shares"),
        ({"scale": (0, 1)}, r"scale is \(0, 1\): give two shares"),
        ({"ratio": (2, 1)}, r"ratio is \(2, 1\): give two positive"),
        ({"flip": 2}, "flip is 2: it is a probability"),
        ({"contrast": -1}, "contrast is -1: give 0 or more"),
        ({"brightness": math.nan}, "brightness is nan: give 0 or more"),
        ({"hue": 0.6}, r"hue is 0\.6: it is a part of a full turn"),
    ],
)
def test_an_impossible_argument_is_one_clear_line(arguments: dict[str, Any], start: str) -> None:
    with pytest.raises(ValueError, match=start) as error:
        PhotoAugmentation(**arguments)
    assert "\n" not in str(error.value)


def test_grey_images_have_no_colours_to_change() -> None:
    with pytest.raises(ValueError, match=r"saturation is 0\.4 and hue 0\.1, but images of 1 channel\(s\) have neither"):
        PhotoAugmentation()(IMAGE[:, :1])
    outcome = PhotoAugmentation(saturation=0, hue=0)(IMAGE[:, :1])
    assert not outcome.equal(IMAGE[:, :1])


def test_called_like_a_transform_of_torchvision_it_draws_from_the_global_generator() -> None:
    augment = PhotoAugmentation()
    outcomes = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        outcomes.append(augment(IMAGE))
    assert outcomes[0].equal(outcomes[1])
    assert not outcomes[0].equal(outcomes[2])
    torch.manual_seed(0)
    assert augment(IMAGE.view(2, 3, 3, 20, 30)).equal(outcomes[0].view(2, 3, 3, 20, 30))
    assert augment(IMAGE[0]).shape == IMAGE[0].shape


def test_in_a_list_every_transform_draws_its_own_numbers() -> None:
    image = torch.linspace(0, 1, 8).expand(500, 1, 8, 8)
    index = torch.arange(500)
    flip = PhotoAugmentation(**{**PLAIN, "flip": 0.5})
    noise = v2.RandomApply([v2.GaussianNoise(sigma=1e-3)], p=0.5)
    stages = [[flip], [flip, flip], [noise], [noise, flip], [noise, flip, noise]]
    once, twice, noisy, both, all_three = (KeyedAugmentation(stage, 0)(image, index, 0) for stage in stages)
    mirrored = once[:, 0, 0, 0] > 0.5
    again = (twice[:, 0, 0, 0] > 0.5) != mirrored  # what the second did
    assert (mirrored & again).float().mean().item() == pytest.approx(0.25, abs=0.06)
    changed = (noisy != image).any(3).any(2).squeeze(1)
    assert (changed & (both[:, 0, 0, 0] > 0.5)).float().mean().item() == pytest.approx(0.25, abs=0.06)
    late = (all_three - both).abs().amax((1, 2, 3)) > 1e-5
    assert (changed & late).float().mean().item() == pytest.approx(0.25, abs=0.06)
    order = torch.randperm(500)
    assert KeyedAugmentation(stages[4], 0)(image, index[order], 0).equal(all_three[order])


def test_the_command_line_takes_it_by_its_name(errors_of: Callable[[list[str]], list[str]], tmp_path: Path) -> None:
    words = ["fit", "--config=configs/classifier/digits.yaml", "--config=configs/overlay/debug.yaml"]
    words += [f"--run.dir={tmp_path}", "--run.id=photo"]
    arguments = {"saturation": 0, "hue": 0}

    def chosen(**changes: float) -> str:
        settings = [{"class_path": "PhotoAugmentation", "init_args": {**arguments, **changes}}]
        return f"--data.init_args.augmentation={json.dumps(settings)}"

    (line,) = errors_of([*words, chosen(flip=2)])
    assert line.endswith("flip is 2.0: it is a probability, in [0, 1]")
    (line,) = errors_of([*words, chosen(flop=2)])
    assert line.endswith("there is no such setting, did you mean 'flip'?")
    cli.main([*words, chosen()])
