"""What a model says of its inputs, and examples of them."""

import pytest
import torch

from networks import Input, Interface, class_input, data_input, token_input
from networks.tokens import PAD


def test_examples_have_the_shape_the_type_and_the_range_that_are_declared() -> None:
    image = data_input("image", (3, 4, 5)).examples(200, {}, seed=0)
    assert (image.shape, image.dtype) == ((200, 3, 4, 5), torch.float32)
    assert 0 <= image.min() < 0.01
    assert 0.99 < image.max() <= 1
    point = data_input("x", (2,)).examples(2000, {}, seed=0)
    assert point.shape == (2000, 2)
    assert point.mean().abs() < 0.1
    assert abs(point.std() - 1) < 0.1
    label = class_input("label", 3).examples(100, {}, seed=0)
    assert (label.shape, label.dtype) == ((100,), torch.int64)
    assert set(label.tolist()) == {0, 1, 2}


def test_examples_repeat_themselves_by_their_seed() -> None:
    one = data_input("image", (1, 2, 2))
    assert torch.equal(one.examples(3, {}, seed=1), one.examples(3, {}, seed=1))
    assert not torch.equal(one.examples(3, {}, seed=1), one.examples(3, {}, seed=2))


@pytest.mark.parametrize("length", [1, 2, 7])
def test_sequences_are_padded_on_the_right_alone_and_never_empty(length: int) -> None:
    token = token_input("token", 6).examples(50, {"length": length}, seed=0)
    assert token.shape == (50, length)
    assert set(token[:-1].unique().tolist()) == {1, 2, 3, 4, 5}
    padding = token[-1] == PAD
    assert padding.sum() == length // 2
    assert not padding[: length - length // 2].any()


def test_axes_come_once_and_have_the_tightest_limit() -> None:
    inputs = (token_input("a", 9, "length", 20), token_input("b", 9, "length", 12), token_input("c", 9, "other"))
    interface = Interface(inputs, "logits", "of something")
    assert interface.axes == ("length", "other")
    assert (interface.longest("length"), interface.longest("other")) == (12, None)


def test_a_length_replaces_all_axes() -> None:
    interface = Interface((token_input("source", 9, "s"), token_input("target", 9, "t")), "logits", "of something")
    fixed = interface.with_length(4)
    assert [one.shape for one in fixed.inputs] == [(4,), (4,)]
    assert fixed.axes == ()
    with pytest.raises(ValueError, match=r"^length is -1: choose at least 1$"):
        interface.with_length(-1)


def test_what_has_no_axes_has_no_length() -> None:
    interface = Interface((Input("z", "code", (3,), "float32"),), "image", "an image")
    with pytest.raises(ValueError, match=r"^length is 4: this model takes no sequences, leave it out$"):
        interface.with_length(4)
