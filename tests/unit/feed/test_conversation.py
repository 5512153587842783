"""Both ends of inference, a real Flight server between them: who hears what when the other end fails."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tfspark_cnn.errors import FeedError, FeedTimeout
from tfspark_cnn.feed import exchange as exchange_module
from tfspark_cnn.feed import transport
from tfspark_cnn.feed.conversation import Conversation
from tfspark_cnn.feed.exchange import BLOCKS_AHEAD, Exchange
from tfspark_cnn.feed.inbox import Inbox
from tfspark_cnn.feed.rows import record_batch, to_rows

SOON_S = 10.0


@pytest.fixture
def inbox() -> Iterator[Inbox]:
    one = Inbox("127.0.0.1", "secret", broken=lambda error: None)
    yield one
    one.exchanges.end("the test has ended")
    one.close()


def converse(
    inbox: Inbox,
    blocks: list[list[Any]],
    *,
    partition: int = 0,
    timeout_s: float = SOON_S,
    leave: threading.Event | None = None,
) -> list[Any]:
    """What a task does: sends blocks of rows and gives the results; or leaves when it is told to."""
    results: list[Any] = []
    with transport.connect(inbox.location, "secret") as client:
        options: dict[str, Any] = {"queue": "input", "partition": partition, "timeout_s": timeout_s}
        with Conversation(client, inbox.location, **options) as conversation:
            for block in blocks:
                for batch in conversation.send(record_batch(block)):
                    results += to_rows(batch)
            if leave is not None:
                assert leave.wait(SOON_S)
                return results
            for batch in conversation.finish():
                results += to_rows(batch)
    return results


class Task(threading.Thread):
    """A conversation in a thread; `outcome()` gives its results or raises its error."""

    def __init__(self, inbox: Inbox, blocks: list[list[Any]], **options: Any) -> None:
        super().__init__(daemon=True)
        self._run = lambda: converse(inbox, blocks, **options)
        self._results: list[Any] = []
        self._error: Exception | None = None
        self.start()

    def run(self) -> None:
        try:
            self._results = self._run()
        except Exception as error:  # raised by `outcome`
            self._error = error

    def outcome(self) -> list[Any]:
        self.join(SOON_S)
        assert not self.is_alive()
        if self._error is not None:
            raise self._error
        return self._results


def until(exchange: Exchange, condition: Callable[[], bool]) -> None:
    with exchange._changed:
        assert exchange._changed.wait_for(condition, SOON_S)


def test_results_come_in_order_whatever_the_batches_of_map_fun(inbox: Inbox) -> None:
    task, exchange, sizes = Task(inbox, [[1, 2, 3], [4], [5, 6, 7, 8]]), inbox.exchanges.of("input"), []
    while sum(sizes) < 8:
        taken = exchange.take(3, to_rows)
        sizes.append(len(taken))
        exchange.answer([10 * row for row in taken])
    assert task.outcome() == [10, 20, 30, 40, 50, 60, 70, 80]
    assert sizes == [3, 3, 2], "the last batch of a partition is what is left of it"


def test_a_node_takes_no_more_blocks_than_it_can_hold(inbox: Inbox) -> None:
    task, exchange = Task(inbox, [[number] for number in range(40)]), inbox.exchanges.of("input")
    until(exchange, lambda: bool(exchange._streams) and len(exchange._streams[0].blocks) == BLOCKS_AHEAD)
    for number in range(40):
        assert exchange.take(1, to_rows) == [number]
        assert len(exchange._streams[0].blocks) <= BLOCKS_AHEAD
        exchange.answer([number])
    assert task.outcome() == list(range(40))


def test_a_node_that_does_nothing_is_given_up_in_words(inbox: Inbox) -> None:
    words = r"partition 4: the node at .* has neither taken rows nor given results for 0.2 s: 2 rows were sent"
    with pytest.raises(FeedTimeout, match=words) as caught:
        converse(inbox, [[1, 2]], partition=4, timeout_s=0.2)
    assert "qname_in='input'" in (caught.value.hint or "")


@pytest.mark.parametrize("results", [[], [1], [1, 2, 3]])
def test_a_wrong_number_of_results_is_told_to_both_ends(inbox: Inbox, results: list[int]) -> None:
    task, exchange = Task(inbox, [[1, 2]], partition=5), inbox.exchanges.of("input")
    exchange.take(2, to_rows)
    words = f"partition 5: expected 2 results, one for each row of the batch, received {len(results)}"
    with pytest.raises(FeedError, match=words):
        exchange.answer(results)
    with pytest.raises(FeedError, match=words):
        task.outcome()


def test_results_without_rows_are_an_error_and_nothing_for_nothing_is_none(inbox: Inbox) -> None:
    exchange = inbox.exchanges.of("input")
    exchange.answer([])
    with pytest.raises(FeedError, match="expected 0 results, one for each row of the batch, received 1"):
        exchange.answer([1])


def test_a_task_that_leaves_concerns_no_other(inbox: Inbox) -> None:
    exchange = inbox.exchanges.of("input")
    leave = threading.Event()
    gone = Task(inbox, [[1, 2], [3, 4]], leave=leave)
    assert exchange.take(2, to_rows) == [1, 2]
    leave.set()
    gone.outcome()
    until(exchange, lambda: not exchange._streams)
    exchange.answer([0, 0])  # of a task that has gone: dropped
    again = Task(inbox, [[1, 2], [3, 4]])
    for _ in range(2):
        exchange.answer([-row for row in exchange.take(2, to_rows)])
    assert again.outcome() == [-1, -2, -3, -4]


def test_rows_after_map_fun_has_returned_are_refused_with_the_reason(inbox: Inbox) -> None:
    exchange = inbox.exchanges.of("input")
    task = Task(inbox, [[1, 2]])
    assert exchange.take(1, to_rows) == [1]
    inbox.exchanges.end("map_fun has returned")
    for outcome in (task.outcome, lambda: converse(inbox, [[3]], partition=1)):
        with pytest.raises(FeedError, match="ended after 0 results: nobody takes the rows: map_fun has returned"):
            outcome()
    assert (exchange.take(1, to_rows), exchange.done) == ([], True)


def test_streams_that_are_under_way_are_served_when_the_queue_is_closed(inbox: Inbox) -> None:
    exchange = inbox.exchanges.of("input")
    task = Task(inbox, [[1], [2]])
    assert exchange.take(1, to_rows) == [1]
    exchange.close()
    exchange.answer([1])
    exchange.answer(exchange.take(1, to_rows))
    assert task.outcome() == [1, 2]
    assert (exchange.take(1, to_rows), exchange.done) == ([], True)
    with pytest.raises(FeedError, match="nobody takes the rows: the cluster is shutting down"):
        converse(inbox, [[3]])


def test_a_node_that_is_gone_is_named(inbox: Inbox) -> None:
    inbox.close()
    with pytest.raises(FeedError, match=rf"partition 2: the node at {inbox.location} ended after 0 results") as caught:
        converse(inbox, [[1]], partition=2)
    assert "cluster.shutdown()" in (caught.value.hint or "")


def test_an_error_waits_for_its_stream_no_longer_than_it_says(inbox: Inbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange_module, "DELIVERY_S", 0.05)
    exchange = Exchange()
    stream = exchange._begin(exchange_module._Stream(3, writer=None))  # its serving thread never comes back
    exchange._put(stream, record_batch([1]))
    assert exchange.take(1, to_rows) == [1]
    with pytest.raises(FeedError, match="partition 3: expected 1 results"):
        exchange.answer([])
