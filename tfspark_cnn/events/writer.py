"""The file of events: written by a thread of its own, so that nothing that happens to a disk reaches the training."""

from __future__ import annotations

import logging
import queue
import threading
from pathlib import Path

from tfspark_cnn.events.schema import Event

log = logging.getLogger(__name__)

WAITING = 10_000
"""Events that may wait for the disk; one that stands still for longer loses the later ones."""

CLOSE_S = 5.0
"""How long the last events are waited for at the end of a run."""

_END = None


def path_of(log_dir: str, run: str) -> Path:
    """Gives where the events of a run are: in a file of its own, so that runs in one folder do not mix."""
    return Path(log_dir) / f"events-{run}.jsonl"


class EventFile:
    """Appends events to a file, and flushes each as it is written. Neither blocks nor raises: trouble is a warning.

    Args:
        path: of the file; its folder is made.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._waiting: queue.Queue[Event | None] = queue.Queue(WAITING)
        self._troubled = False
        self._thread = threading.Thread(target=self._write, name="tfspark-events", daemon=True)
        self._thread.start()

    def add(self, event: Event) -> None:
        """Writes an event soon."""
        try:
            self._waiting.put_nowait(event)
        except queue.Full:
            self._trouble("the disk is slower than the run")

    def close(self) -> None:
        """Waits until what was added is written, but not for long."""
        try:
            self._waiting.put(_END, timeout=CLOSE_S)
        except queue.Full:
            return  # the thread dies with the process
        self._thread.join(CLOSE_S)

    def _write(self) -> None:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a", encoding="utf-8") as file:
                while (event := self._waiting.get()) is not _END:
                    file.write(event.line() + "\n")
                    file.flush()
        except (OSError, ValueError) as error:
            self._trouble(str(error))
            while self._waiting.get() is not _END:
                pass

    def _trouble(self, reason: str) -> None:
        if not self._troubled:
            self._troubled = True
            log.warning("events are missing in %s: %s; the training goes on", self.path, reason)
