"""Figures that are laid out and not drawn, which takes up to seconds, for runs whose pictures nobody looks at."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from lightning import Callback
from matplotlib.figure import Figure
from PIL import Image


def write_a_pixel(figure: Figure, file: Any, **settings: Any) -> None:
    Image.new("RGB", (1, 1)).save(file, "png")


@contextmanager
def undrawn() -> Iterator[None]:
    """Figures of this process are written as a single pixel, and no t-SNE is made for them."""
    first_two = "sklearn.manifold.TSNE.fit_transform", lambda tsne, features: features[:, :2]
    with patch.object(Figure, "savefig", write_a_pixel), patch(*first_two):
        yield


class Undrawn(Callback):
    """Has a run in a process of its own write its figures as single pixels."""

    def __init__(self) -> None:
        Figure.savefig = write_a_pixel  # type: ignore[assignment]
