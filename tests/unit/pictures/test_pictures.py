"""Figures: what is on them, and that they are their own."""

from __future__ import annotations

import io
import sys

import numpy as np
import pytest
from PIL import Image

from tfspark_cnn.errors import ConfigError, EmptyFeedError, SchemaError
from tfspark_cnn.events import Event, Kind
from tfspark_cnn.ml.summary import TrainingSummary
from tfspark_cnn.pictures import Mistake, Mistakes, curves
from tfspark_cnn.pictures.confusion import counted_matrix
from tfspark_cnn.pictures.mistakes import as_image
from tfspark_cnn.pictures.timeline import timeline

METRICS = {"accuracy": [0.5, 0.9], "val_accuracy": [0.4, 0.8], "loss": [2.0, 1.0]}


def texts(axes) -> list[str]:
    return [one.get_text() for one in axes.texts]


def titles(figure) -> list[str]:
    return [axes.get_title() for axes in figure.axes if axes.get_title()]


def test_curves_have_a_plot_for_each_metric_the_loss_first_with_validation_beside() -> None:
    figure = curves.draw(METRICS)
    loss, accuracy = figure.axes
    assert titles(figure) == ["loss", "accuracy"]
    assert [line.get_label() for line in accuracy.lines] == ["training", "validation"]
    assert list(accuracy.lines[1].get_ydata()) == [0.4, 0.8] and list(loss.lines[0].get_xdata()) == [1, 2]
    assert loss.get_xlabel() == "epoch" and loss.get_legend() is None and accuracy.get_legend() is not None


def test_the_summary_of_a_model_is_drawn_alike_and_says_what_is_missing() -> None:
    assert titles(TrainingSummary(METRICS).plot()) == ["loss", "accuracy"]
    with pytest.raises(ConfigError, match="no metrics to draw"):
        TrainingSummary().plot()


def test_a_figure_is_shown_by_a_notebook_and_leaves_no_global_state() -> None:
    figure = curves.draw(METRICS)
    assert figure._repr_png_().startswith(b"\x89PNG")
    assert "matplotlib.pyplot" not in sys.modules


def test_a_timeline_has_a_line_for_each_node_and_names_what_is_on_it() -> None:
    nodes = {"nodes": ["chief:0"], "roles": ["chief"]}
    events = [
        Event(0, Kind.START, values=nodes),
        Event(0, Kind.ATTEMPT, values={"attempt": 1}),
        Event(1, Kind.RESERVED, "chief:0"),
        Event(2, Kind.ENTERED, "chief:0"),
        Event(3, Kind.EPOCH_BEGIN, "chief:0", {"epoch": 1}),
        Event(9, Kind.EPOCH_END, "chief:0", {"epoch": 1}),
        Event(9, Kind.CHECKPOINT, "chief:0", {"step": 5}),
        Event(9.5, Kind.DEATH, "chief:0", {"cause": "x"}),
        Event(10, Kind.RESTART, values={"attempt": 2}),
    ]
    figure = timeline(events).plot()
    (axes,) = figure.axes
    assert [one.get_text() for one in axes.get_yticklabels()] == ["driver", "chief:0"]
    assert texts(axes) == ["1"] and axes.get_xlabel() == "seconds since the beginning"
    (legend,) = figure.legends
    assert [one.get_text() for one in legend.get_texts()] == [
        "waits for a slot", "starts", "runs map_fun", "trains an epoch", "checkpoint", "dies", "next attempt",
    ]  # fmt: skip
    with pytest.raises(ConfigError, match="no events to draw"):
        timeline([]).plot()


COUNTS = {(0, 0): 8, (0, 1): 2, (1, 1): 5, (1, 2): 5, (2, 2): 10, (None, 1): 3}


def test_a_confusion_matrix_counts_by_true_class_and_prediction() -> None:
    matrix = counted_matrix(COUNTS)
    assert matrix.counts == ((8, 2, 0), (0, 5, 5), (0, 0, 10)) and matrix.classes == ("0", "1", "2")
    assert (matrix.rows, matrix.left_out, matrix.accuracy) == (30, 3, 23 / 30)
    assert matrix.recall() == {"0": 0.8, "1": 0.5, "2": 1.0}
    assert matrix.most_confused(1) == [("1", "2", 5)]


def test_names_stand_for_numbers_and_classes_without_rows_are_there_too() -> None:
    matrix = counted_matrix({(0, 0): 1}, names=["cat", "dog"])
    assert matrix.classes == ("cat", "dog") and matrix.counts == ((1, 0), (0, 0)) and matrix.recall() == {"cat": 1.0}
    assert counted_matrix({("b", "a"): 1}).classes == ("a", "b")


def test_nothing_counted_and_too_many_classes_are_errors() -> None:
    with pytest.raises(EmptyFeedError, match="no rows with a label and a prediction"):
        counted_matrix({(None, 1): 3})
    with pytest.raises(ConfigError, match="1,001 classes"):
        counted_matrix({(number, number): 1 for number in range(1001)})


def test_the_picture_of_a_matrix_has_names_numbers_and_the_accuracy() -> None:
    axes = counted_matrix(COUNTS, names=["cat", "dog", "frog"]).plot().axes[0]
    assert [one.get_text() for one in axes.get_yticklabels()] == ["cat", "dog", "frog"]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("predicted", "true class")
    assert sorted(texts(axes)) == sorted(["8", "2", "5", "5", "10"])
    assert axes.get_title() == "76.67% of 30 rows right"


def test_a_matrix_of_many_classes_has_fewer_labels_and_no_numbers() -> None:
    axes = counted_matrix({(number, number): 1 for number in range(100)}).plot().axes[0]
    assert texts(axes) == [] and 20 <= len(axes.get_yticks()) <= 30


def png(size: tuple[int, int]) -> bytes:
    body = io.BytesIO()
    Image.new("RGB", size, (255, 0, 0)).save(body, format="PNG")
    return body.getvalue()


@pytest.mark.parametrize(
    ("value", "shape", "drawn"),
    [
        ([0.5] * 64, None, (8, 8)),
        ([0.5] * 192, None, (8, 8, 3)),
        ([0.5] * 24, (4, 6), (4, 6)),
        ([0.5] * 24, (4, 6, 1), (4, 6)),
        ([[0.5] * 6] * 4, None, (4, 6)),
        (bytearray(range(48)), None, (4, 4, 3)),
        (png((5, 7)), None, (7, 5, 3)),
    ],
)
def test_whatever_holds_an_image_becomes_one(value, shape, drawn) -> None:
    assert as_image(value, shape=shape).shape == drawn


@pytest.mark.parametrize(
    ("value", "shape"), [([0.5] * 24, None), ([0.5] * 24, (5, 5)), ([[[0.5] * 7] * 2] * 2, None), ([0.5] * 8, (8,))]
)
def test_what_is_no_image_is_told_to_have_a_shape(value, shape) -> None:
    with pytest.raises(SchemaError, match=r"expected an image.*\n.*shape=\[height, width, channels\]"):
        as_image(value, shape=shape)


def test_mistakes_say_what_was_taken_for_what_and_how_certainly() -> None:
    found = [Mistake("cat", "dog", 0.987, np.zeros((4, 4))), Mistake("dog", "cat", 0.5, np.full((4, 4, 3), 200.0))]
    figure = Mistakes(tuple(found)).plot()
    assert titles(figure) == ["cat, taken for dog\n98.7% certain", "dog, taken for cat\n50.0% certain"]
    assert figure.axes[1].images[0].get_array().max() <= 1
    assert Mistakes(()).plot().texts[0].get_text() == "no mistakes"


def test_without_matplotlib_an_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "tfspark_cnn.pictures.figure", raising=False)
    for name in ("matplotlib.figure", "matplotlib.backends.backend_agg"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ConfigError, match=r"need matplotlib.*\n.*pip install 'tfspark_cnn\[plot\]'"):
        curves.draw(METRICS)
