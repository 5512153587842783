"""`python -m bench.readme`: writes the figures in `bench/results/` into the README, between two markers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bench.part import PARTS
from bench.rounds import HEAD, RESULTS, Result
from bench.spark import ROOT

README = ROOT / "README.md"
BEGIN, END = "<!-- figures:begin -->", "<!-- figures:end -->"
NONE_TAKEN = "None were taken yet; `make bench` takes them."


def results(directory: Path = RESULTS) -> list[Result]:
    """Gives the results that there are, in the order of the parts."""
    paths = [directory / f"{name}.json" for name in PARTS]
    return [Result.read(path) for path in paths if path.exists()]


def section(found: Sequence[Result]) -> str:
    """Gives what stands between the markers."""
    if not found:
        return NONE_TAKEN
    head, rule = HEAD.splitlines()
    lines = [f"{ratio.line()} `{result.command}` |" for result in found for ratio in result.ratios]
    rounds = min(len(ratio.ours) for result in found for ratio in result.ratios)
    machines = "; ".join(dict.fromkeys(result.machine for result in found))
    said = f"Medians of at least {rounds} interleaved rounds, measured on {machines}, by `make bench`."
    return "\n".join([f"{head} command |", f"{rule}---|", *lines, "", said])


def between(text: str) -> str:
    """Gives what stands between the markers of a README.

    Raises:
        ValueError: they are not there, once each and in this order.
    """
    head, begin, rest = text.partition(BEGIN)
    body, end, tail = rest.partition(END)
    if not (begin and end) or BEGIN in tail or END in head + tail:
        raise ValueError(f"expected {BEGIN} and {END} once each in the README")
    return body.strip()


def updated(text: str, figures: str) -> str:
    """Gives the README with other figures."""
    between(text)  # or there is nowhere to put them
    head, _, rest = text.partition(BEGIN)
    return f"{head}{BEGIN}\n\n{figures}\n\n{END}{rest.partition(END)[2]}"


def main() -> None:
    """Writes the README."""
    README.write_text(updated(README.read_text(encoding="utf-8"), section(results())), encoding="utf-8")


if __name__ == "__main__":
    main()
