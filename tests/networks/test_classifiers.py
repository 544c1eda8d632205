import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from networks import ConvClassifier, ImageShape


@settings(max_examples=25, deadline=None)
@given(
    st.integers(1, 3),
    st.integers(1, 19),
    st.integers(8, 19),
    st.lists(st.integers(1, 5), min_size=1, max_size=4),
    st.integers(1, 6),
)
def test_any_size_gives_features_and_logits(
    colours: int, height: int, width: int, channels: list[int], features: int
) -> None:
    shape = ImageShape(colours, height, width)
    network = ConvClassifier(shape, 10, channels, features).eval()
    image = torch.rand(2, *shape)
    assert network.features(image).shape == (2, features)
    torch.testing.assert_close(network(image), network.head(network.features(image)))


def test_maps_are_those_before_the_last_pooling_and_lead_to_the_logits() -> None:
    network = ConvClassifier(ImageShape(1, 9, 6), 10, [4, 7]).eval()
    image = torch.rand(3, 1, 9, 6)
    maps, logits = network.feature_maps(image)
    assert maps.shape == (3, 7, 5, 3)
    assert maps.min() == 0
    assert torch.equal(logits, network(image))
    (slope,) = torch.autograd.grad(logits.sum(), maps)
    assert slope.any()


def test_dropout_acts_in_training_only() -> None:
    network = ConvClassifier(ImageShape(1, 8, 8), 10, dropout=0.5)
    image = torch.rand(4, 1, 8, 8)
    assert not torch.equal(network(image), network(image))
    network.eval()
    assert torch.equal(network(image), network(image))


@pytest.mark.parametrize(
    ("arguments", "start"),
    [
        ({"channels": []}, r"channels is \[\]:"),
        ({"channels": [4, 0]}, r"channels is \[4, 0\]:"),
        ({"features": 0}, "features is 0:"),
        ({"dropout": 1.0}, r"dropout is 1\.0:"),
    ],
)
def test_an_impossible_size_is_one_clear_line(arguments: dict[str, object], start: str) -> None:
    with pytest.raises(ValueError, match=start) as error:
        ConvClassifier(ImageShape(1, 8, 8), 10, **arguments)  # type: ignore[arg-type]
    assert "\n" not in str(error.value)
