"""What nodes of both sides run, ours and the ancestor's. Imports neither of the two packages."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

BATCH_ROWS = 64
POLL_S = 0.005
PATIENCE_S = 120.0


def take_rows(feed: Any) -> int:
    """Takes rows as Python objects to the end of what `ctx.get_data_feed()` gave."""
    rows = 0
    while not feed.should_stop():
        rows += len(feed.next_batch(BATCH_ROWS))
    return rows


def take_fed_rows(args: Any, ctx: Any) -> None:
    """A map_fun that takes all rows it is fed, as the ancestor's programs do."""
    take_rows(ctx.get_data_feed())


@dataclass(frozen=True)
class Enter:
    """A map_fun that says when it was entered and when it returned, and does nothing between.

    Attributes:
        directory: on this host, where each node leaves its stamps.
        tensorflow: whether it imports TensorFlow after all.
    """

    directory: Path
    tensorflow: bool = False

    def __call__(self, args: Any, ctx: Any) -> None:
        """Leaves the stamps."""
        self._stamp("entered", ctx.executor_id)
        if self.tensorflow:
            import tensorflow  # noqa: F401
        self._stamp("returned", ctx.executor_id)

    def _stamp(self, what: str, node: int) -> None:
        now = time.time()
        written = self.directory / f"{what}-{node}.new"
        written.write_text(repr(now))
        written.rename(self.directory / f"{what}-{node}")


@dataclass(frozen=True)
class Life:
    """Seconds of the life of a cluster whose map_fun is `Enter`.

    Attributes:
        entered: from the call of `run` until map_fun was entered on the last node.
        returned: from the call of `run` until it returned on the last node.
        shutdown: of the call of `shutdown`, which is made as soon as it has returned on all.
    """

    entered: float
    returned: float
    shutdown: float

    @classmethod
    def of(cls, start: Callable[[Enter], Any], enter: Enter, *, nodes: int) -> Life:
        """Lives one.

        Args:
            start: starts a cluster with a map_fun, and gives it.
            enter: the map_fun; nothing is in its directory yet.
            nodes: how many there are.
        """
        began = time.time()
        cluster = start(enter)
        entered, returned = (_last(enter.directory, what, nodes) for what in ("entered", "returned"))
        stopping = time.perf_counter()
        cluster.shutdown()
        return cls(entered - began, returned - began, time.perf_counter() - stopping)


def _last(directory: Path, what: str, nodes: int) -> float:
    """Waits for the stamps of all nodes, and gives the latest."""
    until = time.monotonic() + PATIENCE_S
    while len(found := [path for path in directory.glob(f"{what}-*") if path.suffix != ".new"]) < nodes:
        if time.monotonic() > until:
            raise TimeoutError(f"{len(found)} of {nodes} nodes have {what} after {PATIENCE_S:g} s")
        time.sleep(POLL_S)
    return max(float(path.read_text()) for path in found)
