"""A run of two nodes, watched: its events, what is shown of it, its history, its verdict; pictures of scored rows."""

from __future__ import annotations

import io
import re
import threading
from dataclasses import dataclass
from typing import Any

import history_map_funs
import pytest
from pyspark.ml.linalg import Vectors

from tfspark_cnn import InputMode, TFCluster, events, pictures
from tfspark_cnn.cluster.history import History
from tfspark_cnn.cluster.verdict import Bound, Verdict
from tfspark_cnn.display.display import Display
from tfspark_cnn.display.screens import Lines
from tfspark_cnn.errors import SchemaError
from tfspark_cnn.events import Kind

pytestmark = [pytest.mark.timeout(300), pytest.mark.beside]

PARTITIONS, ROWS = 20, 32
NODES = ("chief:0", "worker:0")


@dataclass(frozen=True)
class Watched:
    """A finished run."""

    slow: Verdict
    history: History
    results: list[Any]
    log_dir: str
    path: str
    shown: str


def frame(spark, function=None):
    """Digits that are none, in partitions of a step of both nodes each."""
    rows = spark.sparkContext.parallelize(range(PARTITIONS * ROWS), PARTITIONS)
    rows = rows.map(lambda number: ([float((number + pixel) % 7) for pixel in range(64)], number % 10))
    rows = rows.mapPartitionsWithIndex(function) if function else rows
    return spark.createDataFrame(rows, "image array<float>, label bigint")


@pytest.fixture(scope="module")
def watched(spark, tmp_path_factory) -> Watched:
    log_dir, stream, over = str(tmp_path_factory.mktemp("logs")), io.StringIO(), set[str]()
    first_fit, begun = threading.Event(), str(tmp_path_factory.mktemp("begun") / "first step")

    def see(event):
        if event.kind is Kind.EPOCH_END:
            over.add(event.node)
        if over == set(NODES):
            first_fit.set()

    with Display(Lines(stream)) as display:
        with TFCluster.run(
            spark, history_map_funs.easy_then_hard, {"filters": 48, "size": 4, "begun": begun}, 2,
            input_mode=InputMode.SPARK, master_node="chief", log_dir=log_dir, progress=display,
        ) as cluster:  # fmt: skip
            cluster.add_event_listener(see)
            cluster.train(frame(spark, history_map_funs.Slow(begun)), 1)
            assert first_fit.wait(60)
            slow = cluster.history().verdict()
            cluster.train(frame(spark), 2)
            results = cluster.shutdown()
    path = cluster.events_path()
    return Watched(slow, cluster.history(), results, log_dir, path, stream.getvalue())


def test_a_slow_source_makes_a_run_input_bound(watched):
    assert watched.slow.bound is Bound.INPUT, str(watched.slow)
    assert watched.slow.input > 0.2
    assert "compute rows faster: persist()" in str(watched.slow)


def test_a_large_network_on_rows_that_are_there_makes_it_compute_bound(watched):
    found = watched.history.verdict()
    assert found.input < 0.1 and found.compute > 0.4, str(found)
    assert found.input + found.compute + found.communication == pytest.approx(1)
    assert found.bound is Bound.COMPUTE, str(found)


def test_the_file_of_events_has_the_whole_run(watched):
    found = events.read(watched.log_dir)
    assert tuple(found) == watched.history.events == tuple(events.read(watched.path))
    for node in NODES:
        kinds = [event.kind for event in found if event.node == node and event.kind is not Kind.STEP]
        epochs = [Kind.EPOCH_BEGIN, Kind.EPOCH_END] * 3
        assert kinds == [Kind.RESERVED, Kind.ENTERED, *epochs, Kind.RETURNED]
    driver = [event.kind for event in found if event.node == "driver"]
    assert driver == [Kind.START, Kind.ATTEMPT, *[Kind.FEED, Kind.FED] * 2, Kind.END]
    assert found[-1].values == {"outcome": "done"}


def test_nodes_tell_their_steps_waits_and_memory(watched):
    for node in NODES:
        *_, last = (one.values for one in watched.history.events if one.node == node and "timed_s" in one.values)
        assert last["timed_steps"] == last["step"] - 1, "all steps of the last fit but the first"
        assert last["own_steps"] == pytest.approx(last["timed_steps"], abs=2)
        assert 0 < last["own_s"] <= 1.05 * last["timed_s"]
        assert 100 << 20 < last["memory_bytes"] < 8 << 30
        assert last["images"] == pytest.approx(3 * PARTITIONS * ROWS / 2, abs=2)


def test_the_history_has_the_metrics_of_keras_and_a_timeline(watched):
    metrics = watched.history.metrics
    assert [round(value, 4) for value in metrics["loss"][2:]] == [
        round(value, 4) for value in watched.results[0]["loss"]
    ]
    assert len(metrics["accuracy"]) == 3
    line = watched.history.timeline()
    assert line.nodes == ("driver", *NODES)
    assert {span.what for span in line.spans} == {"wait", "start", "map_fun", "feed", "epoch"}
    assert [axes.get_title() for axes in watched.history.plot().axes] == ["loss", "accuracy"]
    assert line.plot()._repr_png_().startswith(b"\x89PNG")


def test_what_was_shown_are_phases_and_a_line_for_each_epoch(watched):
    lines = watched.shown.splitlines()
    assert lines[:3] == ["starting 2 nodes", "running", "feeding"]
    told = [
        re.fullmatch(r"(epoch ./.)  step (\d+)/\2  loss .*  accuracy .* images/s(  \S+ left)?", one)
        for one in lines[3:]
    ]
    assert [one[1] for one in told] == ["epoch 1/1"] * 3


# --- scored rows ---


@pytest.fixture(scope="module")
def scored(spark):
    """Rows of three classes, with how a model would have scored them."""
    rows = [(0, 0.0, 0.9)] * 8 + [(0, 1.0, 0.99)] * 2 + [(1, 1.0, 0.6)] * 5 + [(1, 2.0, 0.7)] * 3 + [(None, 1.0, 0.5)]
    made = [([float(n)] * 12, label, guess, Vectors.dense([p if one == guess else 0.0 for one in range(3)]))
            for n, (label, guess, p) in enumerate(rows)]  # fmt: skip
    frame = spark.createDataFrame(made, ["image", "label", "prediction", "probability"])
    return frame.withMetadata("prediction", {"ml_attr": {"vals": ["cat", "dog", "frog"], "type": "nominal"}})


def test_a_confusion_matrix_is_counted_by_spark(scored):
    matrix = pictures.confusion_matrix(scored)
    assert matrix.classes == ("cat", "dog", "frog")
    assert matrix.counts == ((8, 2, 0), (0, 5, 3), (0, 0, 0))
    assert (matrix.left_out, matrix.accuracy) == (1, 13 / 18)


def test_the_worst_mistakes_are_those_of_the_greatest_probability(scored):
    found = pictures.worst_mistakes(scored, k=3, shape=(2, 2, 3))
    assert [(one.label, one.prediction, one.confidence) for one in found.found] == [
        ("cat", "dog", 0.99), ("cat", "dog", 0.99), ("dog", "frog", 0.7),
    ]  # fmt: skip
    assert found.found[0].image.shape == (2, 2, 3)
    assert len(found.plot().axes) == 3


def test_a_column_that_is_missing_is_told_with_its_likely_name(scored):
    with pytest.raises(SchemaError, match=r"no column 'labels'.*\n.*'label'"):
        pictures.confusion_matrix(scored, "labels")
