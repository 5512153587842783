"""Results on standard output: as tables for people, as JSON for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tfspark_cnn.events.schema import to_json

if TYPE_CHECKING:
    from rich.table import Table

PIPED_COLUMNS = 10_000
"""Where there is no terminal nothing is folded: whoever reads a file takes a path as it stands there."""


def show(table: Table) -> None:
    """Prints a table, in a terminal as wide as that is."""
    from rich.console import Console

    Console(highlight=False, width=None if sys.stdout.isatty() else PIPED_COLUMNS).print(table)


def show_json(result: Mapping[str, Any]) -> None:
    """Prints plain values as JSON in a line. What is no number, as the loss of a training that diverged, is a text."""
    print(json.dumps(to_json(result), allow_nan=False))
