"""Which tokens of a text are hidden for a model to tell, and what stands in their places."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from networks.noise import Noise
from networks.sizes import check_least
from networks.tokens import PAD, SPECIAL_TOKENS


class MaskedTokens(NamedTuple):
    """A text of which some tokens are hidden.

    Attributes:
        token: int64 (B, T), what is read: at the chosen places the mask, another token, or the token itself.
        place: int64 (B, M), the chosen places of each text.
        target: int64 (B, M), the tokens that stood there; PAD where a text has fewer chosen places.
    """

    token: Tensor
    place: Tensor
    target: Tensor


class TokenMasking(nn.Module):
    """Chooses a share of the tokens of each text, and hides most of them.

    The number of a text's chosen tokens is its share, rounded, and one at least: it is not drawn. Special tokens are
    never chosen, and never stand in the place of others. All is done on tensors of known shapes, so that a GPU is not
    waited for.

    Source: Devlin et al., "BERT: Pre-training of Deep Bidirectional Transformers for Language Understanding" (2019),
    section 3.1 and appendix A.1.

    Args:
        vocab_size: number of tokens, V, which is the number of the mask.
        rate: share of the tokens that are chosen, in (0, 1).
        mask_share: share of the chosen ones in whose place the mask stands.
        random_share: share of them in whose place another token stands, drawn evenly; the rest stay.

    Raises:
        ValueError: if a share is impossible, or the vocabulary has only special tokens.
    """

    def __init__(self, vocab_size: int, rate: float = 0.15, mask_share: float = 0.8, random_share: float = 0.1) -> None:
        super().__init__()
        check_least("vocab_size", vocab_size, len(SPECIAL_TOKENS) + 1)
        if not 0 < rate < 1:
            raise ValueError(f"rate is {rate}: it is the share of tokens that are to be told, in (0, 1)")
        for name, share in {"mask_share": mask_share, "random_share": random_share}.items():
            if not 0 <= share <= 1:
                raise ValueError(f"{name} is {share}: it is a share of the chosen tokens, in [0, 1]")
        if mask_share + random_share > 1 + 1e-9:  # 0.9 + 0.1 may exceed 1 by rounding
            raise ValueError(f"random_share is {random_share}: with mask_share, {mask_share}, it exceeds 1, reduce one")
        self.mask = vocab_size
        self.rate = rate
        self.mask_share = mask_share
        self.random_share = random_share

    def forward(self, token: Tensor, noise: Noise) -> MaskedTokens:
        """Hide tokens of texts, int64 (B, T).

        What is chosen depends on the noise and on the text, not on the padding that its batch gives it.
        """
        length = token.shape[1]
        most = max(1, round(self.rate * length))
        chance, kind, other = noise.uniform(length, 3).unbind(-1)  # (B, T) each
        allowed = token >= len(SPECIAL_TOKENS)
        known = allowed.sum(1, keepdim=True)
        count = torch.minimum((known.double() * self.rate).round().long().clamp(min=1), known)
        place = chance.masked_fill(~allowed, -1.0).topk(most, 1).indices  # (B, M)
        chosen = torch.arange(most, device=token.device) < count

        original = token.gather(1, place)
        kind, other = kind.gather(1, place), other.gather(1, place)
        drawn = len(SPECIAL_TOKENS) + (other * (self.mask - len(SPECIAL_TOKENS))).long()
        shown = torch.where(kind < self.mask_share + self.random_share, drawn, original)
        shown = torch.where(kind < self.mask_share, self.mask, shown)
        hidden = token.scatter(1, place, torch.where(chosen, shown, original))
        return MaskedTokens(hidden, place, torch.where(chosen, original, PAD))
