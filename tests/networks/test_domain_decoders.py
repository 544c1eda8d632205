"""Features back to examples of any shape."""

import pytest
import torch

from networks import MLPDecoder, domain_decoder


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32), (2, 9, 7), (2,), (5,)], ids=str)
def test_examples_have_the_shape_of_the_data(shape: tuple[int, ...]) -> None:
    feature = torch.randn(4, 6)
    example = domain_decoder(6, shape)(feature)
    assert example.shape == (4, *shape)
    assert MLPDecoder(6, shape, hidden=(8,))(feature).shape == (4, *shape)
    assert not torch.equal(example[0], example[1])
