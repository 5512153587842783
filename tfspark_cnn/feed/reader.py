"""Batches for one node, epoch by epoch: what `ctx.dataset` is made of.

The first epoch runs while rows still arrive, as far as the coordinator has said that every node has data; once the
totals are known, every node plans the rest by itself, the same way (`epochs.plan`).
"""

from __future__ import annotations

import logging
import threading
import time
import zlib
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tfspark_cnn.errors import EmptyFeedError, FeedError
from tfspark_cnn.feed import batching, epochs, rows, schema
from tfspark_cnn.feed.cache import ColumnReader, FeedStore
from tfspark_cnn.feed.epochs import EpochPlan
from tfspark_cnn.feed.origins import Origins
from tfspark_cnn.feed.schema import Column, ResolvedColumn, TensorSpec
from tfspark_cnn.feed.step_clock import StepClock

log = logging.getLogger(__name__)

Batch = tuple[NDArray[np.generic], ...]

BLOCK_BYTES, BLOCK_STEPS = 2 << 20, 32
"""Rows of so many bytes and steps are handed over at once. Handing over costs Python and TensorFlow about 0.3 ms, as
much as a native `tf.data` pipeline needs for two batches of 64 images of 28x28 floats; 2 MiB are ten of these."""

DIGEST_BYTES = 1 << 20
"""A row of more is not looked at to know the data again: as Python objects it would take a hundred times as much."""

_Piece = tuple[int, Batch]  # a number of steps, and all rows of them


@dataclass
class NodeFeed:
    """One `train` call as a node sees it. Everything here changes under `store.changed`.

    Attributes:
        name: of the feed.
        schema: of its rows.
        num_epochs: how often its rows can be taken; 0: as often as the nodes want.
        train_epochs: what `train` was asked for; more than `num_epochs` where each epoch is a feed of its own.
        share: our place among the data nodes.
        store: the rows that are here.
        agreed: by reader, what each data node takes per step; known when all have attached. Where nodes do not run in
            step, what this one takes.
        steps_ready: by reader, full steps of the first epoch that every node has data for.
        steps_taken: by reader, how many of them it has taken.
        seen_rows: our rows in order that the coordinator knows of.
        started: whether every data node has a row in order.
        totals: rows of each share, once all are with the nodes.
        digest: of our first row, once it was read; None also where rows are large, or not kept.
        claimed: the reader of a feed that is read once.
    """

    name: str
    schema: pa.Schema
    num_epochs: int
    share: int
    store: FeedStore
    train_epochs: int = 1
    agreed: dict[int, list[int]] = field(default_factory=dict)
    steps_ready: dict[int, int] = field(default_factory=dict)
    steps_taken: dict[int, int] = field(default_factory=dict)
    seen_rows: int = 0
    started: bool = False
    totals: list[int] | None = None
    digest: int | None = None
    claimed: int | None = None

    def __post_init__(self) -> None:
        self.store.backlog = self.has_backlog

    def claim(self, reader: int) -> None:
        """Begins to read.

        Raises:
            FeedError: the rows can be read only once, and another reader does.
        """
        if self.store.once and self.claimed not in (None, reader):
            raise FeedError(
                f"a second dataset reads the feed {self.name}, expected one: its rows are kept by no node",
                hint='run with cache="memory" or cache="disk" to read rows twice',
            )
        self.claimed = reader

    def has_backlog(self) -> bool:
        """Tells whether the reader can go on without any further row on any node, or may soon be told so.

        The coordinator answers whatever the inbox tells of new rows. Before all nodes have attached, they can go on
        once each has a row: it tells them the shapes, and they will attach.
        """
        if self.store.ready_rows > self.seen_rows:
            return True
        if not self.agreed:
            return self.started
        return any(self.steps_ready.get(reader, 0) > self.steps_taken.get(reader, 0) for reader in self.agreed)

    def see(self, ready_rows: int, started: bool) -> None:
        """Takes note of what the coordinator knows of our rows, and whether every data node has one in order."""
        with self.store.changed:
            self.seen_rows, self.started = ready_rows, started
            self.store.changed.notify_all()

    def take(self, reader: int, step: int) -> None:
        """Takes note that a reader takes a step."""
        with self.store.changed:
            self.steps_taken[reader] = step + 1
            if self.store.once:
                self.store.changed.notify_all()

    def agree(self, reader: int, batch_rows: list[int]) -> None:
        """Takes note of what each data node takes per step."""
        with self.store.changed:
            self.agreed[reader] = batch_rows
            self.store.changed.notify_all()

    def allow(self, reader: int, steps: int) -> None:
        """Takes note of how far the first epoch may be run."""
        with self.store.changed:
            self.steps_ready[reader] = steps
            self.store.changed.notify_all()

    def finish(self, totals: list[int], partitions: int) -> None:
        """Takes note that all rows are with the nodes.

        Raises:
            FeedError: ours are not.
        """
        with self.store.changed:
            self.store.close(partitions, totals[self.share])
            self.totals = totals
            self.store.changed.notify_all()

    def plan(self, reader: int, replicas: int) -> EpochPlan:
        """Gives the plan of an epoch, once the totals are known; where nodes do not run in step, of this one alone."""
        assert self.totals is not None
        agreed = self.agreed[reader]
        totals = self.totals if len(agreed) == len(self.totals) else [self.totals[self.share]]
        return epochs.plan(totals, agreed, replicas=replicas)

    def place(self, reader: int) -> int:
        """Gives the place of this node in the plan."""
        return min(self.share, len(self.agreed[reader]) - 1)


@dataclass(frozen=True)
class Progress:
    """How far a reader is: feed, passes ended, steps and rows of the current one; of the feed: seconds waited, rows.

    `skipped` counts the rows of the feed that were left out because their images cannot be decoded, each once.
    """

    feed: str
    reader: int
    passes: int
    step: int
    rows: int
    waited_s: float
    rows_in_all: int = 0
    skipped: int = 0


@dataclass(frozen=True)
class StepBlock:
    """The batches of some steps of one size that follow on each other, and where they are from.

    Attributes:
        columns: `[steps, rows, ...]` of each column.
        rows: their numbers in the order of the node's share, int64[steps, rows].
        feed: place of the feed in its queue, from 0.
        seeds: of each step, int32[steps, 2], or [0, 2] if they were not asked for.
    """

    columns: Batch
    rows: NDArray[np.int64]
    feed: int
    seeds: NDArray[np.int32]

    def batches(self) -> Iterator[Batch]:
        """Gives the columns of each step, `[rows, ...]`."""
        return zip(*self.columns, strict=True)


@dataclass(frozen=True)
class ReaderOptions:
    """How a dataset is read.

    Attributes:
        columns: features, then the label if there is one.
        batch_rows: rows per step of this node.
        replicas: local replicas that TensorFlow splits a step over, so that each needs a row of it.
        shuffle: whether the order is shuffled.
        seed: of the cluster.
    """

    columns: tuple[Column, ...]
    batch_rows: int
    replicas: int = 1
    shuffle: bool = True
    seed: int = 0

    @property
    def window_rows(self) -> int:
        """Rows of an epoch that arrives which are there before any of them is taken."""
        return batching.SHUFFLE_WINDOW_ROWS if self.shuffle else 1


@dataclass(frozen=True)
class Attachment:
    """How a reader takes a feed: which it is, rows per step, rows that it takes as a whole, what a row looks like."""

    reader: int
    batch_rows: int
    window_rows: int
    spec: str


@dataclass(frozen=True)
class Place:
    """Where a reader is: the feed in its queue, the pass over it that is next, and the first step of that pass.

    `batch_rows` is what a step takes, `totals` and `digest` are what was known of the rows there; see `NodeFeed`.
    """

    feed: int
    passes: int
    step: int = 0
    batch_rows: int | None = None
    totals: list[int] | None = None
    digest: int | None = None

    def check(self, feed: NodeFeed) -> bool:
        """Gives whether all that is known of the rows has been compared.

        Raises:
            FeedError: they are not those of this place.
        """
        for what, then, now in (("rows by node", self.totals, feed.totals), ("first row", self.digest, feed.digest)):
            if then is not None and now is not None and then != now:
                raise FeedError(
                    f"the checkpoint is of other data: of the {what}, {then} was expected and {now} received",
                    hint="use another model_dir, or delete its checkpoints folder",
                )
        return feed.totals is not None


class EpochReader:
    """The n-th dataset over a queue on this node. Each `epoch()` is one pass over the rows of its share.

    Args:
        number: n, from 0; the n-th readers of all data nodes run in step.
        options: how to read.
        next_feed: gives the i-th feed of the queue, waiting for it; raises FeedError when none will come. Those before
            are not needed any more.
        attach: tells the coordinator what we take per step of a feed, and what a row looks like.
        progress: told after each batch; must not block.
        first_feed: i of the first feed to read.
        current: gives i of the feed to be read by a pass that begins now, from the i of the pass before.
        clock: knows how far the training is, to tell which waits it felt.
    """

    def __init__(
        self,
        number: int,
        options: ReaderOptions,
        *,
        next_feed: Callable[[int], NodeFeed],
        attach: Callable[[NodeFeed, Attachment], None],
        progress: Callable[[Progress], None],
        first_feed: int = 0,
        current: Callable[[int], int] = lambda index: index,
        clock: StepClock | None = None,
    ) -> None:
        self._clock, self._given = clock, 0  # steps of the pass whose rows were given out
        self.number = number
        self.options = options
        self.rows_taken = 0  # of the present feed
        self.waited_s = 0.0
        self.feed_index = first_feed
        self.begun_s = 0.0  # when the last pass began
        self._next_feed, self._attach, self._progress, self._current = next_feed, attach, progress, current
        self._lock = threading.Lock()  # one pass begins at a time
        self._telling = threading.Lock()  # rows are taken and left out by threads of their own
        self._told: dict[str, Progress] = {}
        self._skipped: dict[str, set[int]] = {}
        self._origins: dict[int, tuple[str, Origins]] = {}
        self._expected: Place | None = None
        self._passes = self._ended = self._first_step = 0  # of the present feed
        self._feed: NodeFeed | None = next_feed(first_feed)
        self._columns = self._begin(self._feed)

    @property
    def position(self) -> int:
        """The first feed of the queue that this reader may still take rows of."""
        feed = self._feed
        return self.feed_index + (feed is not None and 0 < feed.num_epochs <= self._ended)

    @property
    def begun(self) -> Place:
        """The feed that is being read, how many passes over it have begun, and what is known of its rows."""
        feed = self._feed
        known = (feed.totals, feed.digest) if feed is not None else (None, None)
        size = self.options.batch_rows
        return Place(self.feed_index, self._passes, batch_rows=size, totals=known[0], digest=known[1])

    def resume(self, place: Place) -> None:
        """Lets the next pass be the one at a place; those before it, and its first steps, count as taken.

        That the rows are the ones of that place is found when they are read.

        Raises:
            FeedError: the place is behind this reader, its feed will not come, or its steps were of another size.
        """
        if place.batch_rows not in (None, self.options.batch_rows):
            raise FeedError(
                f"the checkpoint is of another training: a step took {place.batch_rows} rows of this node, and takes "
                f"{self.options.batch_rows} now",
                hint="use the same batch_size, or another model_dir",
            )
        with self._lock:
            if (place.feed, place.passes) < (self.feed_index, self._passes):
                raise FeedError(
                    f"expected to go on at pass {place.passes + 1} of train call {place.feed + 1} or later, received a "
                    f"dataset that has begun {self._passes} passes of train call {self.feed_index + 1}",
                    hint="make the datasets anew in map_fun, and read none of them before fit",
                )
            while self.feed_index < place.feed:
                self._skip(self._present(), self._present().num_epochs)
                self._leave(self.feed_index + 1)
            if place.passes:
                self._skip(self._present(), place.passes)
            self._passes, self._first_step, self._expected = place.passes, place.step, place

    def skip_passes(self, passes: int) -> None:
        """Lets so many passes count as taken, over the `train` calls that they are of.

        Raises:
            FeedError: there are no such calls.
        """
        with self._lock:
            while passes:
                feed = self._present()
                here = min(passes, feed.num_epochs - self._passes) if feed.num_epochs else passes
                self._passes, passes = self._passes + here, passes - here
                self._skip(feed, self._passes)
                if passes:
                    self._leave(self.feed_index + 1)

    def _skip(self, feed: NodeFeed, passes: int) -> None:
        self._ended = passes
        self._tell(feed, passes, 0, 0)

    def spec(self) -> tuple[TensorSpec, ...]:
        """Gives shape and dtype of one row of each column."""
        return tuple(schema.spec(column) for column in self._columns)

    def epoch(self) -> Iterator[Batch]:
        """Gives the batches of the next epoch, `[rows, *shape]` for each column.

        Raises:
            FeedError: more epochs are asked for than `train` gives.
            EmptyFeedError: the epoch has no rows, or fewer than there are data nodes.
        """
        for block in self.blocks():
            yield from block.batches()

    def blocks(self, *, seeded: bool = False) -> Iterator[StepBlock]:
        """Gives the batches of the next epoch, several steps at a time where they are small; as `epoch`.

        Args:
            seeded: whether a seed is made for each step.
        """
        with self._lock:
            feed, index = self._advance()
            place = self.feed_index
            step, self._first_step = self._first_step, 0
        reader = ColumnReader(feed.store, self._columns)
        arriving = index == 0 and feed.totals is None
        pieces = self._arriving(feed, reader, step) if arriving else self._planned(feed, reader, index, step)
        taken, self._given = 0, step
        try:
            for steps, arrays in pieces:
                self._check_rows(feed)
                begun, step = step, step + steps
                self._given = step
                taken += len(arrays[0])
                self.rows_taken += len(arrays[0])
                feed.take(self.number, step - 1)
                self._tell(feed, index, step, taken)
                seeds = [self._seed(feed, one, index) for one in range(begun, step)] if seeded else []
                *columns, numbers = (array.reshape(steps, -1, *array.shape[1:]) for array in arrays)
                places = numbers.astype(np.int64, copy=False)
                yield StepBlock(tuple(columns), places, place, np.asarray(seeds, np.int32).reshape(-1, 2))
            self._check_rows(feed)
        finally:  # a pass that is left early has ended too
            self._ended = max(self._ended, index + 1) if feed is self._feed else self._ended
            self._tell(feed, index + 1, 0, 0)

    def _check_rows(self, feed: NodeFeed) -> None:
        chunk = None if feed.store.once or feed.digest is not None else feed.store.first_chunk()
        if chunk is not None and chunk.nbytes <= DIGEST_BYTES * chunk.num_rows:
            feed.digest = zlib.crc32(repr(chunk.slice(0, 1).to_pylist()).encode())
        if self._expected is not None and self._expected.check(feed):
            self._expected = None

    def _seed(self, feed: NodeFeed, step: int, epoch: int) -> NDArray[np.int32]:
        return batching.step_seed(feed.name, step, seed=self.options.seed, epoch=epoch, node=feed.share)

    # --- rows that are left out --------------------------------------------------------------------------------------

    def origin(self, feed: int, row: int) -> tuple[int, int]:
        """Gives the partition and the row of it that a row of a `StepBlock` is."""
        return self._origins[feed][1].of(row)

    def skipped(self, feed: int) -> Collection[int]:
        """Gives the rows of a feed that are left out."""
        return self._skipped.get(self._origins[feed][0], ())

    def skip(self, feed: int, row: int) -> int:
        """Takes note that a row of a feed is left out. Gives how many there are now, or 0 if it was known."""
        name = self._origins[feed][0]
        with self._telling:
            rows = self._skipped.setdefault(name, set())
            if row in rows:
                return 0
            rows.add(row)
            self._send(self._told[name])  # told before any of its rows was given out
            return len(rows)

    def _tell(self, feed: NodeFeed, passes: int, step: int, rows: int) -> None:
        with self._telling:
            self._send(Progress(feed.name, self.number, passes, step, rows, self.waited_s, self.rows_taken))

    def _send(self, progress: Progress) -> None:
        self._told[progress.feed] = progress
        self._progress(replace(progress, skipped=len(self._skipped.get(progress.feed, ()))))

    # --- which feed, which pass --------------------------------------------------------------------------------------

    def _advance(self) -> tuple[NodeFeed, int]:
        """Gives the feed and the number of the pass that begins now."""
        if self._feed is not None and self._feed.num_epochs and self._passes >= self._feed.num_epochs:
            self._leave(self.feed_index + 1)
        elif self._current(self.feed_index) != self.feed_index:
            self._leave(self._current(self.feed_index))
        feed = self._present()
        self._passes += 1
        self.begun_s = time.monotonic()
        return feed, self._passes - 1

    def _present(self) -> NodeFeed:
        if self._feed is None:
            self._feed = self._next_feed(self.feed_index)
            self._columns = self._begin(self._feed)
        return self._feed

    def _leave(self, following: int) -> None:
        self._feed = None  # its rows go while we wait for the next
        self.feed_index, self._passes, self._ended, self._first_step = following, 0, 0, 0
        self.rows_taken, self.waited_s = 0, 0.0
        with self._telling:  # batches under way are of the last feed; those before it are forgotten
            for index in list(self._origins)[:-1]:
                name, _ = self._origins.pop(index)
                self._told.pop(name, None)
                self._skipped.pop(name, None)

    def _begin(self, feed: NodeFeed) -> tuple[ResolvedColumn, ...]:
        feed.claim(self.number)
        self._origins[self.feed_index] = feed.name, feed.store.origins
        found = self._first_chunk(feed).schema if rows.is_unknown(feed.schema) else feed.schema
        columns = tuple(schema.resolve(found, column) for column in self.options.columns)
        if not all(column.concrete for column in columns):
            columns = self._told_by_first_row(feed, columns)
        spec = "; ".join(f"{s.name} {s.dtype}{list(s.shape)}" for s in map(schema.spec, columns))
        self._attach(feed, Attachment(self.number, self.options.batch_rows, self.options.window_rows, spec))
        return columns

    def _told_by_first_row(self, feed: NodeFeed, columns: Sequence[ResolvedColumn]) -> tuple[ResolvedColumn, ...]:
        chunk = self._first_chunk(feed)
        return tuple(
            column
            if column.concrete
            else schema.infer_shape(chunk.column(column.name), column, origin=feed.store.origins.of)
            for column in columns
        )

    def _first_chunk(self, feed: NodeFeed) -> pa.RecordBatch:
        store = feed.store
        self._wait(feed, lambda: store.ready_rows > 0 or feed.totals is not None, lambda: f"the first {store.missing}")
        chunk = store.first_chunk()
        if chunk is None:
            raise EmptyFeedError(
                f"this node got none of the rows: the shares are {feed.totals}",
                hint="use fewer workers, or more rows; Column(..., shape=...) tells the shape without a row",
            )
        return chunk

    # --- batches -----------------------------------------------------------------------------------------------------

    def _arriving(self, feed: NodeFeed, reader: ColumnReader, step: int) -> Iterator[_Piece]:
        """The first epoch while rows arrive; batch boundaries are those of the plan, which is not known yet."""
        ahead, size = _Windows(feed, reader, self.options, epoch=self._seeded(0)), self.options.batch_rows
        while True:
            self._wait(feed, lambda s=step: self._may_take(feed, s), lambda s=step: self._why(feed, s))  # type: ignore[misc]
            if feed.totals is not None:
                break
            steps = min(self._steps_at_once(feed), feed.steps_ready[self.number] - step)
            yield steps, self._window_rows(feed, ahead, step * size, (step + steps) * size)
            step += steps
        plan = feed.plan(self.number, self.options.replicas)
        yield from self._in_pieces(feed, plan, partial(self._window_rows, feed, ahead), first_step=step)
        reader.release(feed.store.ready_rows)

    def _planned(self, feed: NodeFeed, reader: ColumnReader, epoch: int, first_step: int) -> Iterator[_Piece]:
        self._wait(feed, lambda: self._is_planned(feed), lambda: self._why(feed, first_step))
        pieces = partial(self._in_pieces, feed, feed.plan(self.number, self.options.replicas), first_step=first_step)
        if epoch == 0:  # the rows are all here, but the order is that of an epoch that arrives
            ahead = _Windows(feed, reader, self.options, epoch=self._seeded(0))
            yield from pieces(ahead.rows)
            reader.release(feed.store.ready_rows)
        elif not self.options.shuffle:
            yield from pieces(reader.range)
        else:
            shuffled = batching.blocked_order if feed.store.spilled else batching.epoch_order
            order = shuffled(feed.store.ready_rows, seed=self.options.seed, epoch=self._seeded(epoch), node=feed.share)
            yield from pieces(lambda start, stop: reader.take(order[start:stop]))

    def _in_pieces(
        self, feed: NodeFeed, plan: EpochPlan, rows: Callable[[int, int], Batch], *, first_step: int
    ) -> Iterator[_Piece]:
        """Gives the steps of a plan from one on, those of one size together."""
        at_once, place = self._steps_at_once(feed), feed.place(self.number)
        step = first_step
        while step < plan.steps:
            (start, stop), size = plan.bounds(place, step), plan.size(place, step)
            steps = 1
            while steps < at_once and step + steps < plan.steps and plan.size(place, step + steps) == size:
                steps, stop = steps + 1, stop + size
            yield steps, rows(start, stop)
            step += steps

    def _steps_at_once(self, feed: NodeFeed) -> int:
        return max(1, min(BLOCK_STEPS, BLOCK_BYTES // max(1, round(self.options.batch_rows * feed.store.row_bytes))))

    def _window_rows(self, feed: NodeFeed, ahead: _Windows, start: int, stop: int) -> Batch:
        self._wait(feed, lambda: ahead.ready(stop), lambda: f"a shuffle window: {feed.store.missing}")
        return ahead.rows(start, stop)

    # --- waiting -----------------------------------------------------------------------------------------------------

    def _wait(self, feed: NodeFeed, ready: Callable[[], bool], reason: Callable[[], str]) -> None:
        waited_s = feed.store.await_rows(ready, reason, log.getChild(feed.name).info)
        self.waited_s += waited_s
        if waited_s and self._clock is not None:
            self._clock.waited(waited_s, given=self._given)

    def _is_planned(self, feed: NodeFeed) -> bool:
        return feed.totals is not None and self.number in feed.agreed

    def _may_take(self, feed: NodeFeed, step: int) -> bool:
        return self._is_planned(feed) or (feed.totals is None and feed.steps_ready.get(self.number, 0) > step)

    def _why(self, feed: NodeFeed, step: int) -> str:
        if self.number not in feed.agreed:
            return "the other nodes to ask for the same dataset"
        return f"step {step} of the first epoch: {feed.store.missing}"

    def _seeded(self, epoch: int) -> int:
        return (self.feed_index << 32) + epoch


class _Windows:
    """The order of an epoch that arrives: rows are shuffled within windows, and a window is read when it is whole."""

    def __init__(self, feed: NodeFeed, reader: ColumnReader, options: ReaderOptions, *, epoch: int) -> None:
        self._feed, self._reader, self._options, self._epoch = feed, reader, options, epoch
        self._window = options.window_rows
        self._number = -1
        self._order: NDArray[np.int64] = np.empty(0, np.int64)

    def ready(self, stop: int) -> bool:
        """Tells whether rows before `stop` of the order are known."""
        store = self._feed.store
        complete = store.rows_total is not None
        return batching.ready_rows(store.ready_rows, window=self._window, complete=complete) >= stop

    def rows(self, start: int, stop: int) -> Batch:
        """Gives rows [start, stop) of the order, which were not asked for before."""
        self._reader.release(start - start % self._window)
        if not self._options.shuffle:
            return self._reader.range(start, stop)
        pieces = []
        while start < stop:
            number = start // self._window
            order = self._window_order(number)
            inner = start - number * self._window
            piece = order[inner : min(inner + stop - start, len(order))]
            pieces.append(piece)
            start += len(piece)
        return self._reader.take(np.concatenate(pieces))

    def _window_order(self, number: int) -> NDArray[np.int64]:
        if number != self._number:
            base = number * self._window
            rows = min(self._window, self._feed.store.ready_rows - base)
            order = batching.window_order(
                number, rows, seed=self._options.seed, epoch=self._epoch, node=self._feed.share
            )
            self._number, self._order = number, order + base
        return self._order


def no_more_epochs(feed_epochs: int, queue: str) -> FeedError:
    """Gives the error of a pass that no `train` call provides."""
    return FeedError(
        f"one more epoch was asked for than the {feed_epochs} that train(..., qname={queue!r}) gives",
        hint="fit with epochs=ctx.num_epochs, or pass train a larger num_epochs (0: as many as the nodes ask for)",
    )
