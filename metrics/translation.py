"""Scores of translations: BLEU and chrF as sacrebleu computes them, and how they depend on the length of the source."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor
from torchmetrics import Metric

LENGTHS = (0, 10, 15, 20)  # words of a source; the last range has no end


class TranslationScores(Metric):
    """Corpus scores of all translations of a part, of all processes together.

    - ``bleu``: in [0, 100], of text as it is written, with sacrebleu's own tokens (13a)
    - ``bleu_lowercased``: the same without regard to case, to compare with tables of lowercased text
    - ``chrf``: in [0, 100], F2 of the n-grams of characters up to 6
    - ``exact_match``: share that are the reference to the letter, in [0, 1]
    - ``bleu_source_1_10``, ``bleu_source_11_15``, ...: BLEU of those whose source has so many words, if there are any

    Sources: Papineni et al., "BLEU: a Method for Automatic Evaluation of Machine Translation" (2002); Popović, "chrF:
    character n-gram F-score for automatic MT evaluation" (2015); Post, "A Call for Clarity in Reporting BLEU Scores"
    (2018), whose signatures are in `signatures`.
    """

    full_state_update = False
    text: list[Tensor]
    sizes: list[Tensor]
    words: list[Tensor]

    def __init__(self) -> None:
        super().__init__()
        # strings as their bytes: what torchmetrics gathers from other processes are tensors
        for name in ("text", "sizes", "words"):
            self.add_state(name, [], dist_reduce_fx="cat")

    def update(self, source: Sequence[str], hypothesis: Sequence[str], reference: Sequence[str]) -> None:
        """Add sentences, the translations that were found, and those that are right."""
        encoded = [text.encode() for pair in zip(hypothesis, reference, strict=True) for text in pair]
        self.text.append(torch.tensor(list(b"".join(encoded)), dtype=torch.uint8, device=self.device))
        self.sizes.append(torch.tensor([len(text) for text in encoded], device=self.device))
        self.words.append(torch.tensor([len(text.split()) for text in source], device=self.device))

    def compute(self) -> dict[str, Tensor]:
        """The scores by their names, scalars."""
        from sacrebleu import BLEU, CHRF  # here, because the import takes a sixth of a second

        hypothesis, reference = self._sentences()
        words = _joined(self.words).tolist()
        scores = {
            "bleu": BLEU().corpus_score(hypothesis, [reference]).score,
            "bleu_lowercased": BLEU(lowercase=True).corpus_score(hypothesis, [reference]).score,
            "chrf": CHRF().corpus_score(hypothesis, [reference]).score,
            "exact_match": sum(map(str.__eq__, hypothesis, reference)) / len(reference),
        }
        for low, high in pairwise([*LENGTHS, 10**9]):
            chosen = [place for place, count in enumerate(words) if low < count <= high]
            if chosen:
                name = f"bleu_source_{low + 1}_{high}" if high < 10**9 else f"bleu_source_over_{low}"
                score = BLEU().corpus_score([hypothesis[at] for at in chosen], [[reference[at] for at in chosen]]).score
                scores[name] = score
        return {name: torch.tensor(score, device=self.device) for name, score in scores.items()}

    def _sentences(self) -> tuple[list[str], list[str]]:
        """Translations and references."""
        text, sizes = bytes(_joined(self.text).tolist()), _joined(self.sizes).tolist()
        starts = [0, *torch.tensor(sizes).cumsum(0).tolist()]
        sentences = [text[start:end].decode() for start, end in pairwise(starts)]
        return sentences[::2], sentences[1::2]


def signatures() -> dict[str, str]:
    """What the scores were computed with, in sacrebleu's notation."""
    from sacrebleu import BLEU, CHRF

    signed = {"bleu": BLEU(), "bleu_lowercased": BLEU(lowercase=True), "chrf": CHRF()}
    for metric in signed.values():
        metric.corpus_score(["a"], [["a"]])  # which it knows only then
    return {f"{name}_signature": str(metric.get_signature()) for name, metric in signed.items()}


def _joined(values: list[Tensor] | Tensor) -> Tensor:
    """One tensor of a state that may have been joined already, over processes."""
    return torch.cat(values) if isinstance(values, list) else values
