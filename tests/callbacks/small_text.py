"""Text data of letters, and models that write, translate and attend without having learnt it."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from lightning import LightningDataModule
from torch import Tensor
from torch.utils.data import DataLoader

from datamodules.batch import SequencePairBatch
from lit_models import Technique
from networks.tokens import BOS, EOS, PAD, SPECIAL_TOKENS, UNK

LINES = ["ab", "cade", "bead", "a face", "cab", "decade"]  # the first letters of the alphabet, and a space


class Letters(LightningDataModule):
    """Pairs of lines and the same lines, letter by letter.

    Args:
        tokenizer: file with the letters, instead of those of the lines.
        letters: that the lines are said to have.
        seed: of nothing.
    """

    def __init__(self, tokenizer: str | None = None, letters: str = " abcdef", seed: int = 0) -> None:
        super().__init__()
        self.letters = letters if tokenizer is None else json.loads(Path(tokenizer).read_text(encoding="utf-8"))
        self.tokenizer = tokenizer

    def tokenizer_json(self) -> str:
        return json.dumps(self.letters)

    def opening(self) -> list[int]:
        return [BOS]

    def encode(self, text: str) -> list[int]:
        return [UNK if letter not in self.letters else 4 + self.letters.index(letter) for letter in text]

    def encode_with_blanks(self, text: str) -> list[int]:
        parts = [self.encode(part) for part in text.split("<mask>")]
        return parts[0] + [token for part in parts[1:] for token in (4 + len(self.letters), *part)]

    def decode(self, tokens: Tensor | Sequence[int]) -> str:
        values = torch.as_tensor(tokens).tolist()
        values = values[: values.index(EOS)] if EOS in values else values
        return "".join(self.letters[value - 4] for value in values if value > UNK)

    def token_names(self, tokens: Tensor | Sequence[int]) -> list[str]:
        return [[*SPECIAL_TOKENS, *self.letters][token] for token in torch.as_tensor(tokens).tolist()]

    def batch(self, places: Sequence[int]) -> SequencePairBatch:
        rows = [self.encode(LINES[place]) for place in places]
        length = max(map(len, rows)) + 1
        source = torch.tensor([[*row, EOS] + [PAD] * (length - len(row) - 1) for row in rows])
        target = torch.cat([torch.full((len(rows), 1), BOS), source], dim=1)
        return SequencePairBatch(source, target, torch.tensor(places), int((source != PAD).sum()))

    def train_dataloader(self) -> Any:
        return DataLoader(range(len(LINES)), batch_size=2, collate_fn=self.batch)  # type: ignore[arg-type]

    def val_dataloader(self) -> Any:
        return DataLoader([5, 3, 0, 4, 2, 1], batch_size=2, collate_fn=self.batch)  # type: ignore[arg-type]

    test_dataloader = val_dataloader
    predict_dataloader = val_dataloader


class Reading(Technique):
    """Has a weight to train, on batches of letters."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(1))

    def training_step(self, batch: SequencePairBatch, batch_idx: int) -> Tensor:
        self.batch_step += 1
        return self.weight.square().sum()

    def validation_step(self, batch: SequencePairBatch, batch_idx: int) -> None:
        self.log("val/total", self.weight.sum(), batch_size=len(batch.source))

    def test_step(self, batch: SequencePairBatch, batch_idx: int) -> None:
        pass

    def predict_step(self, batch: SequencePairBatch, batch_idx: int) -> Any:
        pass

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), 0.01)


class Writer(Reading):
    """Writes letters at random; the hotter, the more of them."""

    def write(self, prompt: Tensor, n: int, temperature: float, top_k: int | None, top_p: float | None) -> Tensor:
        if temperature < 0:
            raise ValueError(f"temperature is {temperature}: choose 0 or more")
        assert not self.training
        assert not torch.is_grad_enabled()
        known = 7 if top_k is None else top_k
        drawn = (torch.rand(len(prompt), n, device=prompt.device) * known * min(temperature, 1.0)).long()
        return torch.cat([prompt, 4 + drawn], dim=1)


class Filler(Reading):
    """Fills each blank with the letter that follows the one at its left in the alphabet, nearly certain of it."""

    context = 9
    mask_token = 11

    def fill(self, token: Tensor) -> tuple[Tensor, Tensor]:
        assert not self.training
        probability = []
        for place, number in enumerate(token.tolist()):
            if number == self.mask_token:
                token[place] = token[place - 1] + 1
                probability.append(torch.full((11,), 0.01).index_fill(0, token[place], 0.9))
        return token, torch.stack(probability)


class Mirror(Reading):
    """Turns lines round, and attends to what it writes."""

    def translate(self, source: Tensor) -> Tensor:
        assert not self.training
        self.widths = [*getattr(self, "widths", []), source.shape[1]]
        lengths = (source != PAD).sum(1) - 1
        rows = [torch.cat([row[:length].flip(0), row[length:]]) for row, length in zip(source, lengths, strict=True)]
        return torch.stack(rows)

    def predict_step(self, batch: SequencePairBatch, batch_idx: int) -> dict[str, Any]:
        data = self.trainer.datamodule  # type: ignore[attr-defined]
        return {"hypothesis": [data.decode(row) for row in self.translate(batch.source)], "index": batch.index}

    def attention(self, batch: SequencePairBatch) -> dict[str, Tensor]:
        assert not self.training
        shapes = {
            "encoder": (batch.source, batch.source),
            "decoder": (batch.target[:, :-1], batch.target[:, :-1]),
            "cross": (batch.target[:, :-1], batch.source),
        }
        weights = {}
        for kind, (rows, columns) in shapes.items():
            score = torch.arange(columns.shape[1]) - torch.arange(rows.shape[1])[:, None]
            score = -score.abs().float().masked_fill((columns == PAD)[:, None], torch.inf)  # (B, T, S)
            for layer in (1, 2):
                heads = [(layer * head * score).softmax(-1) for head in (1, 3)]
                weights[f"{kind}/layer {layer}"] = torch.stack(heads, dim=1).to(self.device)
        return weights

    def axes(self, batch: SequencePairBatch) -> dict[str, tuple[Tensor, Tensor]]:
        source, target = batch.source, batch.target[:, :-1]
        return {"encoder": (source, source), "decoder": (target, target), "cross": (target, source)}
