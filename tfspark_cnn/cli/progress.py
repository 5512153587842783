"""The one progress line: epoch, step, loss, images per second over all nodes.

On a terminal it is redrawn in place; elsewhere, as in a log of CI, it is printed once an epoch.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from threading import Lock
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

WINDOW_S = 3.0  # long enough to even out reports of several nodes, short enough to show a stall


class TrainingProgress:
    """What the nodes have reported so far, as one line. Reports may come from any thread."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Starts with nothing reported.

        Args:
            clock: seconds that only grow.
        """
        self._clock = clock
        self._lock = Lock()
        self._images: dict[str, int] = {}
        self._totals: deque[tuple[float, int]] = deque()
        self._shown: dict[str, Any] = {}

    def received(self, report: Mapping[str, Any]) -> None:
        """Takes in one report of one node."""
        with self._lock:
            node = str(report.get("node", ""))
            self._images[node] = int(report.get("images") or self._images.get(node, 0))
            self._totals.append((self._clock(), sum(self._images.values())))
            self._forget_the_old()
            if "epoch" in report and _of_chief(report):
                self._shown = dict(report)

    @property
    def images(self) -> int:
        """Rows that all nodes together have trained."""
        return sum(self._images.values())

    def line(self) -> str:
        """Gives `epoch 3/20  step 7  loss 0.4100  12,345 images/s`; empty before the first report."""
        with self._lock:
            if not self._shown:
                return ""
            shown, loss = self._shown, self._shown.get("loss")
            told = "" if loss is None else f"  loss {loss:.4f}"
            return (
                f"epoch {shown['epoch']}/{shown.get('epochs', '?')}  step {shown.get('step', 0)}{told}"
                f"  {self._images_per_s():,.0f} images/s"
            )

    def _images_per_s(self) -> float:
        # From the first report on: the time before it went into starting, not training.
        (began_s, before), (ended_s, after) = self._totals[0], self._totals[-1]
        return max(after - before, 0) / (ended_s - began_s) if ended_s > began_s else 0.0

    def _forget_the_old(self) -> None:
        # Two always stay: the rate is between the newest and what came before it.
        while len(self._totals) > 2 and self._totals[1][0] < self._totals[-1][0] - WINDOW_S:
            self._totals.popleft()


class ProgressLine:
    """Shows the phase of a run, and while it trains its progress."""

    def __init__(self, progress: TrainingProgress, *, show: Callable[[str], None], terminal: bool) -> None:
        """Keeps the two ends.

        Args:
            progress: turns reports into a line.
            show: draws a line over the last one on a terminal, else prints it.
            terminal: whether every report is shown, or only the end of an epoch.
        """
        self._progress = progress
        self._show = show
        self._terminal = terminal

    def phase(self, text: str) -> None:
        """Shows what is being done, as `starting Spark`."""
        self._show(text)

    def received(self, report: Mapping[str, Any]) -> None:
        """Takes in one report of one node; may be called from any thread."""
        self._progress.received(report)
        line = self._progress.line()
        if line and (self._terminal or (report.get("epoch_end") and _of_chief(report))):
            self._show(line)


@contextmanager
def progress_line(console: Console, progress: TrainingProgress) -> Iterator[ProgressLine]:
    """Gives the line for one run, and clears it at the end.

    Args:
        console: where it is shown; standard error, so that results can be piped.
        progress: collects what the nodes report.
    """
    if not console.is_terminal:
        yield ProgressLine(progress, show=lambda text: print(text, file=console.file, flush=True), terminal=False)
        return
    with console.status("") as status:
        yield ProgressLine(progress, show=status.update, terminal=True)


def _of_chief(report: Mapping[str, Any]) -> bool:
    # One node speaks for all: losses of an epoch are the same everywhere, steps too.
    return str(report.get("node", "")).startswith("chief")
