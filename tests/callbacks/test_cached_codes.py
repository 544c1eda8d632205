"""Codes of a frozen backbone are kept, where they are always the same and have room."""

from pathlib import Path

import pytest
import torch
from torchvision.transforms.v2 import RandomAffine
from unfrozen import STRATEGIES, Diary, Wide, fit, tuned

from callbacks import Unfreezing
from datamodules import Digits
from networks import MixUp


@pytest.mark.parametrize("name", ["frozen", "probe"])
def test_cached_codes_are_those_of_the_frozen_backbone(name: str, tmp_path: Path) -> None:
    ends, diaries = [], [Diary(), Diary()]
    for cache_gb, diary in zip((None, 0.0), diaries, strict=True):
        unfreezing = Unfreezing(**STRATEGIES[name], cache_gb=cache_gb)
        model, trainer = fit(
            tmp_path, unfreezing, tuned().double(), Wide(batch_size=256), precision="64-true", callbacks=[diary]
        )
        metrics = {key: value for key, value in trainer.callback_metrics.items() if key.startswith("val/")}
        assert metrics
        ends.append([*model.state_dict().values(), *metrics.values()])
        assert model.cached is None
    # validation, which comes after an epoch's last batch, has its codes kept from then on
    kept = [[(1294, 4), False], [(1294, 4), (144, 4)], [(1294, 4), (144, 4)], [(1294, 4), (144, 4)]]
    assert diaries[0].cached == (kept if name == "frozen" else [*kept[:2], None, None])
    assert diaries[1].cached[0] in (None, [False, False])
    for cached, computed in zip(*ends, strict=True):
        torch.testing.assert_close(cached, computed, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("why", ["augmented", "mixed", "too large"])
def test_codes_that_change_or_do_not_fit_are_not_cached(why: str, tmp_path: Path) -> None:
    diary, model = Diary(), tuned(mixing=MixUp() if why == "mixed" else None)
    data = Digits(batch_size=256, augmentation=[RandomAffine(degrees=10)] if why == "augmented" else None)
    size = 1000 * 4 * 4 / 1e9  # of the first 1000 codes of four numbers of four bytes: validation fits
    unfreezing = Unfreezing("frozen", cache_gb=size if why == "too large" else None)
    fit(tmp_path, unfreezing, model, data, callbacks=[diary], max_epochs=2)
    validation = (144, 4) if why == "too large" else False
    assert diary.cached[1] == [False, validation]
