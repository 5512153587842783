"""How this package logs: by `logging.getLogger(__name__)`, without handlers of its own.

Only a program may say where lines go. The command line is one, and calls `to_console`.

Example:
    >>> node_prefix("worker", 1)
    '[worker:1] '
"""

from __future__ import annotations

import logging
from typing import TextIO

ROOT = "tfspark_cnn"

# Without it Python's last-resort handler would write our warnings to the standard error of whoever imports us.
logging.getLogger(ROOT).addHandler(logging.NullHandler())


def node_prefix(role: str, index: int) -> str:
    """Gives what stands in front of every line that a node says: `[worker:1] `."""
    return f"[{role}:{index}] "


class LevelFormat(logging.Formatter):
    """Leaves INFO lines bare, since they are the normal case, and names every other level in front."""

    def format(self, record: logging.LogRecord) -> str:
        """Gives the line for one record."""
        line = super().format(record)
        return line if record.levelno == logging.INFO else f"{record.levelname.lower()}: {line}"


def to_console(stream: TextIO, *, level: int = logging.WARNING) -> logging.Handler:
    """Sends this package's lines to a stream; for programs, never called by the library.

    Args:
        stream: where to, as `sys.stderr`.
        level: the lowest level that is shown.

    Returns:
        The handler, so that the caller can remove it again.
    """
    handler = logging.StreamHandler(stream)
    handler.setFormatter(LevelFormat("%(message)s"))
    root = logging.getLogger(ROOT)
    root.addHandler(handler)
    root.setLevel(level)
    return handler
