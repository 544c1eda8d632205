"""How well masked tokens of Python's documentation are told: a transformer and an LSTM beside counts of pairs.

    python -m benchmarks.masked_tokens

Both networks are those of the shipped configurations, `masked_language_model/python_docs` and `python_docs_lstm`, which
have about the same number of parameters and see the same batches for the same number of steps. The bigram tells a
masked token from the true one at its left, by the counts of the training part, to each of which one is added for the
perplexity. All are asked for the same tokens of the test part, those that the evaluation of a masked language model
chooses: 15 % of them, of which the networks see 10 % as they are, 10 % replaced by others and the rest masked. The
bigram's left neighbours are never masked.

The table gives the share of these tokens that are the likeliest ones, the perplexity, the number of parameters and the
CPU seconds of `fit` on one thread, without the loading of data; of several seeds the mean, the lowest and the highest.
A run that has been tested is read, not trained again. The table is written beside the runs, too.
"""

import argparse
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from benchmarks.commands import average, place, results, run_here, train_and_test
from benchmarks.contest_results import seconds
from benchmarks.stopwatch import FitSeconds
from datamodules import PythonDocs
from lit_models import MaskedLanguageModel
from networks import PAD

NETWORKS = {"transformer": "python_docs", "LSTM in both directions": "python_docs_lstm"}
STOPWATCH = f"--trainer.callbacks+={FitSeconds.__module__}.{FitSeconds.__name__}"


class Bigram:
    """Tells a token from the one at its left.

    Args:
        token: int64 (N,), a text in which neighbours are counted.
        vocab_size: number of tokens, V.
    """

    def __init__(self, token: Tensor, vocab_size: int) -> None:
        pair = token[:-1] * vocab_size + token[1:]
        self.count = pair.bincount(minlength=vocab_size**2).view(vocab_size, vocab_size)
        self.commonest = int(token.bincount().argmax())

    def told(self, left: Tensor) -> Tensor:
        """The token that followed each most often, (N,) -> (N,); the commonest of all where none ever did."""
        count = self.count[left]
        return torch.where(count.any(-1), count.argmax(-1), self.commonest)

    def nll(self, left: Tensor, token: Tensor) -> Tensor:
        """Negative log-likelihood of tokens behind others, in nats, (N,)."""
        count = self.count[left].double() + 1
        return -(count / count.sum(-1, keepdim=True)).log().gather(1, token.unsqueeze(1)).squeeze(1)


class Score(NamedTuple):
    """What is known of one way to tell masked tokens; a value for each seed."""

    accuracy: list[float]
    perplexity: list[float]
    parameters: int
    seconds: list[float]


def main(words: list[str] | None = None) -> None:
    """Train what is missing, and print the table."""
    arguments = parse(words)
    rows = {}
    for name, configuration in NETWORKS.items():
        runs = [arguments.dir / "masked_tokens" / f"{configuration}-{seed}" for seed in arguments.seeds]
        for run, seed in zip(runs, arguments.seeds, strict=True):
            config = f"--config=configs/masked_language_model/{configuration}.yaml"
            epochs = [] if arguments.epochs is None else [f"--trainer.max_epochs={arguments.epochs}"]
            train_and_test(run, config, f"--seed_everything={seed}", STOPWATCH, *epochs, here=True, best=True)
        rows[name] = of_runs(runs)
    rows = {"bigram": of_bigram(runs[0]), **rows}
    written = table(rows)
    (arguments.dir / "masked_tokens" / "table.md").write_text(written + "\n")
    print(written)


def parse(words: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dir", default="runs", type=Path, help="folder of the runs")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, help="of every training, instead of the configurations' own")
    return parser.parse_args(words)


def of_runs(runs: list[Path]) -> Score:
    """What the tests of runs of one network found."""
    found = [results(run) for run in runs]
    model = trained(runs[0])[0]
    return Score(
        [each["test/token_accuracy"] for each in found],
        [each["test/perplexity"] for each in found],
        sum(parameter.numel() for parameter in model.parameters()),
        [seconds(run) for run in runs],
    )


def of_bigram(run: Path) -> Score:
    """What counts of the training part tell of the tokens that the test of a run asked for."""
    model, data = trained(run)
    text = data.dataset("test").token.long()
    bigram = Bigram(data.dataset("train").token.long(), data.vocab_size)
    before = torch.cat((torch.tensor([bigram.commonest]), text))  # nothing stands left of the first token
    left, target = [], []
    for batch in data.test_dataloader():
        hidden = model.mask(batch)
        asked = hidden.target != PAD
        left.append(before[(batch.index.unsqueeze(1) + hidden.place)[asked]])
        target.append(hidden.target[asked])
    seen, token = torch.cat(left), torch.cat(target)
    accuracy = (bigram.told(seen) == token).double().mean().item()
    return Score([accuracy], [bigram.nll(seen, token).mean().exp().item()], bigram.count.numel(), [])


def trained(run: Path) -> tuple[MaskedLanguageModel, PythonDocs]:
    """The model of a run in evaluation mode, and its data."""
    made = run_here("validate", *place(run))
    model, data = made.model, made.datamodule
    assert isinstance(model, MaskedLanguageModel)
    assert isinstance(data, PythonDocs)
    return model.eval(), data


def table(rows: dict[str, Score]) -> str:
    """The scores in Markdown."""
    lines = ["| | accuracy of masked tokens | perplexity | parameters | CPU seconds |", "|---|---|---|---|---|"]
    for name, score in rows.items():
        accuracy = average(score.accuracy, lambda value: f"{value:.3f}")
        taken = average(score.seconds) if score.seconds else ""
        perplexity = average(score.perplexity)
        lines.append(f"| {name} | {accuracy} | {perplexity} | {score.parameters:,} | {taken} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
