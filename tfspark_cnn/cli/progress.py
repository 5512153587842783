"""The progress of a command: a live display on a terminal, else a line for each phase and epoch."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from tfspark_cnn.display.display import Display
from tfspark_cnn.display.screens import screen


@contextmanager
def progress() -> Iterator[Display]:
    """Gives the display of a command, on standard error, so that results can be piped.

    It has the terminal for itself: what Spark writes while it starts goes to a file by the number of standard error.
    """
    sys.stderr.flush()
    with os.fdopen(os.dup(2), "w", encoding="utf-8", errors="replace") as stream, Display(screen(stream)) as display:
        yield display
