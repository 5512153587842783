"""The figures of feed and steps as event files for TensorBoard, written by the driver, which hears of all nodes.

Written with tensorboard's own record writer and protocol buffers: its event writer would import TensorFlow.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from tfspark_cnn.cluster.event_options import next_point_s
from tfspark_cnn.cluster.feed_report import FeedReport
from tfspark_cnn.cluster.messages import Consumed, Position, Received

FOLDER = "nodes"
FEEDERS = "feeders"


class FeedEvents:
    """Writes scalars: of each node now and then and at the end of each epoch, and of the feeders of each feed.

    `feed/<queue>/rows` and `waited_s` are of the epoch, `received_MiB` and `held_s` of the feed so far; those of the
    run `nodes/feeders` count feeds. `steps/own_ms` is a node's own part of a step, `steps/whole_ms` all of it.

    Args:
        log_dir: a local folder; the files go to `<log_dir>/nodes/<node>`.
        clock: seconds that only grow.
        closed: called when nothing more is written.
    """

    def __init__(
        self,
        log_dir: str,
        *,
        clock: Callable[[], float] = time.monotonic,
        closed: Callable[[], None] = lambda: None,
    ) -> None:
        self._tell_closed = closed
        self._clock, self._paces = clock, dict[str, _Pace]()
        self._folder = Path(log_dir) / FOLDER
        self._lock = threading.Lock()
        self._files: dict[str, IO[bytes]] = {}
        self._ended: dict[tuple[str, int], Consumed] = {}  # the last epoch, by node and reader
        self._steps: dict[tuple[str, str], int] = {}
        self._closed = False

    def epoch(self, node: str, queue: str, consumed: Consumed, received: Received | None) -> None:
        """Writes what an epoch was like on a node, when it has ended there."""
        with self._lock:
            before = self._ended.get((node, consumed.reader))
            self._ended[node, consumed.reader] = consumed
            same = before is not None and before.feed == consumed.feed
            rows, waited_s = (before.rows_in_all, before.waited_s) if before is not None and same else (0, 0.0)
            values = {"rows": consumed.rows_in_all - rows, "waited_s": consumed.waited_s - waited_s}
            if received is not None:
                values |= {"received_MiB": received.nbytes / 2**20, "held_s": received.held_s}
            run = node.replace(":", "-")
            tagged = {f"feed/{queue}/{name}": value for name, value in values.items()}
            self._write(run, tagged, self._next(run, queue))

    def feed(self, queue: str, report: FeedReport) -> None:
        """Writes what the feeders of a feed spent their time on."""
        with self._lock:
            names = ("source_s", "deal_s", "send_s", "sent_s", "seconds", "rows")
            values = {f"feed/{queue}/{name}": getattr(report, name) for name in names}
            self._write(FEEDERS, values, self._next(FEEDERS, queue))

    def steps(self, node: str, position: Position, *, resumed_step: int = 0) -> None:
        """Writes what the steps of a node took since it was written last, if that is long enough ago."""
        with self._lock:
            pace = self._paces.get(node)
            if pace is None:
                now_s = self._clock()
                self._paces[node] = _Pace(now_s, now_s, position)
            elif (values := pace.values(position, now_s=self._clock())) is not None:
                self._write(node.replace(":", "-"), values, resumed_step + position.reductions)

    def close(self) -> None:
        """Closes the files; what comes later is dropped."""
        with self._lock:
            self._closed = True
            for file in self._files.values():
                file.close()
            self._files.clear()
        self._tell_closed()

    def _next(self, run: str, queue: str) -> int:
        step = self._steps[run, queue] = self._steps.get((run, queue), 0) + 1
        return step

    def _write(self, run: str, values: Mapping[str, float], step: int) -> None:
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary

        if self._closed:
            return
        scalars = [Summary.Value(tag=tag, simple_value=value) for tag, value in values.items()]
        self._append(run, Event(wall_time=time.time(), step=step, summary=Summary(value=scalars)))

    def _append(self, run: str, event: Any) -> None:
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.summary.writer.record_writer import RecordWriter

        file = self._files.get(run)
        if file is None:
            folder = self._folder / run
            folder.mkdir(parents=True, exist_ok=True)
            name = f"events.out.tfevents.{time.time():.0f}.{socket.gethostname()}.{os.getpid()}.{id(self)}"
            file = self._files[run] = (folder / name).open("ab", buffering=0)
            RecordWriter(file).write(Event(wall_time=time.time(), file_version="brain.Event:2").SerializeToString())
        RecordWriter(file).write(event.SerializeToString())


@dataclass
class _Pace:
    """The steps of one node since they were written last."""

    began_s: float
    at_s: float
    position: Position

    def values(self, now: Position, *, now_s: float) -> dict[str, float] | None:
        """Gives what a step took since then, in milliseconds; None where there was none, or it is too soon."""
        steps = now.measured - self.position.measured
        if steps <= 0 or now_s < next_point_s(self.began_s, self.at_s):
            return None
        own_s, whole_s = now.own_s - self.position.own_s, now_s - self.at_s
        all_steps = max(steps, now.reductions - self.position.reductions)
        self.at_s, self.position = now_s, now
        return {"steps/own_ms": 1e3 * own_s / steps, "steps/whole_ms": 1e3 * whole_s / all_steps}
