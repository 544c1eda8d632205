"""Draws against the distribution they are from, and texts that are continued."""

from typing import Any

import pytest
import torch
from scripted import VOCAB, WRITABLE, Scripted, follow
from torch import Tensor, nn

from networks import RecurrentLM, TransformerLM, generate, sample_next
from networks.tokens import BOS, EOS, PAD, UNK

LOGITS = torch.tensor([2.0, -1.0, 0.5, 1.0, -0.3])


def drawn(n: int = 40_000, **settings: Any) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return sample_next(LOGITS.expand(n, -1), generator=generator, **settings).bincount(minlength=5) / n


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_draws_have_the_frequencies_of_the_softmax(temperature: float) -> None:
    torch.testing.assert_close(drawn(temperature=temperature), (LOGITS / temperature).softmax(0), atol=0.01, rtol=0)


def test_draws_among_the_likeliest() -> None:
    probability = LOGITS.softmax(0)
    for settings, kept in [
        ({"top_k": 2}, [0, 3]),
        ({"top_k": 9}, [0, 1, 2, 3, 4]),
        ({"top_p": probability[0].item() - 0.01}, [0]),
        ({"top_p": probability[0].item() + 0.01}, [0, 3]),
        ({"top_p": 1.0}, [0, 1, 2, 3, 4]),
        ({"top_p": 0.001}, [0]),
        ({"top_k": 3, "top_p": 0.95}, [0, 2, 3]),
        ({"top_k": 3, "top_p": 0.8}, [0, 3]),  # of the three that are left
    ]:
        expected = torch.zeros(5)
        expected[kept] = probability[kept] / probability[kept].sum()
        torch.testing.assert_close(drawn(**settings), expected, atol=0.01, rtol=0)


def test_no_temperature_is_the_likeliest() -> None:
    assert drawn(100, temperature=0.0).tolist() == [1, 0, 0, 0, 0]


def test_draws_come_from_the_global_generator_unless_one_is_given() -> None:
    torch.manual_seed(3)
    one = sample_next(LOGITS.expand(50, -1))
    torch.manual_seed(3)
    assert sample_next(LOGITS.expand(50, -1)).equal(one)
    assert not sample_next(LOGITS.expand(50, -1)).equal(one)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"temperature": -1.0}, r"temperature is -1\.0: choose 0 for the likeliest token, or a positive number"),
        ({"temperature": float("nan")}, "temperature is nan: choose 0 for the likeliest token, or a positive number"),
        ({"top_k": 0}, "top_k is 0: choose at least 1, or leave it out"),
        ({"top_p": 0.0}, r"top_p is 0\.0: choose one in \(0, 1\], or leave it out"),
        ({"top_p": 1.1}, r"top_p is 1\.1: choose one in \(0, 1\], or leave it out"),
    ],
)
def test_impossible_draws_are_one_line(settings: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}$"):
        sample_next(LOGITS.unsqueeze(0), **settings)


def language_model(kind: str) -> Any:
    torch.manual_seed(0)
    network = (
        TransformerLM(VOCAB, 8, dim=16, heads=2, layers=1) if kind == "transformer" else RecurrentLM(VOCAB, 8, 16, 16)
    )
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.5)
    return network.double().eval()


@pytest.mark.parametrize("kind", ["transformer", "recurrent"])
def test_a_text_is_continued_as_without_cache(kind: str) -> None:
    network = language_model(kind)
    prompt = torch.tensor([[4, 5, 6], [PAD, PAD, BOS]])
    written = generate(network.advance, prompt, 5, temperature=0.0)
    assert written.shape == (2, 8)
    assert written[:, :3].equal(prompt)
    for row, pad in enumerate((0, 2)):
        for end in range(3, 8):
            logits = network(written[row : row + 1, pad:end])[0, -1]
            ended = EOS in written[row, :end]
            expected = PAD if ended else max((EOS, *WRITABLE), key=lambda v: logits[v].item())
            assert written[row, end] == expected


def test_a_long_text_begins_anew_with_half_its_context() -> None:
    network = language_model("transformer")
    network.output.weight.data[EOS] = 0.0
    calls = []

    def advance(token: Tensor, state: Any) -> Any:
        calls.append((token.shape[1], 0 if state is None else state.known.shape[1]))
        logits, state = network.advance(token, state)
        logits[..., EOS] = -100.0
        return logits, state

    prompt = torch.tensor([[4, 5, 6, 4, 5, 6]])
    written = generate(advance, prompt, 9, context=8, temperature=0.0)
    assert calls == [(6, 0), (1, 6), (1, 7), (4, 0), (1, 4), (1, 5), (1, 6), (1, 7), (4, 0)]
    for end in range(6, 15):
        begin = 0 if end <= 8 else 5 if end <= 13 else 10
        logits = network(written[:, begin:end])[0, -1]
        assert written[0, end] == max(WRITABLE, key=lambda v: logits[v].item())
    calls.clear()
    generate(advance, torch.cat((prompt, prompt), 1), 2, context=8)
    assert calls == [(4, 0), (1, 4)]


def test_what_means_nothing_is_not_drawn_and_the_end_is_the_end() -> None:
    table = torch.zeros(1, VOCAB, VOCAB)
    table[..., [PAD, BOS, UNK]] = 9.0

    def advance(token: Tensor, state: Scripted | None) -> tuple[Tensor, Scripted]:
        return follow(token[:, -1:], state or Scripted(table.expand(50, -1, -1)))

    torch.manual_seed(0)
    written = generate(advance, torch.full((50, 1), BOS), 12)[:, 1:]
    assert not torch.isin(written, torch.tensor([BOS, UNK])).any()
    after = ((written == EOS).cumsum(1) - (written == EOS).long()) > 0
    assert after.any()
    assert (written[after] == PAD).all()
    assert (written[~after] != PAD).all()
    again = generate(advance, torch.full((50, 1), BOS), 12, generator=torch.Generator().manual_seed(1))
    assert again.equal(generate(advance, torch.full((50, 1), BOS), 12, generator=torch.Generator().manual_seed(1)))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"prompt": torch.empty(1, 0, dtype=torch.int64)}, "prompt is empty: begin it with BOS"),
        ({"n": -1}, "n is -1: choose 0 or a positive number"),
        ({"context": 0}, "context is 0: choose at least 1, or None for no limit"),
        ({"top_k": 0}, "top_k is 0: choose at least 1, or leave it out"),
    ],
)
def test_impossible_continuations_are_one_line(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}$"):
        generate(**{"advance": follow, "prompt": torch.tensor([[BOS]]), "n": 1} | arguments)
