"""The error of hidden patches, and what is to be guessed of them."""

import pytest
import torch

from objectives import masked_patch_error, normalised_patches


def test_only_hidden_patches_count() -> None:
    torch.manual_seed(0)
    target, guess = torch.rand(2, 3, 5, 4, dtype=torch.float64)
    hidden = torch.tensor([[0, 3], [4, 1], [2, 0]])
    by_hand = [((guess[i, hidden[i]] - target[i, hidden[i]]) ** 2).sum() / 8 for i in range(3)]
    assert masked_patch_error(guess, target, hidden).tolist() == pytest.approx([value.item() for value in by_hand])
    seen = torch.tensor([[1, 2, 4], [0, 2, 3], [1, 3, 4]])
    elsewhere = guess.scatter_add(1, seen.unsqueeze(2).expand(-1, -1, 4), torch.full((3, 3, 4), 7.0).double())
    assert torch.equal(masked_patch_error(elsewhere, target, hidden), masked_patch_error(guess, target, hidden))


def test_the_gradient_is_of_hidden_patches_alone() -> None:
    guess = torch.rand(1, 4, 2, requires_grad=True)
    masked_patch_error(guess, torch.zeros(1, 4, 2), torch.tensor([[2, 0]])).sum().backward()
    assert guess.grad is not None
    assert (guess.grad.abs().sum(2) > 0).tolist() == [[True, False, True, False]]


def test_normalised_patches_have_no_mean_and_a_deviation_of_one_each() -> None:
    torch.manual_seed(0)
    patch = torch.rand(4, 6, 16) * torch.rand(4, 6, 1) + torch.rand(4, 6, 1)
    normal = normalised_patches(patch)
    torch.testing.assert_close(normal.mean(2), torch.zeros(4, 6), atol=1e-4, rtol=0)
    torch.testing.assert_close(normal.std(2), torch.ones(4, 6), atol=1e-2, rtol=0)
    torch.testing.assert_close(normalised_patches(0.1 + 0.5 * patch), normal, atol=0.01, rtol=0)


def test_an_even_patch_becomes_zeros() -> None:
    assert torch.equal(normalised_patches(torch.full((1, 2, 9), 0.25)), torch.zeros(1, 2, 9))


def test_narrow_types_are_widened() -> None:
    patch = torch.rand(3, 4, 9).bfloat16()
    assert normalised_patches(patch).dtype == torch.float32
    assert masked_patch_error(patch, patch + 1, torch.tensor([[0], [1], [3]])).dtype == torch.float32
