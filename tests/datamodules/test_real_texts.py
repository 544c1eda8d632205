"""Real texts, where they lie in $ESPALIER_DATA, or beside the checkout."""

import os
from pathlib import Path

import pytest
import torch

from datamodules import ParallelText, TextFile
from networks.tokens import PAD

DATA = Path(os.environ.get("ESPALIER_DATA", Path(__file__).parents[2] / "../shared/data"))
SHAKESPEARE, MULTI30K = DATA / "tinyshakespeare.txt", DATA / "multi30k"


@pytest.mark.skipif(
    not SHAKESPEARE.is_file(), reason=f"no tinyshakespeare.txt in {DATA}: set ESPALIER_DATA to a folder that holds it"
)
def test_tiny_shakespeare_has_its_usual_division() -> None:
    data = TextFile(path=str(SHAKESPEARE), context=64, test_size=0)
    assert data.vocab_size == 65 + 4
    assert len(data.part_of_text("train")) == 1_003_854
    assert len(data.part_of_text("val")) == 111_540
    assert data.decode(data.encode(data.read_text())) == data.read_text()


@pytest.mark.skipif(not MULTI30K.is_dir(), reason=f"no multi30k in {DATA}: set ESPALIER_DATA to a folder that holds it")
def test_multi30k_wastes_little_on_padding() -> None:
    data = ParallelText(root=str(MULTI30K), test="test_2016_flickr", lowercase=True, batch_tokens=4096, batch_size=1000)
    assert data.vocab_size == 10_000
    data.setup("fit")
    real = padded = batches = 0
    for batch in data.train_dataloader():
        batches += 1
        real += sum(int((side != PAD).sum()) for side in (batch.source, batch.target))
        padded += batch.source.numel() + batch.target.numel()
        assert max(batch.source.numel(), batch.target.numel()) <= 4096
    floor = float((data.dataset("train").source.length + data.dataset("train").target.length).sum())
    assert real == floor
    assert real / padded > 0.9  # a random order has 0.46, and sides of unequal lengths leave 0.94 at most
    assert 110 < batches < 130
    assert [len(data.dataset(part)) for part in ("train", "val", "test")] == [29_000, 1_014, 1_000]
    source, target = data.read_pairs("test")
    batch = data.dataset("test").__getitems__([0, 999])
    assert [data.decode(row) for row in batch.source] == [source[0], source[999]]
    assert [data.decode(row) for row in batch.target] == [target[0], target[999]]
    assert torch.unique(batch.index).tolist() == [0, 999]
