from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tfspark_cnn.cluster.feed_events import FeedEvents
from tfspark_cnn.cluster.feed_report import Bound, FeedReport, NodeFigures
from tfspark_cnn.cluster.feeds import Feeds
from tfspark_cnn.cluster.liveness import who_waits
from tfspark_cnn.cluster.messages import Attached, Consumed, Position, Received
from tfspark_cnn.cluster.state import ClusterState
from tfspark_cnn.cluster.topology import plan
from tfspark_cnn.errors import ClusterError

NODE = NodeFigures("worker:0", rows=600, nbytes=1 << 20, taken_rows=1200, epochs=2, waited_s=1.0)
REPORT = FeedReport(
    "input-1", seconds=10.0, sent_s=4.0, partitions=8, source_s=3.0, deal_s=0.5, send_s=1.0,
    nodes=(NODE, replace(NODE, name="worker:1", held_s=2.5, skipped_rows=3)),
)  # fmt: skip


@pytest.mark.parametrize(
    ("waited_s", "source_s", "send_s", "bound"),
    [
        (1.9, 9.0, 9.0, Bound.NETWORK),
        (2.1, 9.0, 8.0, Bound.SPARK),
        (2.1, 5.0, 8.0, Bound.FEED),
        (99.0, 5.0, 8.0, Bound.FEED),
        (9.0, 0.2, 0.2, Bound.SPARK),  # computed before the feeder was started
    ],
)
def test_what_a_run_is_bound_by(waited_s: float, source_s: float, send_s: float, bound: Bound) -> None:
    nodes = (NODE, replace(NODE, waited_s=waited_s))
    assert replace(REPORT, source_s=source_s, send_s=send_s, nodes=nodes).bound_by is bound


def test_a_report_is_told_to_people_and_programs() -> None:
    assert str(REPORT).splitlines() == [
        "input-1: 1,200 rows, 2.0 MiB from 8 partitions in 4.0 s, taken in 10.0 s; bound by the network being trained",
        "  feeders: 3.0 s for Spark, 0.5 s dealing, 1.0 s sending",
        "  worker:0: 600 rows, 1.0 MiB, 2 epochs, waited 1.0 s",
        "  worker:1: 600 rows, 1.0 MiB, 2 epochs, waited 1.0 s, held feeders back 2.5 s, skipped 3 rows",
    ]
    plain = json.loads(json.dumps(REPORT.as_dict()))
    assert (plain["rows"], plain["bound_by"], plain["nodes"][1]["held_s"]) == (1200, "network", 2.5)


def test_figures_of_a_node_come_from_all_its_readers() -> None:
    feed, _ = Feeds(plan(2)).open("input", "", 2)
    feed.receive(Received(1, "input-1", 30, 40, 320, held_s=0.5))
    feed.consume(Consumed(1, "input-1", 0, passes=2, step=0, rows=0, waited_s=1.5, rows_in_all=80))
    feed.consume(Consumed(1, "input-1", 1, passes=1, step=3, rows=9, waited_s=0.5, rows_in_all=49))
    assert feed.figures(1, "worker:1") == NodeFigures(
        "worker:1", rows=40, nbytes=320, taken_rows=129, epochs=3, waited_s=1.5, held_s=0.5
    )
    assert feed.figures(0, "worker:0") == NodeFigures("worker:0", 0, 0, 0, 0, 0.0)


def test_the_end_of_an_epoch_that_is_told_late_does_not_set_a_reader_back() -> None:
    feed, _ = Feeds(plan(1)).open("input", "", 2)
    feed.consume(Consumed(0, "input-1", 0, passes=1, step=4, rows=40, waited_s=0.0, rows_in_all=140))
    feed.consume(Consumed(0, "input-1", 0, passes=1, step=0, rows=0, waited_s=0.0, rows_in_all=100))
    assert feed.readers[0].consumed[0].step == 4


def test_what_nodes_say_of_a_feed_that_is_forgotten_is_no_news() -> None:
    state = ClusterState(plan(1))
    state.feeds.open("input", "", 1)
    state.feeds.retire("input-1")
    assert state.handle(Received(0, "input-1", 1, 1, 8)) == []
    for name in ("input-2", "input-0", "input-x", "other-1", "input"):
        with pytest.raises(ClusterError, match="there is no feed"):
            state.handle(Received(0, name, 1, 1, 8))
    assert state.feeds.open("input", "", 1)[0].opened.feed == "input-2"


def test_who_waits_for_whom() -> None:
    state = ClusterState(plan(4))
    feed, _ = state.feeds.open("input", "", 1)
    state.handle(Attached(1, "input-1", 0, 8, "x"))
    state.handle(Received(0, "input-1", 10, 90, 720, lead=3, streams=[3, 5], fill="0 MiB kept"))
    state.handle(Received(1, "input-1", 10, 80, 640, lead=3, streams=[4, 5], fill="1 MiB in order"))
    state.handle(Consumed(0, "input-1", 0, passes=1, step=7, rows=56, waited_s=0.0))
    state.nodes[3].returned = True
    words = who_waits(state, "input-1", {(Consumed, 0, "input-1"): 61.2, (Received, 1, "input-1"): 30.0})
    assert words == (
        "170 rows are with the nodes so far; "
        "worker:0 has taken 1 epochs and 7 steps, the last 61 s ago, its inbox has received 90 rows (0 MiB kept), "
        "a feeder of partition 3 is connected to it, and others of 5; "
        "worker:1 has taken nothing, its inbox has received 80 rows, the last 30 s ago (1 MiB in order), "
        "no feeder of partition 3, which it needs, is connected to it, but those of 4, 5; "
        "worker:2 has not asked for the dataset, its inbox has received nothing, "
        "no feeder of partition 0, which it needs, is connected to it, but those of none; "
        "worker:3 has returned"
    )


def scalars(folder: Path) -> list[tuple[int, dict[str, float]]]:
    """What TensorBoard would read of a run."""
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.tensorflow_stub.pywrap_tensorflow import PyRecordReader_New

    (file,) = folder.iterdir()
    reader, events = PyRecordReader_New(str(file)), []
    while True:
        try:
            reader.GetNext()
        except Exception as end:  # of the file, as tensorboard's own error
            assert "Truncated" not in str(end)
            break
        events.append(Event.FromString(reader.record()))
    assert events[0].file_version == "brain.Event:2"
    return [(one.step, {value.tag: value.simple_value for value in one.summary.value}) for one in events[1:]]


def test_event_files_hold_each_epoch_of_each_node(tmp_path: Path) -> None:
    events = FeedEvents(str(tmp_path / "logs"))
    received = Received(0, "input-1", 10, 10, 3 << 20, held_s=0.25)
    for passes in (1, 2):
        consumed = Consumed(0, "input-1", 0, passes, 0, 0, waited_s=0.5 * passes, rows_in_all=10 * passes)
        events.epoch("chief:0", "input", consumed, received)
    events.epoch("chief:0", "input", Consumed(0, "input-2", 0, 1, 0, 0, waited_s=2.0, rows_in_all=7), None)
    events.feed("input", REPORT)
    events.close()
    events.epoch("chief:0", "input", Consumed(0, "input-2", 0, 2, 0, 0, 2.0, 14), None)  # comes too late
    chief = scalars(tmp_path / "logs" / "nodes" / "chief-0")
    first = {"feed/input/rows": 10, "feed/input/waited_s": 0.5, "feed/input/received_MiB": 3, "feed/input/held_s": 0.25}
    assert chief == [(1, first), (2, first), (3, {"feed/input/rows": 7, "feed/input/waited_s": 2})]
    assert scalars(tmp_path / "logs" / "nodes" / "feeders")[0][1]["feed/input/source_s"] == 3


def test_event_files_hold_what_the_steps_of_each_node_took_now_and_then(tmp_path: Path) -> None:
    now_s = [0.0]
    events = FeedEvents(str(tmp_path / "logs"), clock=lambda: now_s[0])
    for at_s, reductions, measured, own_s in ((0, 1, 0, 0.0), (0.1, 3, 2, 0.05), (1, 21, 20, 0.2), (2, 21, 20, 0.2)):
        now_s[0] = at_s
        position = Position(1, 4, reductions, 0, measured=measured, own_s=own_s)
        events.steps("worker:0", position, resumed_step=100)
    events.close()
    (point,) = scalars(tmp_path / "logs" / "nodes" / "worker-0")
    assert point == (121, {"steps/own_ms": pytest.approx(10), "steps/whole_ms": pytest.approx(50)})
