"""What a feed cost whom: rows, bytes, and the seconds that each side waited for the other. Pure."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

BUSY = 0.8
"""A node that waits for rows for less than the rest of its time is kept busy: it would gain no more by faster rows."""


class Bound(StrEnum):
    """What a faster run would need a faster one of."""

    NETWORK = "network"  # the nodes' steps
    SPARK = "spark"  # computing the rows and bringing them to Python
    FEED = "feed"  # dealing and sending them


@dataclass(frozen=True)
class NodeFigures:
    """What one node did with its share of a feed.

    Attributes:
        name: as `worker:1`.
        rows: received.
        nbytes: received.
        taken_rows: given to the network, over all epochs.
        epochs: taken in full.
        waited_s: seconds that the network waited for rows.
        held_s: seconds that feeders waited, since rows enough were here (`cache="none"`).
        skipped_rows: left out of an epoch, since their images cannot be decoded.
    """

    name: str
    rows: int
    nbytes: int
    taken_rows: int
    epochs: int
    waited_s: float
    held_s: float = 0.0
    skipped_rows: int = 0


@dataclass(frozen=True)
class FeedReport:
    """One feed of a cluster: a `train` call, or with `cache="none"` one epoch of it.

    Attributes:
        feed: its name, as `input-1`.
        seconds: from its beginning until the nodes had taken it.
        sent_s: from its beginning until all rows were with the nodes.
        partitions: of the data.
        source_s: seconds that feeders waited for Spark, all together. An RDD's rows are made into columns in it.
        deal_s: seconds that feeders dealt rows to nodes.
        send_s: seconds that feeders sent, or waited for nodes.
        nodes: what each node did.
    """

    feed: str
    seconds: float
    sent_s: float
    partitions: int
    source_s: float
    deal_s: float
    send_s: float
    nodes: tuple[NodeFigures, ...]

    @property
    def rows(self) -> int:
        """Rows received by all nodes."""
        return sum(node.rows for node in self.nodes)

    @property
    def nbytes(self) -> int:
        """Bytes received by all nodes."""
        return sum(node.nbytes for node in self.nodes)

    @property
    def busy(self) -> float:
        """The part of the time that the node which waited most did not wait for rows, 0 to 1."""
        waited_s = max((node.waited_s for node in self.nodes), default=0.0)
        return max(0.0, 1 - waited_s / self.seconds) if self.seconds else 1.0

    @property
    def bound_by(self) -> Bound:
        """What the run would gain most by: faster steps, a faster source, or a faster feed.

        Example:
            >>> node = NodeFigures("worker:0", rows=10, nbytes=80, taken_rows=10, epochs=1, waited_s=8.0)
            >>> FeedReport("input-1", 10.0, 9.0, 1, source_s=7.0, deal_s=1.0, send_s=1.0, nodes=(node,)).bound_by
            <Bound.SPARK: 'spark'>
        """
        if self.busy >= BUSY:
            return Bound.NETWORK
        fed_s = self.deal_s + self.send_s
        # Spark begins to compute a partition before it starts the feeder, which cannot count that wait.
        unseen_s = (1 - self.busy) * self.seconds - fed_s
        return Bound.SPARK if max(self.source_s, unseen_s) >= fed_s else Bound.FEED

    def as_dict(self) -> dict[str, Any]:
        """Gives the report as plain values, for JSON."""
        return {**asdict(self), "rows": self.rows, "nbytes": self.nbytes, "bound_by": str(self.bound_by)}

    def __str__(self) -> str:
        """Gives two lines and one for each node, for people."""
        head = (
            f"{self.feed}: {self.rows:,} rows, {self.nbytes / 2**20:,.1f} MiB from {self.partitions} partitions"
            f" in {self.sent_s:.1f} s, taken in {self.seconds:.1f} s; bound by the {_WORDS[self.bound_by]}"
        )
        feeders = f"feeders: {self.source_s:.1f} s for Spark, {self.deal_s:.1f} s dealing, {self.send_s:.1f} s sending"
        return "\n  ".join([head, feeders, *map(_line, self.nodes)])


_WORDS = {Bound.NETWORK: "network being trained", Bound.SPARK: "computing of the rows in Spark", Bound.FEED: "feed"}


def _line(node: NodeFigures) -> str:
    words = [
        f"{node.name}: {node.rows:,} rows, {node.nbytes / 2**20:,.1f} MiB",
        f"{node.epochs} epochs",
        f"waited {node.waited_s:.1f} s",
    ]
    words += [f"held feeders back {node.held_s:.1f} s"] if node.held_s else []
    words += [f"skipped {node.skipped_rows} rows"] if node.skipped_rows else []
    return ", ".join(words)
