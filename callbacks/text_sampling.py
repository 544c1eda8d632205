"""The command `sample` of text: continuing one, filling in its blanks, and translating lines."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_info
from torch.nn.utils.rnn import pad_sequence

from callbacks.run_record import write_text
from callbacks.sample_command import SampleCommand, folder_to_write
from callbacks.text_lines import in_one_line, read_lines
from callbacks.text_protocols import Filling, Textual, TextualWithBlanks, Translating, Writing
from networks.tokens import EOS, MASK_NAME, PAD, UNK

_BATCH = 64  # sequences that a model works on at once


class TextSampler(SampleCommand):
    """Has a ``Writing`` model continue a text, prints what it wrote and writes it to ``samples.txt``."""

    makes = "writes text"
    protocol = Writing

    def run(
        self,
        trainer: Trainer,
        model: LightningModule,
        data: Any,
        n: int = 1,
        prompt: str = "",
        length: int = 500,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
        out: str | None = None,
    ) -> None:
        """Write on the trainer's device and in its precision, in the process of rank zero.

        Args:
            trainer: whose device and precision are used.
            model: with its trained weights.
            data: ``Textual``, of which no more is loaded than its tokenizer.
            n: number of texts.
            prompt: what they begin with; the mark of a beginning if empty.
            length: tokens that follow the prompt.
            temperature: the logits are divided by it; 0 takes the likeliest token.
            top_k: number of the likeliest tokens that are drawn from; all if None.
            top_p: share of probability that the likeliest tokens drawn from have together; all if None.
            out: folder to write to; the run's if None.

        Raises:
            ValueError: if the vocabulary has nothing of the prompt, or a number makes no sense.
        """
        for name, number in {"n": n, "length": length}.items():
            if number < 1:
                raise ValueError(f"{name} is {number}: choose 1 or more")
        root = folder_to_write(trainer, out)
        assert isinstance(model, Writing)
        text = _textual(data)
        tokens = _known(text.encode(prompt), f"prompt is {prompt!r}") if prompt else text.opening()
        if not trainer.is_global_zero:
            return
        samples = []
        with self.prepared(trainer, model) as device:
            for start in range(0, n, _BATCH):
                prompts = torch.tensor([tokens] * min(_BATCH, n - start), device=device)
                written = model.write(prompts, length, temperature, top_k, top_p)
                samples += [text.decode(row) for row in written.cpu()]
        joined = samples[0] if n == 1 else "\n\n".join(_headed(samples))
        self.paths = [_print_and_write(root / "samples.txt", joined)]


class BlankFiller(SampleCommand):
    """Has a ``Filling`` model fill in the blanks of a text, prints what it found and writes it to ``filled.txt``."""

    makes = "fills in blanks"
    protocol = Filling

    def run(
        self,
        trainer: Trainer,
        model: LightningModule,
        data: Any,
        prompt: str = "",
        top_k: int = 5,
        out: str | None = None,
    ) -> None:
        """Fill in on the trainer's device and in its precision, in the process of rank zero.

        Args:
            trainer: whose device and precision are used.
            model: with its trained weights.
            data: ``TextualWithBlanks``, of which no more is loaded than its tokenizer.
            prompt: the text, with ``<mask>`` for each token that is to be filled in.
            top_k: number of the likeliest tokens that are listed for each blank.
            out: folder to write to; the run's if None.

        Raises:
            ValueError: if there is no blank, the text is too long, or the vocabulary has nothing of it.
        """
        if top_k < 1:
            raise ValueError(f"top_k is {top_k}: choose 1 or more")
        if MASK_NAME not in prompt:
            raise ValueError(f"prompt is {prompt!r}: write {MASK_NAME} for each token that is to be filled in")
        root = folder_to_write(trainer, out)
        assert isinstance(model, Filling)
        if not isinstance(data, TextualWithBlanks):
            raise _no_text(data)
        tokens = data.encode_with_blanks(prompt)
        if given := [token for token in tokens if token != model.mask_token]:
            _known(given, f"prompt is {prompt!r}")
        if model.context is not None and len(tokens) > model.context:
            raise ValueError(f"prompt has {len(tokens)} tokens: give at most {model.context}, which the model reads")
        if not trainer.is_global_zero:
            return
        with self.prepared(trainer, model) as device:
            filled, probability = (found.cpu() for found in model.fill(torch.tensor(tokens, device=device)))
        lines = [data.decode(filled)]
        for place, found in enumerate(probability, start=1):
            best = found.topk(min(top_k, len(found)))
            names = data.token_names(best.indices)
            likely = "  ".join(f"{name} {share:.1%}" for name, share in zip(names, best.values.tolist(), strict=True))
            lines.append(f"{MASK_NAME} {place}: {likely}")
        self.paths = [_print_and_write(root / "filled.txt", "\n".join(lines))]


class Translator(SampleCommand):
    """Has a ``Translating`` model turn lines into others, prints them and writes them to ``translations.txt``."""

    makes = "translates lines"
    protocol = Translating

    def run(
        self,
        trainer: Trainer,
        model: LightningModule,
        data: Any,
        input: str | None = None,  # the name of the flag
        out: str | None = None,
    ) -> None:
        """Translate on the trainer's device and in its precision, in the process of rank zero.

        Args:
            trainer: whose device and precision are used.
            model: with its trained weights.
            data: ``Textual``, of which no more is loaded than its tokenizer.
            input: file of lines in UTF-8, or ``-`` for standard input. Empty ones stay empty.
            out: folder to write to; the run's if None.

        Raises:
            ValueError: if there are no lines, or the vocabulary has nothing of them.
        """
        root = folder_to_write(trainer, out)
        assert isinstance(model, Translating)
        text = _textual(data)
        lines = read_lines(input, type(model).__name__)
        sources = {place: text.encode(line) for place, line in enumerate(lines) if line.strip()}
        _known([token for source in sources.values() for token in source], f"input is {input!r}")
        if not trainer.is_global_zero:
            return
        translations = [""] * len(lines)
        order = sorted(sources, key=lambda place: len(sources[place]))
        with self.prepared(trainer, model) as device:
            for start in range(0, len(order), _BATCH):
                places = order[start : start + _BATCH]
                rows = [torch.tensor([*sources[place], EOS]) for place in places]
                source = pad_sequence(rows, batch_first=True, padding_value=PAD).to(device)  # (B, S)
                for place, tokens in zip(places, model.translate(source).cpu(), strict=True):
                    translations[place] = in_one_line(text.decode(tokens))
        self.paths = [_print_and_write(root / "translations.txt", "\n".join(translations))]


def _textual(data: Any) -> Textual:
    if not isinstance(data, Textual):
        raise _no_text(data)
    return data


def _no_text(data: Any) -> ValueError:
    return ValueError(f"data: {type(data).__name__} has no text, only tokens: sample a run that was trained on text")


def _known(tokens: list[int], what: str) -> list[int]:
    """The tokens, if the vocabulary has any of them; a warning if it lacks some."""
    unknown = tokens.count(UNK)
    if unknown == len(tokens):
        raise ValueError(f"{what}, of which the vocabulary of this run has nothing: give another")
    if unknown:
        rank_zero_info(f"warning: {what}, of which the vocabulary of this run lacks {unknown} of {len(tokens)} tokens")
    return tokens


def _headed(samples: Sequence[str]) -> list[str]:
    return [f"{f' {place} of {len(samples)} ':-^80}\n{text}" for place, text in enumerate(samples, start=1)]


def _print_and_write(path: Path, text: str) -> Path:
    print(text, flush=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, text + "\n")
    return path
