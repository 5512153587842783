"""The rows of `cluster.train` one after the other, epoch by epoch: what a `DataFeed` for training takes.

Nodes do not run in step here, so nothing is agreed with the others; each reports how far it is by itself.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

import pyarrow as pa

from tfspark_cnn.errors import ConfigError
from tfspark_cnn.feed.data_feed import AsRows
from tfspark_cnn.feed.epochs import ROWS_READER
from tfspark_cnn.feed.reader import Attachment, NodeFeed, Progress

log = logging.getLogger(__name__)


class TrainRows:
    """This node's share of the feeds of one queue, in Spark's order, each `num_epochs` times. For one thread.

    Args:
        next_feed: gives the i-th feed of the queue, waiting for it; None when none will come.
        progress: told how far we are after each batch; must not block.
        detach: tells the coordinator that we want no more rows.
        attach: tells it how we take a feed that is read once.
        first_feed: i of the first feed to take.
    """

    def __init__(
        self,
        *,
        next_feed: Callable[[int], NodeFeed | None],
        progress: Callable[[Progress], None],
        detach: Callable[[], None],
        attach: Callable[[NodeFeed, Attachment], None],
        first_feed: int = 0,
    ) -> None:
        self.done = False
        self.rows_taken = 0
        self.waited_s = 0.0
        self.feed_index = first_feed
        self._next_feed, self._progress, self._detach, self._attach = next_feed, progress, detach, attach
        self._feed: NodeFeed | None = None
        self._passes = self._row = self._step = 0

    @property
    def position(self) -> int:
        """The first feed of the queue that this may still take rows of."""
        return self.feed_index

    def take(self, rows: int, as_rows: AsRows) -> list[Any]:
        """Gives the next rows; fewer, or none, when the cluster shuts down."""
        taken: list[Any] = []
        while len(taken) < rows and not self.done:
            feed = self._feed = self._feed or self._next()
            piece = self._piece(feed, rows - len(taken)) if feed else None
            if feed is None:
                self.done = True
            elif piece is None:
                self._end_pass(feed)
            else:
                taken += as_rows(piece)
                self._advance(feed, piece.num_rows)
        self._report_step()
        return taken

    def answer(self, results: Sequence[Any]) -> None:
        """Refuses results.

        Raises:
            ConfigError: always.
        """
        raise ConfigError(
            "batch_results was called on a feed for training, where nobody waits for results",
            hint="ctx.get_data_feed(train_mode=False)",
        )

    def stop(self) -> None:
        """Takes no more rows, and says so."""
        if not self.done:
            self.done = True
            self._detach()

    # --- inner -------------------------------------------------------------------------------------------------------

    def _next(self) -> NodeFeed | None:
        self._passes = self._row = self._step = self.rows_taken = 0
        self.waited_s = 0.0
        feed = self._next_feed(self.feed_index)
        if feed is not None and feed.store.once:
            feed.claim(ROWS_READER)
            self._attach(feed, Attachment(ROWS_READER, batch_rows=1, window_rows=1, spec=""))
        return feed

    def _piece(self, feed: NodeFeed, rows: int) -> pa.RecordBatch | None:
        """Gives the next rows of one record batch, at most so many; None at the end of the epoch."""
        store = feed.store
        with store.changed:
            self.waited_s += store.await_rows(
                lambda: store.ready_rows > self._row or store.rows_total is not None,
                lambda: store.missing,
                log.getChild(feed.name).info,
            )
            stop = min(store.ready_rows, self._row + rows)
            spans = store.span(self._row, stop)
        if not spans:
            return None
        chunk, first, end = spans[0]
        return store.chunk(chunk).slice(first, end - first)

    def _advance(self, feed: NodeFeed, rows: int) -> None:
        self._row += rows
        self.rows_taken += rows
        if feed.store.once:
            feed.take(ROWS_READER, self._row - 1)
            feed.store.release(self._row)
        if self._row == feed.store.rows_total:
            self._end_pass(feed)

    def _end_pass(self, feed: NodeFeed) -> None:
        self._passes, self._row, self._step = self._passes + 1, 0, 0
        self._report(feed)
        if feed.num_epochs and self._passes >= feed.num_epochs:
            self._feed = None
            self.feed_index += 1

    def _report_step(self) -> None:
        if self._feed is not None and self._row:
            self._step += 1
            self._report(self._feed)

    def _report(self, feed: NodeFeed) -> None:
        self._progress(
            Progress(feed.name, ROWS_READER, self._passes, self._step, self._row, self.waited_s, self.rows_taken)
        )
