"""Interleaved rounds of several contenders, and what is said of them."""

from __future__ import annotations

import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

RESULTS = Path(__file__).parent / "results"

Figure = TypeVar("Figure")


@dataclass(frozen=True)
class Ratio:
    """How one contender did against another in the same rounds.

    Attributes:
        what: the measured thing.
        against: what it is compared with.
        unit: of the figures, as `rows/s`.
        ours: figure of each round.
        theirs: figure of each round, measured next to it.
        least: the smallest ratio that is asked for; of rates, where more is better.
        most: the largest ratio that is asked for; of times and sizes, where less is better. Neither: nothing is asked.
        row_bytes: of a row, for a second unit in MB/s; None: rows are not what is counted.
    """

    what: str
    against: str
    unit: str
    ours: list[float]
    theirs: list[float]
    least: float | None = None
    most: float | None = None
    row_bytes: int | None = None

    @property
    def ratios(self) -> list[float]:
        """Round by round, so that a machine that slows down in between does not count."""
        return [a / b for a, b in zip(self.ours, self.theirs, strict=True)]

    @property
    def median(self) -> float:
        """The ratio of the round in the middle."""
        return statistics.median(self.ratios)

    @property
    def reached(self) -> bool | None:
        """Whether the median is what is asked for; None where nothing is."""
        if self.least is not None:
            return self.median >= self.least
        return None if self.most is None else self.median <= self.most

    @property
    def asked(self) -> str:
        """What is asked for, in words."""
        if self.least is not None:
            return f"at least {self.least:g}"
        return "" if self.most is None else f"at most {self.most:g}"

    def line(self) -> str:
        """The cells of a row of a table."""
        verdict = {True: "yes", False: "**no**", None: ""}[self.reached]
        cells = [
            self.what, self.against, self._figure(self.ours), self._figure(self.theirs),
            f"{self.median:.2f} ({min(self.ratios):.2f} to {max(self.ratios):.2f})", self.asked, verdict,
        ]  # fmt: skip
        return f"| {' | '.join(cells)} |"

    def _figure(self, figures: Sequence[float]) -> str:
        middle = statistics.median(figures)
        also = f" ({rounded(middle * self.row_bytes / 1e6)} MB/s)" if self.row_bytes else ""
        return f"{rounded(middle)} {self.unit}{also}"


COLUMNS = ("what", "against", "ours", "theirs", "ratio, median (spread)", "asked for", "reached")
HEAD = f"| {' | '.join(COLUMNS)} |\n{'|---' * len(COLUMNS)}|"


def rounded(figure: float) -> str:
    """Gives a figure with three digits or more.

    Example:
        >>> rounded(46123.4), rounded(12.34), rounded(0.567)
        ('46,123', '12.3', '0.57')
    """
    if abs(figure) >= 100:
        return f"{figure:,.0f}"
    return f"{figure:.1f}" if abs(figure) >= 10 else f"{figure:.2f}"


def interleaved(
    contenders: Mapping[str, Callable[[], Figure]], *, rounds: int, warm_up: bool = True
) -> dict[str, list[Figure]]:
    """Runs all contenders in turn, round by round. Each gives its own figure.

    Every other round goes through them backwards, so that none always runs after the same one.

    Args:
        contenders: by name.
        rounds: that count.
        warm_up: whether one more comes first that does not.
    """
    figures: dict[str, list[Figure]] = {name: [] for name in contenders}
    for number in range(-1 if warm_up else 0, rounds):
        names = list(contenders)
        for name in names if number % 2 else reversed(names):
            figure = contenders[name]()
            if number >= 0:
                figures[name].append(figure)
    return figures


def timed(run: Callable[[], object]) -> float:
    """Gives the seconds that a call takes."""
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


@dataclass(frozen=True)
class Result:
    """What a part of the benchmarks has measured.

    Attributes:
        command: that measures it again.
        machine: that it was measured on.
        ratios: all of them, with the same number of rounds.
    """

    command: str
    machine: str
    ratios: list[Ratio]

    @classmethod
    def read(cls, path: Path) -> Result:
        """Reads what `write` wrote."""
        body: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return cls(body["command"], body["machine"], [Ratio(**ratio) for ratio in body["ratios"]])

    def table(self) -> str:
        """The table, and what made it."""
        lines = "\n".join(ratio.line() for ratio in self.ratios)
        rounds = min(len(ratio.ours) for ratio in self.ratios)
        return f"{HEAD}\n{lines}\n\nMade by `{self.command}` on {self.machine}; {rounds} interleaved rounds.\n"

    def write(self, name: str, directory: Path = RESULTS) -> None:
        """Writes the figures as JSON, and as a table."""
        directory.mkdir(exist_ok=True)
        (directory / f"{name}.json").write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")
        (directory / f"{name}.md").write_text(self.table(), encoding="utf-8")


def machine() -> str:
    """The machine in words."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") >> 30
    return f"{os.cpu_count()} cores ({platform.machine()}), {memory} GiB, Python {platform.python_version()}"
