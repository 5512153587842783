"""Tables of results on standard output."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.table import Table

PIPED_COLUMNS = 10_000
"""Where there is no terminal nothing is folded: whoever reads a file takes a path as it stands there."""


def show(table: Table) -> None:
    """Prints a table, in a terminal as wide as that is."""
    from rich.console import Console

    Console(highlight=False, width=None if sys.stdout.isatty() else PIPED_COLUMNS).print(table)
