"""What the coordinator knows of the feeds: who reads, how far all are, what may be taken. Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from tfspark_cnn.cluster.feed_report import NodeFigures
from tfspark_cnn.cluster.messages import (
    Attached,
    Consumed,
    FeedComplete,
    FeedOpened,
    Message,
    QueueClosed,
    ReaderAgreed,
    Received,
    ReceivedSeen,
    StepsReady,
)
from tfspark_cnn.cluster.topology import Topology
from tfspark_cnn.errors import SchemaError
from tfspark_cnn.feed import batching, epochs

AHEAD_BYTES = 256 << 20
"""Of rows of a stream that a node may have before it while another has none left; as many as of rows read once."""


@dataclass
class Reader:
    """One `ctx.dataset(...)` as all data nodes see it: the n-th call on a node belongs to the n-th on the others."""

    attached: dict[int, Attached] = field(default_factory=dict)
    consumed: dict[int, Consumed] = field(default_factory=dict)
    steps_ready: int = 0
    steps_alone: dict[int, int] = field(default_factory=dict)  # by node, where nodes do not run in step


@dataclass
class Feed:
    """One `train` call: what each node has received of it and taken from it.

    Attributes:
        together: whether the nodes run in step; those that take steps of parameter servers do not wait for each other.
    """

    opened: FeedOpened
    shares: tuple[int, ...]  # node numbers, in the order of their shares
    received: dict[int, Received] = field(default_factory=dict)
    readers: dict[int, Reader] = field(default_factory=dict)
    complete: FeedComplete | None = None
    together: bool = True

    def handle(self, event: Attached | Received | Consumed) -> list[Message]:
        """Applies a node's message; gives the messages that follow from it."""
        match event:
            case Attached():
                return self.attach(event)
            case Received():
                return self.receive(event)
            case Consumed():
                self.consume(event)
                return []

    def attach(self, event: Attached) -> list[Message]:
        """Takes note of a reader on one node; when the last has come, tells all what each takes per step.

        Raises:
            SchemaError: a row does not look the same to all nodes.
        """
        reader = self.readers.setdefault(event.reader, Reader())
        reader.attached[event.node] = event
        self._check_same_rows(reader)
        if not self.together:
            alone = ReaderAgreed(event.node, self.opened.feed, event.reader, [event.batch_rows])
            return [alone, *self._steps_ready(event.reader, reader)]
        if set(reader.attached) != set(self.shares):
            return []
        batch_rows = [reader.attached[number].batch_rows for number in self.shares]
        agreed = [ReaderAgreed(number, self.opened.feed, event.reader, batch_rows) for number in self.shares]
        return [*agreed, *self._steps_ready(event.reader, reader)]

    def receive(self, event: Received) -> list[Message]:
        """Takes note of rows that reached a node, and lets all run as far as every one of them has data."""
        self.received[event.node] = event
        if self.complete is not None:
            return []
        return [*(m for item in self.readers.items() for m in self._steps_ready(*item)), *self._seen(event)]

    def consume(self, event: Consumed) -> None:
        """Takes note of how far a reader of a node is. The end of an epoch may come after the next one has begun."""
        consumed = self.readers.setdefault(event.reader, Reader()).consumed
        known = consumed.get(event.node)
        if known is None or (known.passes, known.step) <= (event.passes, event.step):
            consumed[event.node] = event

    def finish(self, totals: Sequence[int], partitions: int) -> list[Message]:
        """Tells all nodes that every row is with them; they plan the rest of the epoch by themselves."""
        self.complete = FeedComplete(-1, self.opened.feed, list(totals), partitions)
        return [FeedComplete(number, self.opened.feed, list(totals), partitions) for number in self.shares]

    def passes(self, number: int) -> int:
        """Gives how many epochs a node has taken in full."""
        readers = self.readers.values()
        return sum(reader.consumed[number].passes for reader in readers if number in reader.consumed)

    def is_taken(self, number: int) -> bool:
        """Tells whether a node has taken all epochs; never, where it may take them as often as it likes."""
        return 0 < self.opened.num_epochs <= self.passes(number)

    def received_bytes(self, number: int) -> int:
        """Gives the bytes of rows that reached a node."""
        return self.received[number].nbytes if number in self.received else 0

    def figures(self, number: int, name: str) -> NodeFigures:
        """Gives what a node did with its share."""
        received = self.received.get(number)
        consumed = [reader.consumed[number] for reader in self.readers.values() if number in reader.consumed]
        return NodeFigures(
            name,
            rows=received.rows if received else 0,
            nbytes=received.nbytes if received else 0,
            taken_rows=sum(one.rows_in_all for one in consumed),
            epochs=self.passes(number),
            waited_s=max((one.waited_s for one in consumed), default=0.0),
            held_s=received.held_s if received else 0.0,
            skipped_rows=max((one.skipped for one in consumed), default=0),
        )

    def rows_received(self) -> int:
        """Gives the rows with all nodes together."""
        return sum(event.rows for event in self.received.values())

    def _seen(self, event: Received) -> list[Message]:
        if not self.opened.once:
            return []
        started = all(map(self._ready_rows, self.shares))
        return [ReceivedSeen(event.node, self.opened.feed, event.ready_rows, started)]

    def _ready_rows(self, node: int) -> int:
        return self.received[node].ready_rows if node in self.received else 0

    def _steps_ready(self, number: int, reader: Reader) -> list[Message]:
        if self.complete is not None:
            return []
        if not self.together:
            return self._steps_alone(number, reader)
        if set(reader.attached) != set(self.shares):
            return []
        steps = self._full_steps([reader.attached[node] for node in self.shares])
        if steps <= reader.steps_ready:
            return []
        reader.steps_ready = steps
        return [StepsReady(node, self.opened.feed, number, steps) for node in self.shares]

    def _steps_alone(self, number: int, reader: Reader) -> list[Message]:
        full = {node: self._full_steps([attached]) for node, attached in reader.attached.items()}
        more = {node: steps for node, steps in full.items() if steps > reader.steps_alone.get(node, 0)}
        reader.steps_alone.update(more)
        return [StepsReady(node, self.opened.feed, number, steps) for node, steps in more.items()]

    def _full_steps(self, attached: Sequence[Attached]) -> int:
        ready = [batching.ready_rows(self._ready_rows(a.node), window=a.window_rows, complete=False) for a in attached]
        return epochs.full_steps(ready, [a.batch_rows for a in attached])

    def forget(self, number: int) -> None:
        """Drops what a process of a node has received and read: another has taken its place."""
        self.received.pop(number, None)
        for reader in self.readers.values():
            reader.attached.pop(number, None)
            reader.steps_alone.pop(number, None)

    def _check_same_rows(self, reader: Reader) -> None:
        specs = {event.spec for event in reader.attached.values()}
        if len(specs) > 1:
            seen = "; ".join(f"node {event.node}: {event.spec}" for event in reader.attached.values())
            raise SchemaError(
                f"a row does not look the same to all nodes: {seen}",
                hint="call ctx.dataset with the same columns, shapes and dtypes on every node",
            )


@dataclass
class Feeds:
    """All feeds of a cluster, by queue and in order."""

    topology: Topology
    by_id: dict[str, Feed] = field(default_factory=dict)
    closed: set[str] = field(default_factory=set)
    detached: dict[str, set[int]] = field(default_factory=dict)
    opened: dict[str, int] = field(default_factory=dict)

    def retire(self, name: str) -> None:
        """Forgets a feed; what a node still says of it is no news."""
        self.by_id.pop(name, None)

    def half_attached(self) -> list[set[int]]:
        """Gives the nodes that read together, where some are missing; rows as Python objects are read by each alone."""
        readers = [item for feed in self.by_id.values() if feed.together for item in feed.readers.items()]
        shares = {node.number for node in self.topology.data_nodes}
        return [set(r.attached) for number, r in readers if number >= 0 and r.attached and set(r.attached) != shares]

    def is_retired(self, name: str) -> bool:
        """Tells whether there was such a feed."""
        queue, _, number = name.rpartition("-")
        return name not in self.by_id and number.isdecimal() and 0 < int(number) <= self.opened.get(queue, 0)

    def open(
        self, queue: str, schema: str, num_epochs: int, *, train_epochs: int | None = None, once: bool = False
    ) -> tuple[Feed, list[Message]]:
        """Begins a feed; gives it, and the news for all data nodes."""
        shares = tuple(node.number for node in self.topology.data_nodes)
        told = tuple(node.number for node in self.topology.trainers)  # a chief that takes no rows counts the epochs
        self.opened[queue] = self.opened.get(queue, 0) + 1
        name = f"{queue}-{self.opened[queue]}"
        in_all = num_epochs if train_epochs is None else train_epochs
        opened = FeedOpened(-1, queue, name, schema, num_epochs, train_epochs=in_all, once=once)
        feed = self.by_id[name] = Feed(opened, shares, together=not self.topology.asynchronous)
        return feed, [dataclasses.replace(opened, node=number) for number in told]

    def over(self, queue: str, *, before: int, askers: Sequence[int]) -> list[str]:
        """Gives the feeds of a queue before its n-th that no node has rows left of, as far as they are told."""
        return [name for n, name, feed in self._of(queue) if n < before and not self._is_left(feed, askers)]

    def starves(self, feed: str, askers: Sequence[int]) -> bool:
        """Tells whether a node has taken all of a feed row by row, while others have rows left of it, not too many.

        It may wait for the next feed, and the others for it: they are a step ahead, and take no row before it is.
        """
        one = self.by_id[feed]
        if set(one.readers) != {epochs.ROWS_READER} or set(map(one.is_taken, askers)) != {True, False}:
            return False
        feeds = [each for _, _, each in self._of(one.opened.queue)]
        left = [sum(each.received_bytes(asker) for each in feeds if not each.is_taken(asker)) for asker in askers]
        return max(left) <= AHEAD_BYTES

    def _of(self, queue: str) -> Iterator[tuple[int, str, Feed]]:
        for name, feed in list(self.by_id.items()):  # which other queues may be added to meanwhile
            if feed.opened.queue == queue:
                yield int(name.rpartition("-")[2]), name, feed

    @staticmethod
    def _is_left(feed: Feed, askers: Sequence[int]) -> bool:
        return set(feed.readers) == {epochs.ROWS_READER} and not all(map(feed.is_taken, askers))

    def repeat(self, number: int) -> list[Message]:
        """Says again, to a process that has taken the place of another, which feeds there are and what is closed.

        Of each queue that is the newest feed; its rows are to be sent again.
        """
        newest = {feed.opened.queue: feed for feed in self.by_id.values()}
        for feed in newest.values():
            feed.forget(number)
        opened = [dataclasses.replace(feed.opened, node=number) for feed in newest.values()]
        return [*opened, *(QueueClosed(number, queue) for queue in sorted(self.closed))]

    def close(self, queues: Iterable[str]) -> list[Message]:
        """Says that no further feed will come on these queues."""
        fresh = [queue for queue in queues if queue not in self.closed]
        self.closed.update(fresh)
        return [QueueClosed(node.number, queue) for queue in fresh for node in self.topology.trainers]

    def detach(self, queue: str, number: int) -> None:
        """Takes note that a node wants no more rows of a queue."""
        self.detached.setdefault(queue, set()).add(number)

    def wants_rows(self, queue: str, number: int) -> bool:
        """Tells whether a node may still take rows of a queue."""
        return number not in self.detached.get(queue, set())
