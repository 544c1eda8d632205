"""The table of confusions, by what is in it."""

import torch
from matplotlib.figure import Figure

from callbacks.confusion_drawing import confusion_table, confusions


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for axes in figure.axes for text in axes.texts]


def test_confusions_count_predictions_in_the_row_of_the_true_class() -> None:
    label, predicted = torch.tensor([0, 0, 0, 2]), torch.tensor([0, 1, 1, 0])
    assert confusions(label, predicted, 3).tolist() == [[1, 2, 0], [0, 0, 0], [1, 0, 0]]


def test_a_table_tells_shares_counts_and_the_accuracy_of_each_class() -> None:
    counts = torch.tensor([[30, 10, 0], [0, 1200, 0], [0, 0, 0]])
    figure = confusion_table(counts, ("ant", "bee", "cat"), "title")
    assert texts(figure) == ["75%", "30", "25%", "10", "100%", "1,200", "75.0%", "100.0%", "none", "accuracy"]
    (image,) = figure.axes[0].images
    assert image.get_array().tolist() == [[0.75, 0.25, 0], [0, 1, 0], [0, 0, 0]]  # rows are true
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["ant", "bee", "cat"]


def test_a_large_table_has_colours_only() -> None:
    assert texts(confusion_table(torch.eye(31).long(), [str(name) for name in range(31)], "title")) == ["accuracy"]
