"""Interleaved rounds of several contenders, and what is said of them."""

from __future__ import annotations

import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True)
class Ratio:
    """How one contender did against another in the same rounds.

    Attributes:
        what: the measured thing.
        against: what it is compared with.
        unit: of the figures, as `rows/s`.
        ours: figure of each round.
        theirs: figure of each round, measured right after.
        least: what the design asks for.
    """

    what: str
    against: str
    unit: str
    ours: list[float]
    theirs: list[float]
    least: float

    @property
    def ratios(self) -> list[float]:
        """Round by round, so that a machine that slows down in between does not count."""
        return [a / b for a, b in zip(self.ours, self.theirs, strict=True)]

    def line(self) -> str:
        """A row of the table."""
        ratios = sorted(self.ratios)
        return (
            f"| {self.what} | {self.against} | {statistics.median(self.ours):,.0f} {self.unit} | "
            f"{statistics.median(self.theirs):,.0f} {self.unit} | "
            f"{statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f}) | {self.least:g} |"
        )


def interleaved(contenders: Mapping[str, Callable[[], float]], *, rounds: int) -> dict[str, list[float]]:
    """Runs all contenders in turn, round by round, after a round that does not count. Each gives its own figure."""
    figures: dict[str, list[float]] = {name: [] for name in contenders}
    for number in range(rounds + 1):
        for name, run in contenders.items():
            figure = run()
            if number:
                figures[name].append(figure)
    return figures


def timed(run: Callable[[], object]) -> float:
    """Gives the seconds that a call takes."""
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def table(ratios: list[Ratio], command: str) -> str:
    """The table for the README, with the command that makes it."""
    head = "| what | against | ours | theirs | ratio, median (spread) | asked for |\n|---|---|---|---|---|---|"
    rows = "\n".join(ratio.line() for ratio in ratios)
    return f"{head}\n{rows}\n\nMade by `{command}` on {machine()}; {len(ratios[0].ours)} interleaved rounds.\n"


def machine() -> str:
    """The machine in words."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") >> 30
    return f"{os.cpu_count()} cores ({platform.machine()}), {memory} GiB, Python {platform.python_version()}"


def write(name: str, ratios: list[Ratio], command: str) -> None:
    """Writes the figures as JSON and as a table into `bench/results/`."""
    RESULTS.mkdir(exist_ok=True)
    body = {"machine": machine(), "command": command, "ratios": [asdict(ratio) for ratio in ratios]}
    (RESULTS / f"{name}.json").write_text(json.dumps(body, indent=1) + "\n")
    (RESULTS / f"{name}.md").write_text(table(ratios, command))
