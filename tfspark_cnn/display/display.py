"""The display of one run: takes events from any thread, and draws them from one of its own."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from tfspark_cnn.display.screens import Screen, screen
from tfspark_cnn.display.view import RunView
from tfspark_cnn.events.schema import Event, Kind

log = logging.getLogger(__name__)

DRAWS_PER_S = 4
"""More often than an eye follows costs the driver, and a notebook's browser, for nothing."""

TICK_S = 1.0
"""Drawn at least so often, since the time that has passed goes on when nothing happens."""

CLOSE_S = 5.0


class Display:
    """Shows one run while it lasts. A context manager: leaving the block draws the last state, and leaves it there.

    Args:
        on: where it is drawn; None: in the notebook's cell or the terminal, else as lines.
        clock: Unix seconds.
    """

    def __init__(self, on: Screen | None = None, *, clock: Callable[[], float] = time.time) -> None:
        self.view = RunView()
        self._screen, self._clock = on or screen(), clock
        self._lock = threading.Lock()
        self._changed, self._closed = threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None
        if not self._screen.each_change:
            self._thread = threading.Thread(target=self._draw_changes, name="tfspark-display", daemon=True)
            self._thread.start()

    def phase(self, text: str) -> None:
        """Shows what is being done before there is a cluster, as `starting Spark`."""
        with self._lock:
            self.view.phase = text
            self.view.began_s = self.view.began_s if self.view.began_s is not None else self._clock()
        self._tell()

    def take(self, event: Event) -> None:
        """Takes in what happened; may be called from any thread, and returns at once where it is drawn in place."""
        with self._lock:
            self.view.take(event)
        if self._thread is not None or event.kind is not Kind.STEP:
            self._tell()

    def close(self) -> None:
        """Draws the last state. Harmless if it is closed."""
        if self._closed.is_set():
            return
        self._closed.set()
        self._changed.set()
        if self._thread is not None:
            self._thread.join(CLOSE_S)
        self._draw()
        self._screen.close()

    def __enter__(self) -> Display:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _tell(self) -> None:
        if self._thread is None:
            self._draw()
        else:
            self._changed.set()

    def _draw_changes(self) -> None:
        while not self._closed.is_set():
            self._changed.wait(TICK_S)
            self._changed.clear()
            self._draw()
            self._closed.wait(1 / DRAWS_PER_S)

    def _draw(self) -> None:
        try:
            with self._lock:
                self._screen.draw(self.view, self._clock())
        except Exception:  # a terminal that is closed must not take the training down
            log.debug("the display could not be drawn", exc_info=True)
