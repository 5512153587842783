"""A part of the benchmarks as a program: its arguments, its table, its results."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bench.rounds import Ratio, Result, machine

PARTS = (
    "feed", "rdd", "ancestor", "ancestor_epochs", "ancestor_training", "ancestor_inference", "lifecycle", "epochs",
    "memory", "overlap", "fit_workers", "scoring", "cpu",
)  # fmt: skip
"""All parts, in the order of the tables. Each is a module here with a `main`, and has results of its name."""


@dataclass(frozen=True)
class Options:
    """How much is measured.

    Attributes:
        rounds: that count.
        scale: the numbers of rows are multiplied by this.
        dry: whether figures are printed only.
    """

    rounds: int = 3
    scale: float = 1.0
    dry: bool = False

    def rows(self, count: int) -> int:
        """Gives the number of rows at this scale; enough that every partition has some."""
        return max(64, int(count * self.scale))


def options(description: str | None, arguments: Sequence[str] | None = None) -> Options:
    """Reads the arguments that all parts have in common.

    Args:
        description: of the part, for `--help`.
        arguments: of the command line; None: this program's.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--rounds", type=int, default=3, help="rounds that count, 3 or more for figures to keep")
    parser.add_argument("--scale", type=float, default=1.0, help="numbers of rows, times this")
    parser.add_argument("--dry", action="store_true", help="print, and write nothing")
    given = parser.parse_args(arguments)
    if given.rounds < 1 or not given.scale > 0:
        parser.error("expected --rounds of at least 1 and --scale above 0")
    if not given.dry and (given.rounds < 3 or given.scale != 1):
        parser.error("fewer than 3 rounds, or another scale, give no figures to keep; to do: add --dry")
    return Options(given.rounds, given.scale, given.dry)


def run(name: str, description: str | None, measure: Callable[[Options], list[Ratio]]) -> None:
    """Measures, prints the table, and writes `bench/results/NAME.*`."""
    chosen = options(description)
    result = Result(f"python -m bench.{name}", machine(), measure(chosen))
    sys.stdout.write(result.table())
    if not chosen.dry:
        result.write(name)
