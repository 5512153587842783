"""What becomes of a micro-batch, without Spark: a micro-batch is a list of partitions."""

from __future__ import annotations

import contextlib
import pickle
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyspark import StorageLevel

from tfspark_cnn.cluster import streams
from tfspark_cnn.cluster.streams import MicroBatches, Streams, Way, way
from tfspark_cnn.errors import ClusterStopped, ConfigError
from tfspark_cnn.feed.dealing import Dealer


@pytest.mark.parametrize(
    ("sizes", "held", "nodes", "expected"),
    [
        ([], 0, 2, Way.SKIP),
        ([0, 0], 3, 4, Way.SKIP),
        ([1], 0, 1, Way.FEED),
        ([1], 0, 2, Way.HOLD),
        ([1, 0, 1], 1, 4, Way.HOLD),
        ([1], 1, 2, Way.FEED_AS_ONE),
        ([1, 0, 1], 0, 2, Way.FEED_AS_ONE),
        ([2, 2, 2], 2, 3, Way.FEED_AS_ONE),
        ([0, 2], 0, 2, Way.FEED),
        ([2, 3], 2, 3, Way.FEED),
    ],
)
def test_what_becomes_of_a_micro_batch(sizes: list[int], held: int, nodes: int, expected: Way) -> None:
    assert way(sizes, held=held, nodes=nodes) is expected


@given(st.lists(st.integers(0, 9), max_size=12), st.integers(0, 8), st.integers(1, 9))
def test_whatever_is_fed_gives_each_node_a_row(sizes: list[int], held: int, nodes: int) -> None:
    held = min(held, nodes - 1)
    found = way(sizes, held=held, nodes=nodes)
    partitions = [held, *sizes] if held else sizes
    if found is Way.FEED_AS_ONE:
        partitions = [sum(partitions)]
    if found in (Way.FEED, Way.FEED_AS_ONE):
        shares = [Dealer(number, nodes).share_rows(rows) for number, rows in enumerate(partitions)]
        assert all(sum(of_node) for of_node in zip(*shares, strict=True))
    else:
        assert not any(sizes) or sum(sizes) + held < nodes


class Batch:
    """Partitions of rows; remembers what is asked of it."""

    def __init__(self, *partitions: str) -> None:
        self.partitions = partitions

    def collect(self) -> list[str]:
        return list("".join(self.partitions))

    def coalesce(self, number: int) -> Batch:
        assert number == 1
        return Batch("".join(self.partitions))


@contextlib.contextmanager
def spark_played() -> Iterator[list[tuple[str, ...]]]:
    """Spark's part is played by `Batch`; gives a list for what is fed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(streams, "partition_rows", lambda batch: [len(rows) for rows in batch.partitions])
        patch.setattr(streams, "_computed_once", contextlib.nullcontext)
        patch.setattr(streams, "_joined", lambda held, batch: Batch("".join(held), *batch.partitions))
        yield []


@given(st.lists(st.lists(st.text("abc", max_size=4), max_size=4), max_size=10), st.integers(1, 5))
def test_every_row_is_fed_once_or_held(stream: list[list[str]], nodes: int) -> None:
    with spark_played() as fed:
        batches = MicroBatches(lambda batch: fed.append(batch.partitions), lambda: None, nodes)
        for number, partitions in enumerate(stream):
            batches(Batch(*partitions), number)
    assert "".join(map("".join, fed)) + "".join(batches.held) == "".join(map("".join, stream))
    assert len(batches.held) < nodes


def test_rows_stay_held_where_train_fails() -> None:
    def fail(_: Any) -> None:
        raise RuntimeError("no")

    batches = MicroBatches(fail, lambda: None, 2)
    with spark_played():
        batches(Batch("a"))
        with pytest.raises(RuntimeError):
            batches(Batch("b"))
    assert batches.held == ["a"]


def test_a_micro_batch_that_nobody_wants_is_refused_and_not_computed() -> None:
    batches = MicroBatches(lambda _: None, lambda: "no node asks", 2)
    with pytest.raises(ClusterStopped, match="a micro-batch came, and no node asks") as caught:
        batches(object(), 0)
    assert "stop the stream before" in (caught.value.hint or "")


def test_what_fails_is_kept_until_it_is_told() -> None:
    def fail(_: Any) -> None:
        raise RuntimeError("first")

    opened = Streams()
    batches = opened.open(fail, unwanted=lambda: None, nodes=1, num_epochs=1)
    with pytest.raises(RuntimeError):
        batches.train(Batch("a"))
    assert str(opened.take_failure()) == "first"
    assert opened.take_failure() is None


def test_num_epochs_zero_is_refused() -> None:
    with pytest.raises(ConfigError, match="num_epochs is 0 for a stream, expected 1 or more"):
        Streams().open(lambda _: None, unwanted=lambda: None, nodes=1, num_epochs=0)


def test_rows_held_at_the_end_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    opened = Streams()
    opened.open(lambda _: None, unwanted=lambda: None, nodes=3, num_epochs=1).held += ["a", "b"]
    opened.close()
    assert "2 rows of a stream were not trained on: fewer than the 3 nodes" in caplog.text


def test_a_checkpoint_of_a_dstream_is_refused() -> None:
    with pytest.raises(ConfigError, match="with a checkpoint directory cannot be fed"):
        pickle.dumps(MicroBatches(lambda _: None, lambda: None, 1))


class Persisted:
    """A DataFrame whose query is being stopped: what is asked of Spark is interrupted."""

    def __init__(self, *, by_user: bool = False) -> None:
        self.storageLevel = StorageLevel(False, by_user, False, False)
        self.asked: list[str] = []

    def persist(self, level: StorageLevel) -> None:
        self.asked.append(f"persist {level.useDisk} {level.useMemory}")

    def unpersist(self) -> None:
        self.asked.append("unpersist")
        raise RuntimeError("InterruptedException")


def test_a_micro_batch_that_was_fed_stays_fed_where_the_query_is_stopped_meanwhile() -> None:
    batch = Persisted()
    with streams._computed_once(batch):
        assert batch.asked == ["persist True True"]
    assert batch.asked[1:] == ["unpersist"]


def test_clean_up_does_not_hide_what_failed() -> None:
    with pytest.raises(ValueError, match="first"), streams._computed_once(Persisted()):
        raise ValueError("first")


def test_what_the_user_has_persisted_stays_so() -> None:
    batch = Persisted(by_user=True)
    with streams._computed_once(batch):
        pass
    assert batch.asked == []


def test_partitions_are_counted() -> None:
    batch = pa.record_batch({"x": [1, 2, 3]})
    assert [list(streams.count_rows(rows)) for rows in ([], "abc")] == [[0], [3]]
    for batches, rows in ([], 0), ([batch, batch], 6):
        (counted,) = streams.count_batches(batches)
        assert counted.to_pydict() == {"rows": [rows]}


class Stream:
    """As a StreamingContext that ends when it is told to, well or not."""

    def __init__(self, error: Exception | None = None) -> None:
        self.ended, self.error = threading.Event(), error

    def awaitTermination(self) -> None:
        self.ended.wait()
        if self.error:
            raise self.error


@pytest.mark.parametrize("error", [None, ValueError("of the stream")])
def test_the_end_of_a_stream_is_waited_for_and_its_error_kept(error: Exception | None) -> None:
    opened, stream, woken = Streams(), Stream(error), threading.Event()

    def wait(over: Callable[[], bool]) -> None:
        assert not over()
        stream.ended.set()
        assert woken.wait(10) and over()

    opened.await_end(stream, ended=woken.set, wait=wait)
    assert opened.take_failure() is error
