"""What watches a run from the driver: the recorder of its events, and the display that is drawn from them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tfspark_cnn.cluster import restarts
from tfspark_cnn.cluster.node_plan import RunOptions
from tfspark_cnn.cluster.recorder import Recorder
from tfspark_cnn.cluster.topology import Topology
from tfspark_cnn.errors import ConfigError

if TYPE_CHECKING:
    from tfspark_cnn.display.display import Display

AUTO = "auto"

Progress = Any
"""`True`, `False`, `"auto"`, or a `display.Display` of the caller's."""


@dataclass
class Watching:
    """Lives as long as its run, over all attempts.

    Attributes:
        recorder: makes events.
    """

    recorder: Recorder
    _display: Display | None = None
    _owned: bool = False
    _outcome: tuple[str, str] = ("done", "")
    _over: bool = field(default=False)

    @classmethod
    def of(cls, options: RunOptions, topology: Topology, *, progress: Progress) -> Watching:
        """Begins to record a run, and to show it.

        Raises:
            ConfigError: progress is none that it can be.
        """
        check(progress)
        watching = cls(Recorder(options.run_id, topology, log_dir=options.log_dir, cache=str(options.cache)))
        watching.show(progress)
        return watching

    def show(self, progress: Progress) -> None:
        """Shows what has happened and will happen; once, however often it is asked for."""
        from tfspark_cnn.display import display, screens

        check(progress)
        wanted = screens.in_notebook() if progress == AUTO else progress is not False
        if not wanted or self._display is not None or self._over:
            return
        self._owned = not isinstance(progress, display.Display)
        self._display = display.Display() if self._owned else progress
        self.recorder.watch(self._display.take)

    def failed(self, error: BaseException) -> None:
        """Takes note of what ends the run; the first error stays."""
        if self._outcome[0] != "done":
            return
        cause = restarts.cause(error)
        self._outcome = ("failed" if isinstance(error, Exception) else "cancelled", cause)
        self.recorder.blame(getattr(error, "node", None), cause)

    def cancelled(self, reason: str) -> None:
        """Takes note that the driver ends the run."""
        if self._outcome[0] == "done":
            self._outcome = ("cancelled", reason)

    @contextlib.contextmanager
    def ended_on_error(self) -> Iterator[None]:
        """Ends the run where the block fails."""
        try:
            yield
        except BaseException as error:
            self.failed(error)
            self.end()
            raise

    def end(self) -> None:
        """Writes the end of the run, and draws it. Harmless if it has ended."""
        if self._over:
            return
        self._over = True
        self.recorder.end(*self._outcome)
        if self._display is not None and self._owned:
            self._display.close()


def check(progress: Progress) -> None:
    """Refuses what says not whether a run is shown.

    Raises:
        ConfigError: it is not True, False, "auto" or a Display.
    """
    if isinstance(progress, bool) or progress == AUTO or hasattr(progress, "take"):
        return
    raise ConfigError(
        f'progress is {progress!r}, expected True, False or "auto"',
        hint='"auto" shows it in notebooks, True also in a terminal, and as lines where there is none',
    )
