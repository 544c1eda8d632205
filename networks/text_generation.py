"""Continuing a text by drawing one token after the other."""

from collections.abc import Callable

import torch
from torch import Tensor

from networks.decoding import NEVER_WRITTEN, S
from networks.tokens import EOS, PAD


def sample_next(
    logits: Tensor,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Draw a token for each row.

    Sources: Fan, Lewis and Dauphin, "Hierarchical Neural Story Generation" (2018), for `top_k`; Holtzman et al., "The
    Curious Case of Neural Text Degeneration" (2020), for `top_p`.

    Args:
        logits: (B, V).
        temperature: divides the logits; 0 for the likeliest token.
        top_k: draw among the likeliest k only; None for all.
        top_p: draw among the fewest tokens whose probabilities, after the above, sum to at least p; None for all.
        generator: what to draw from; the global one if not given.

    Returns:
        int64 (B,).

    Raises:
        ValueError: if there can be no such draw.
    """
    check_sampling(temperature, top_k, top_p)
    if temperature == 0:
        return logits.argmax(-1)
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32)) / temperature
    if top_k is None and top_p is None:
        return torch.multinomial(logits.softmax(-1), 1, generator=generator).squeeze(1)
    ranked, order = logits.sort(dim=-1, descending=True)
    if top_k is not None:
        ranked[:, top_k:] = -torch.inf
    probability = ranked.softmax(-1)
    if top_p is not None:
        before = probability.cumsum(-1) - probability
        probability = probability.masked_fill(before >= top_p, 0.0)
    drawn = torch.multinomial(probability, 1, generator=generator)
    return order.gather(-1, drawn).squeeze(1)


def check_sampling(temperature: float, top_k: int | None, top_p: float | None) -> None:
    """Refuse settings of `sample_next` that allow no draw.

    Raises:
        ValueError: if one is impossible.
    """
    if not 0 <= temperature < float("inf"):
        raise ValueError(f"temperature is {temperature}: choose 0 for the likeliest token, or a positive number")
    if top_k is not None and top_k < 1:
        raise ValueError(f"top_k is {top_k}: choose at least 1, or leave it out")
    if top_p is not None and not 0 < top_p <= 1:
        raise ValueError(f"top_p is {top_p}: choose one in (0, 1], or leave it out")


@torch.no_grad()
def generate(
    advance: Callable[[Tensor, S | None], tuple[Tensor, S]],
    prompt: Tensor,
    n: int,
    context: int | None = None,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Continue texts.

    Each token is read once, until more than `context` would have been read at once: then the network begins anew with
    the last context // 2 tokens. A row that says EOS has ended, and is filled up with PAD.

    Args:
        advance: of a language model; is given None for the state at the beginning.
        prompt: int64 (B, P), P at least 1, padding on the left.
        n: number of tokens to write, at least 0.
        context: most tokens that the network reads at once; None for no limit.
        temperature: see `sample_next`.
        top_k: see `sample_next`.
        top_p: see `sample_next`.
        generator: see `sample_next`.

    Returns:
        int64 (B, P + n). PAD (before the end), BOS and UNK are not written.

    Raises:
        ValueError: if there is no prompt, or a setting is impossible.
    """
    check_sampling(temperature, top_k, top_p)
    if not prompt.shape[1]:
        raise ValueError("prompt is empty: begin it with BOS")
    if n < 0:
        raise ValueError(f"n is {n}: choose 0 or a positive number")
    if context is not None and context < 1:
        raise ValueError(f"context is {context}: choose at least 1, or None for no limit")
    text = torch.cat((prompt, prompt.new_full((len(prompt), n), PAD)), 1)
    ended = torch.zeros(len(prompt), dtype=torch.bool, device=prompt.device)
    state: S | None = None
    begin = read = 0  # the state has read the tokens from the one to the other
    for end in range(prompt.shape[1], text.shape[1]):
        if context is not None and end - begin > context:
            state, begin = None, end - max(1, context // 2)
            read = begin
        logits, state = advance(text[:, read:end], state)
        read = end
        following = logits[:, -1].clone()
        following[:, list(NEVER_WRITTEN)] = -torch.inf
        token = sample_next(following, temperature, top_k, top_p, generator)
        text[:, end] = torch.where(ended, PAD, token)
        ended = ended | (token == EOS)
        if ended.all():
            break
    return text
