"""Results on standard output: as tables for people, as JSON for programs."""

from __future__ import annotations

import json
import math
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.table import Table

PIPED_COLUMNS = 10_000
"""Where there is no terminal nothing is folded: whoever reads a file takes a path as it stands there."""


def show(table: Table) -> None:
    """Prints a table, in a terminal as wide as that is."""
    from rich.console import Console

    Console(highlight=False, width=None if sys.stdout.isatty() else PIPED_COLUMNS).print(table)


def show_json(result: Any) -> None:
    """Prints plain values as JSON in a line. What is no number, as the loss of a training that diverged, is null."""
    print(json.dumps(_finite(result), allow_nan=False))


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
