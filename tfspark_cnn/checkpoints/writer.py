"""Writes checkpoints in the background, so that training goes on meanwhile."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from tfspark_cnn.checkpoints.archive import Array, encode
from tfspark_cnn.checkpoints.retention import Entry, Metric, surplus
from tfspark_cnn.checkpoints.store import CheckpointStore
from tfspark_cnn.errors import CheckpointError

log = logging.getLogger(__name__)

KEEP = 3
"""The newest, one before it in case it is damaged, and one in case that is, too."""

_LONG_WAIT_S = 0.5
"""Below it, a wait is no reason to change anything, and at every checkpoint it would flood the log."""

_SAY_EVERY_S = 30.0


@dataclass(frozen=True)
class _Item:
    step: int
    arrays: Mapping[str, Array]
    meta: Mapping[str, Any]
    best: Metric | None


class BackgroundWriter:
    """One thread that encodes and writes what it is given, and deletes what is no longer kept.

    At most one checkpoint is being written and one waits, so memory holds the arrays of two and the bytes of one. What
    fails in the thread is raised by the next call, once; what is submitted after that is written all the same.

    Args:
        store: claimed by `run`.
        run: its name.
        keep: how many checkpoints stay, besides the best one.
        written: called in the thread after each checkpoint that was written, with its entry and meta. It must not call
            the writer, which waits for it.

    Example:
        >>> with BackgroundWriter(store, run="run-7") as writer:
        ...     writer.submit(100, {"kernel": kernel.copy()}, {"epoch": 2})
    """

    def __init__(
        self,
        store: CheckpointStore,
        *,
        run: str,
        keep: int = KEEP,
        written: Callable[[Entry, Mapping[str, Any]], None] | None = None,
    ) -> None:
        if keep < 1:
            raise CheckpointError(f"expected to keep 1 checkpoint or more, received {keep}", hint="pass keep=1")
        self._store, self._run, self._keep, self._written = store, run, keep, written
        self._changed = threading.Condition()
        self._waiting: _Item | None = None
        self._writing: _Item | None = None
        self._error: BaseException | None = None
        self._closed = False
        self._thread = threading.Thread(target=self._work, name="tfspark-checkpoints", daemon=True)
        self._thread.start()

    def submit(
        self, step: int, arrays: Mapping[str, Array], meta: Mapping[str, Any], *, best: Metric | None = None
    ) -> None:
        """Hands over a checkpoint. Blocks while one is being written and another waits.

        Args:
            step: global steps taken.
            arrays: the writer's from now on: they are not copied, and must not be changed.
            meta: anything JSON can hold.
            best: the metric by which this is the best checkpoint so far, if it is.

        Raises:
            CheckpointError: an earlier one could not be written (this one is then not taken), or it is closed.
        """
        with self._changed:
            self._raise_error()
            if self._waiting is not None:
                self._wait_for_room(step)
                self._raise_error()
            if self._closed:
                raise CheckpointError("expected an open writer of checkpoints, received one that was closed")
            self._waiting = _Item(step, arrays, meta, best)
            self._changed.notify_all()

    def flush(self, timeout_s: float | None = None) -> None:
        """Returns when everything submitted is written.

        Raises:
            CheckpointError: something could not be written, or not within `timeout_s`.
        """
        with self._changed:
            done = self._wait_until(lambda: self._waiting is None and self._writing is None, timeout_s)
            self._raise_error()
            item = self._writing or self._waiting
        if not done and item is not None:
            raise CheckpointError(
                f"the checkpoint of step {item.step} was not written to {self._store.uri} within {timeout_s:.1f} s",
                hint="see whether the storage is slow or away, or wait longer",
            )

    def close(self, timeout_s: float | None = None) -> None:
        """Writes what was submitted and ends the thread. May be called again.

        Raises:
            CheckpointError: as `flush` does. The thread then ends when what it is at returns.
        """
        try:
            self.flush(timeout_s)
        finally:
            with self._changed:
                self._closed = True
                self._changed.notify_all()
                idle = self._writing is None and self._waiting is None
            if idle:
                self._thread.join()

    def __enter__(self) -> BackgroundWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.close()
        except Exception as late:
            if error is None:
                raise
            log.warning("while training failed, so did its last checkpoint: %s", late)

    def _wait_for_room(self, step: int) -> None:
        begin = time.monotonic()
        self._wait_until(lambda: self._waiting is None or self._closed)
        waited_s = time.monotonic() - begin
        log.log(
            logging.WARNING if waited_s >= _LONG_WAIT_S else logging.DEBUG,
            "training waited %.1f s at step %d for storage to take an earlier checkpoint; save less often, or keep "
            "checkpoints on faster storage than %s",
            waited_s,
            step,
            self._store.uri,
        )

    def _wait_until(self, is_so: Callable[[], bool], timeout_s: float | None = None) -> bool:
        """Waits, and says for what from time to time; gives whether it is so by the end of the time."""
        begin, end = time.monotonic(), float("inf") if timeout_s is None else time.monotonic() + timeout_s
        while not self._changed.wait_for(is_so, max(0.0, min(end - time.monotonic(), _SAY_EVERY_S))):
            now = time.monotonic()
            if now >= end:
                return False
            item = self._writing or self._waiting
            place = f"the checkpoint of step {item.step if item else '?'} to be written to {self._store.uri}"
            log.warning("has waited %.1f s for %s", now - begin, place)
        return True

    def _raise_error(self) -> None:
        error, self._error = self._error, None
        if error is not None:
            raise error

    def _work(self) -> None:
        while (item := self._next()) is not None:
            try:
                self._write(item)
            except BaseException as error:  # the thread must go on, and the caller must know
                self._keep_error(item.step, error)
            del item  # its arrays are not to live until the next one comes

    def _next(self) -> _Item | None:
        with self._changed:
            self._writing = None
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._waiting is not None or self._closed)
            self._writing, self._waiting = self._waiting, None
            self._changed.notify_all()
            return self._writing

    def _keep_error(self, step: int, error: BaseException) -> None:
        with self._changed:
            if self._error is None and not self._closed:
                self._error = error
                return
        log.warning("the checkpoint of step %d could not be written either: %s", step, error)

    def _write(self, item: _Item) -> None:
        begin = time.monotonic()
        body = encode(item.arrays, item.meta)
        entry = self._store.write(item.step, body, run=self._run)
        if item.best is not None:
            self._store.mark_best(entry, item.best.name, item.best.value)
        log.debug("wrote %s, %.1f MB, in %.2f s", entry.name, len(body) / 1e6, time.monotonic() - begin)
        self._retain(entry)
        if self._written is not None:
            self._written(entry, item.meta)

    def _retain(self, newest: Entry) -> None:
        """Deletes what is not kept. What cannot be deleted costs space, but no checkpoint: a warning is enough."""
        store = self._store
        try:
            entries, best = store.entries(), store.best()
            for one in surplus(entries, keep=self._keep, newest=newest, best=best, damaged=store.damaged):
                store.delete(one)
        except CheckpointError as error:
            log.warning("old checkpoints in %s could not be deleted: %s", store.uri, error)
