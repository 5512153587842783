"""The figures of the feed as event files for TensorBoard, written by the driver, which hears of all nodes.

Written with tensorboard's own record writer and protocol buffers: its event writer would import TensorFlow.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from tfspark_cnn.cluster.feed_report import FeedReport
from tfspark_cnn.cluster.messages import Consumed, Received

FOLDER = "feed"


class FeedEvents:
    """Writes scalars: of each node at the end of each epoch, and of the feeders of each feed.

    `feed/<queue>/rows` and `waited_s` are of the epoch, `received_MiB` and `held_s` of the feed so far; those of the
    run `feed/spark` count feeds.

    Args:
        log_dir: a local folder; the files go to `<log_dir>/feed/<node>`.
    """

    def __init__(self, log_dir: str) -> None:
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
            self._write(node.replace(":", "-"), queue, values)

    def feed(self, queue: str, report: FeedReport) -> None:
        """Writes what the feeders of a feed spent their time on."""
        with self._lock:
            names = ("source_s", "deal_s", "send_s", "sent_s", "seconds", "rows")
            self._write("spark", queue, {name: getattr(report, name) for name in names})

    def close(self) -> None:
        """Closes the files; what comes later is dropped."""
        with self._lock:
            self._closed = True
            for file in self._files.values():
                file.close()
            self._files.clear()

    def _write(self, run: str, queue: str, values: Mapping[str, float]) -> None:
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary

        if self._closed:
            return
        step = self._steps[run, queue] = self._steps.get((run, queue), 0) + 1
        scalars = [Summary.Value(tag=f"feed/{queue}/{name}", simple_value=value) for name, value in values.items()]
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
