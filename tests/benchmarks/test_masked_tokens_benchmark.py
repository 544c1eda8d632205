from pathlib import Path

import pytest
import torch

from benchmarks import masked_tokens
from benchmarks.masked_tokens import Bigram, Score


def test_a_bigram_says_what_followed_most_often() -> None:
    text = torch.tensor([4, 5, 4, 5, 4, 6, 5, 6])
    bigram = Bigram(text, 8)
    assert bigram.told(torch.tensor([4, 6])).tolist() == [5, 5]
    assert bigram.told(torch.tensor([7])).tolist() == [bigram.commonest]
    assert bigram.commonest in (4, 5)
    probability = [(-bigram.nll(torch.tensor([4]), torch.tensor([token]))).exp().item() for token in range(8)]
    assert sum(probability) == pytest.approx(1)
    assert probability[5] == pytest.approx((2 + 1) / (3 + 8))
    assert probability[0] == pytest.approx(1 / (3 + 8))


def test_the_table_has_a_row_for_each() -> None:
    rows = {
        "bigram": Score([0.25], [12.0], 100, []),
        "transformer": Score([0.7, 0.8], [2.0, 3.0], 812_345, [100.4, 300.4]),
    }
    assert masked_tokens.table(rows).splitlines()[2:] == [
        "| bigram | 0.250 | 12 | 100 |  |",
        "| transformer | 0.750 (0.700 to 0.800) | 2.5 (2 to 3) | 812,345 | 200 (100 to 300) |",
    ]


def test_all_are_asked_for_the_same_tokens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = []
    whole = masked_tokens.run_here
    monkeypatch.setattr(masked_tokens, "NETWORKS", {"LSTM": "python_docs_lstm"})
    monkeypatch.setattr(masked_tokens, "train_and_test", lambda run, *words, **how: asked.append((run.name, words)))
    monkeypatch.chdir(Path(__file__).parent.parent.parent)
    monkeypatch.setenv("WANDB_MODE", "disabled")
    words = [
        "--config=configs/masked_language_model/python_docs_lstm.yaml",
        "--model.init_args.network.init_args.hidden=8",
    ]
    words += ["--trainer.max_steps=1", "--trainer.limit_val_batches=1", masked_tokens.STOPWATCH]
    for command in (["fit", *words, "--run.experiment=masked_tokens", "--run.id=python_docs_lstm-3"], None):
        run = ["test", "--run.experiment=masked_tokens", "--run.id=python_docs_lstm-3"]
        whole(*(command or run), f"--run.dir={tmp_path}")
    (tmp_path / "masked_tokens" / "python_docs_lstm-3" / "seconds.json").write_text('{"fit": 1.0}')
    masked_tokens.main([f"--dir={tmp_path}", "--seeds", "3", "--epochs", "2"])
    ((name, given),) = asked
    assert name == "python_docs_lstm-3"
    assert {"--seed_everything=3", "--trainer.max_epochs=2"} <= set(given)
    bigram, network = capsys.readouterr().out.splitlines()[-2:]
    assert bigram.startswith("| bigram | 0.2")  # 0.27 of all tokens of the test part
    assert network.startswith("| LSTM | 0.")
    assert (tmp_path / "masked_tokens" / "table.md").read_text().splitlines()[-1] == network
