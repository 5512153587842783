from __future__ import annotations

import threading
from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pytest

from tfspark_cnn.feed.cache import FeedStore
from tfspark_cnn.feed.flow import Flow

SOON_S = 20.0


@pytest.mark.parametrize(
    ("partition", "ordered", "parked", "backlog", "lead_streams", "held"),
    [
        (3, 51, 0, True, 1, True),
        (3, 51, 0, False, 1, False),  # the reader waits: whatever fills the memory, these rows may be what it needs
        (3, 50, 900, True, 1, False),  # parked rows do not stop those in order
        (2, 51, 0, True, 1, True),  # a late copy of a partition that is complete
        (4, 0, 51, True, 1, True),
        (4, 900, 50, True, 1, False),
        (4, 0, 51, False, 1, True),
        (4, 0, 51, True, 0, False),  # the leading partition's next try may need this slot
    ],
)
def test_who_is_held_back(
    partition: int, ordered: int, parked: int, backlog: bool, lead_streams: int, held: bool
) -> None:
    flow = Flow(100, ordered_bytes=ordered, parked_bytes=parked)
    flow.streams[3] = lead_streams
    assert flow.holds(partition, lead=3, backlog=backlog) is held


@pytest.mark.parametrize("change", [{"ended": True}, {"starving": True}, {"alone": False}])
def test_nobody_is_held_where_that_could_last_for_ever(change: dict[str, bool]) -> None:
    flow = Flow(100, ordered_bytes=500, parked_bytes=500)
    flow.streams[0] = 1
    assert flow.holds(0, lead=0, backlog=True) and flow.holds(1, lead=0, backlog=True)
    for name, value in change.items():
        setattr(flow, name, value)
    assert not flow.holds(0, lead=0, backlog=True) and not flow.holds(1, lead=0, backlog=True)


def some_rows(start: int, stop: int) -> pa.RecordBatch:
    return pa.record_batch({"row": np.arange(start, stop)})


def store_of(memory_bytes: int, *, backlog: bool = True) -> FeedStore:
    store = FeedStore(lambda *_: None, memory_bytes=memory_bytes, once=True)
    store.backlog = lambda: backlog
    return store


def blocked(call: Callable[[], None]) -> tuple[threading.Thread, threading.Event]:
    done = threading.Event()
    thread = threading.Thread(target=lambda: (call(), done.set()), daemon=True)
    thread.start()
    return thread, done


def waiters(store: FeedStore) -> int:
    with store.changed:
        return len(store.changed._waiters)  # type: ignore[attr-defined]


def until_waiting(store: FeedStore) -> None:
    while not waiters(store):  # there is no event for "has begun to wait"
        threading.Event().wait(0.001)


@pytest.mark.parametrize("free", ["release", "discard", "starve", "company"])
def test_a_feeder_that_is_held_goes_on_as_soon_as_it_may(free: str) -> None:
    store = store_of(100)
    store.accept(0, 0, some_rows(0, 10))  # 80 bytes
    _, done = blocked(lambda: store.accept(0, 10, some_rows(10, 20)))
    until_waiting(store)
    assert store.ready_rows == 10
    match free:
        case "release":
            store.release(10)
        case "discard":
            store.discard()
        case "company":
            store.set_alone(False)
        case "starve":
            store.backlog = lambda: False
            with store.changed:
                store.changed.notify_all()
    assert done.wait(SOON_S)
    assert store.ready_rows == 20 and store.held_s > 0


def test_a_parked_feeder_is_let_go_when_the_leading_one_is_killed() -> None:
    store = store_of(100)
    with store.stream(0):
        with store.stream(1):
            store.accept(1, 0, some_rows(0, 10))
            _, done = blocked(lambda: store.accept(1, 10, some_rows(10, 20)))
            until_waiting(store)
        assert not done.is_set()
    assert done.wait(SOON_S)


def test_rows_that_were_read_go_and_the_rest_keeps_its_numbers() -> None:
    store = store_of(1 << 20)
    for start in (0, 10, 20):
        store.accept(0, start, some_rows(start, start + 10))
    assert store.release(15) == 1, "a record batch goes as a whole"
    assert store.span(15, 25) == [(1, 5, 10), (2, 0, 5)]
    chunks, inner = store.locate(np.array([12, 29]))
    assert (chunks.tolist(), inner.tolist()) == ([1, 2], [2, 9])
    assert store.chunk(2).column("row").to_pylist()[0] == 20 and store.first_row(2) == 20
    assert store.release(15) == 1, "twice is once"


def test_a_retry_is_compared_with_rows_that_were_read_already() -> None:
    kept, read = FeedStore(lambda *_: None), store_of(1 << 20)
    for store in (kept, read):
        for start in (0, 7):
            store.accept(0, start, some_rows(start, start + 7))
    read.release(7)
    assert read.resume(0) == kept.resume(0)
    read.accept(0, 14, some_rows(14, 20))
    kept.accept(0, 14, some_rows(14, 20))
    read.commit(0, 20)
    read.release(20)
    assert read.resume(0) == kept.resume(0), "a copy of a task may come after the commit"


def test_rows_that_nobody_wants_are_counted_and_dropped() -> None:
    store = store_of(10)
    store.discard()
    for partition in (1, 0):
        store.accept(partition, 0, some_rows(0, 100))
        store.commit(partition, 100)
    store.close(2, 200)
    assert store.ready_rows == 200 and store.chunks() == ()
