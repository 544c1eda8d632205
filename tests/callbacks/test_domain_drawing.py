"""The figures of two domains, by what is in them."""

import numpy as np
import pytest
import torch
from matplotlib.collections import PathCollection
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure

from callbacks.domain_drawing import (
    DOMAIN_COLORS,
    Classes,
    Decision,
    Plane,
    boundary_panels,
    class_scatter,
    domain_scatter,
)

DOMAINS = ("mnist", "usps")
PLANE = Plane(torch.tensor([[-1.0, 0.0], [1.0, 0.0], [1.0, 1.0]]), torch.tensor([[-1.0, 0.5], [0.5, -0.5]]))
CLASSES = Classes(torch.tensor([0, 1, 1]), torch.tensor([0, 1]), ("odd", "even"))


def scatters(figure: Figure, panel: int = 0) -> list[PathCollection]:
    return [part for part in figure.axes[panel].collections if isinstance(part, PathCollection)]


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for axes in figure.axes for text in axes.texts]


def legend(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()]


def decision(threshold: float) -> Decision:
    """The second class is right of the threshold."""
    right = (torch.linspace(-2, 2, 41) > threshold).float().expand(21, 41)
    return Decision(torch.stack([1 - right, right], dim=-1), (-2.0, -1.0), (2.0, 1.0))


def test_every_example_has_the_colour_of_its_domain() -> None:
    figure = domain_scatter({"then": PLANE, "now": PLANE._replace(source=PLANE.source + 1)}, DOMAINS, "title")
    assert [axes.get_title() for axes in figure.axes] == ["then", "now"]
    assert legend(figure) == list(DOMAINS)
    (dots,) = scatters(figure)
    found = zip(dots.get_offsets(), dots.get_facecolor(), strict=True)
    colors = {tuple(place): tuple(color[:3]) for place, color in found}
    for domain, color in zip(PLANE, DOMAIN_COLORS, strict=True):
        for place in domain.tolist():
            assert colors[tuple(place)] == to_rgba(color)[:3]


def test_classes_have_one_colour_in_both_domains() -> None:
    source, target = scatters(class_scatter(PLANE, CLASSES, DOMAINS, "title"))
    np.testing.assert_array_equal(source.get_facecolor()[[0, 1], :3], target.get_edgecolor()[:, :3])
    assert not np.array_equal(source.get_facecolor()[0], source.get_facecolor()[1])
    assert legend(class_scatter(PLANE, CLASSES, DOMAINS, "title")) == [*DOMAINS, "odd", "even"]


@pytest.mark.parametrize("known", [True, False])
def test_the_targets_rings_are_grey_where_its_classes_are_not_known(known: bool) -> None:
    classes = CLASSES if known else CLASSES._replace(target=None)
    figure = boundary_panels({"then": decision(0), "now": decision(0.5)}, PLANE, classes, DOMAINS, "title")
    for panel, threshold in enumerate((0, 0.5)):
        source, target = scatters(figure, panel)
        assert len(target.get_facecolor()) == 0
        rings = target.get_edgecolor()[:, :3]
        assert np.ptp(rings, axis=1).max() < 1e-9 or known
        assert np.array_equal(rings, source.get_facecolor()[[0, 1], :3]) == known
        (line,) = [part for part in figure.axes[panel].collections if not isinstance(part, PathCollection)]
        assert np.allclose(line.get_paths()[0].vertices[:, 0], threshold, atol=0.11)
        (tint,) = figure.axes[panel].images
        assert np.allclose(tint.get_array()[10, 0] - 1, 0.38 * (source.get_facecolor()[0, :3] - 1))
    assert (f"{DOMAINS[1]}, class unknown" in legend(figure)) != known
