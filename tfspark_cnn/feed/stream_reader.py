"""One `train` call after the other, as a node reads them in step with the others: what `ctx.stream` is made of."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator

from tfspark_cnn.errors import FeedError
from tfspark_cnn.feed.reader import Attachment, Batch, EpochReader, NodeFeed, Progress, ReaderOptions, StepBlock
from tfspark_cnn.feed.schema import TensorSpec
from tfspark_cnn.feed.step_clock import StepClock


class StreamReader:
    """Reads the feeds of a queue, `train` call by `train` call. For one thread, but for `epoch`.

    Args:
        number: of the reader, from 0; those of the same number on all data nodes run in step.
        options: how to read.
        next_feed: gives the i-th feed of the queue, waiting for it; None when none will come.
        attach: tells the coordinator how we take a feed.
        progress: told how far we are after each batch; must not block.
        first_feed: i of the first feed to read.
        clock: knows how far the training is, to tell which waits it felt.
    """

    def __init__(
        self,
        number: int,
        options: ReaderOptions,
        *,
        next_feed: Callable[[int], NodeFeed | None],
        attach: Callable[[NodeFeed, Attachment], None],
        progress: Callable[[Progress], None],
        first_feed: int = 0,
        clock: StepClock | None = None,
    ) -> None:
        self._number, self.options, self._clock = number, options, clock
        self._next_feed, self._attach, self._progress = next_feed, attach, progress
        self._reader: EpochReader | None = None  # of the present call
        self._begun = -1  # its first feed
        self._left = self._following = first_feed  # the first feed that is not over; the first one of the next call
        self._before: EpochReader | None = None  # of the call before, whose last batches may still be under way

    @property
    def position(self) -> int:
        """The first feed of the queue that this may still take rows of."""
        return max(self._left, self._reader.position if self._reader else 0)

    @property
    def feed_index(self) -> int:
        """The feed that is being read, or waited for."""
        return self._reader.feed_index if self._reader else self._left

    def go_on(self) -> bool:
        """Goes on to the next `train` call, waiting for it; gives whether there is one.

        Raises:
            FeedError: nobody could tell when the call is over.
            SchemaError: a column is missing or cannot become a tensor.
        """
        self._leave()
        feed = self._next_feed(self._following)
        if feed is None:
            return False
        if not feed.train_epochs:
            raise FeedError(
                "ctx.stream got a train call with num_epochs=0, expected one that says when it is over",
                hint="pass train(..., num_epochs=1), or read it by ctx.dataset",
            )
        begun = self._begun = self._following
        self._following += feed.train_epochs if feed.store.once else 1
        self._reader = EpochReader(
            self._number,
            self.options,
            next_feed=self._next_of_call,
            attach=self._attach,
            progress=lambda progress: self._tell(begun, progress),
            first_feed=begun,
            clock=self._clock,
        )
        return True

    def spec(self) -> tuple[TensorSpec, ...]:
        """Gives shape and dtype of one row of each column of the present call."""
        assert self._reader is not None, "go_on comes first"
        return self._reader.spec()

    def origin(self, feed: int, row: int) -> tuple[int, int]:
        """Gives the partition and the row of it that a row of a `StepBlock` is."""
        return self._of(feed).origin(feed, row)

    def skipped(self, feed: int) -> Collection[int]:
        """Gives the rows of a feed that are left out."""
        return self._of(feed).skipped(feed)

    def skip(self, feed: int, row: int) -> int:
        """Takes note that a row of a feed is left out. Gives how many there are now, or 0 if it was known."""
        return self._of(feed).skip(feed, row)

    def _of(self, feed: int) -> EpochReader:
        reader = self._reader if self._before is None or feed >= self._begun >= 0 else self._before
        assert reader is not None, "go_on comes first"
        return reader

    def epoch(self) -> Iterator[Batch]:
        """Gives the batches of the next epoch of the present call, as `blocks`."""
        for block in self.blocks():
            yield from block.batches()

    def blocks(self, *, seeded: bool = False) -> Iterator[StepBlock]:
        """Gives the batches of the next epoch of the present call, several steps at a time.

        Raises:
            FeedError: more epochs are asked for than the call gives.
        """
        assert self._reader is not None, "go_on comes first"
        return self._reader.blocks(seeded=seeded)

    def _next_of_call(self, index: int) -> NodeFeed:
        feed = self._next_feed(index) if index < self._following else None
        if feed is None:
            raise FeedError(
                "one more epoch was asked for than the train call gives that ctx.stream is at",
                hint="fit with epochs=ctx.num_epochs, or pass train a larger num_epochs",
            )
        return feed

    def _leave(self) -> None:
        """Ends the present call. Epochs that were not taken count as taken: `train` must not wait for them."""
        reader, self._reader, self._begun = self._reader, None, -1
        if reader is None:
            return
        self._before, self._left = reader, reader.position
        while self._left < self._following:
            feed = self._next_feed(self._left)
            if feed is None:
                return
            mine = self._left == reader.feed_index  # else it was not begun
            rows, waited_s = (reader.rows_taken, reader.waited_s) if mine else (0, 0.0)
            self._left += 1
            self._progress(Progress(feed.name, self._number, feed.num_epochs, 0, 0, waited_s, rows))

    def _tell(self, begun: int, progress: Progress) -> None:
        if begun == self._begun:  # else of a pass that was left early, which TensorFlow ends when it likes
            self._progress(progress)
