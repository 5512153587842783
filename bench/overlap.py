"""Whether training overlaps with the feed: an epoch that arrives while steps run, against the longer of the two alone.

A step is a sleep, calibrated so that all steps of an epoch take as long as the feed alone: a stand-in for a network on
a device of its own. On a machine of a few cores a step that computes would take them from Spark, and measure that.

What does not overlap is the first shuffle window, which has to be there before the first step, and the last partition,
which arrives beside the one before it and is taken after it. Both are of one size however many rows there are, so the
rows and the partitions are so many that neither is most of what is measured: with 40,000 rows in 8 partitions they are
a third of the epoch.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from bench import part
from bench.feed import SIZES, columns
from bench.nodes import Step
from bench.part import Options
from bench.rounds import Ratio, timed
from bench.rows import Rows, frame
from bench.shared_nodes import BATCH_ROWS
from bench.spark import NODES, application
from tfspark_cnn import InputMode, TFCluster

ROWS, PARTITIONS = 160_000, 32


def measure(spark: Any, options: Options) -> list[Ratio]:
    """Measures feeds without steps, then feeds with them, in turn."""
    rows = SIZES[0].with_count(options.rows(ROWS))
    data = frame(spark, rows, partitions=PARTITIONS).persist()
    assert data.count() == rows.count
    with tempfile.TemporaryDirectory(prefix="bench-step-") as directory:
        step_s = Path(directory, "step_s")
        step_s.write_text("0")
        take = Step(columns(rows), passes=2 * (options.rounds + 1), step_s=step_s)
        with TFCluster.run(spark, take, None, NODES, input_mode=InputMode.SPARK) as cluster:
            figures = _rounds(cluster, data, rows, step_s, options.rounds)
            slept = cluster.shutdown()
    data.unpersist(blocking=True)
    steps = [max(node) for node in zip(*slept, strict=True)][3::2]  # alone first, and a warm-up round
    return [ratio(figures["both"], figures["alone"], steps)]


def _rounds(cluster: TFCluster, data: Any, rows: Rows, step_s: Path, rounds: int) -> dict[str, list[float]]:
    figures: dict[str, list[float]] = {"alone": [], "both": []}
    for _ in range(rounds + 1):
        step_s.write_text("0")
        alone = timed(lambda: cluster.train(data))
        step_s.write_text(repr(alone * BATCH_ROWS * NODES / rows.count))  # as the feed just before it
        figures["alone"].append(alone)
        figures["both"].append(timed(lambda: cluster.train(data)))
    return {name: seconds[1:] for name, seconds in figures.items()}  # the first round is the warm-up


def ratio(both: list[float], alone: list[float], steps: list[float]) -> Ratio:
    """Sets feed and steps together against the longer of the two, round by round."""
    return Ratio(
        "first epoch with a step after each batch, 28x28 float32", "the longer of feed alone and steps alone", "s",
        both, [max(pair) for pair in zip(alone, steps, strict=True)], most=1.2,
    )  # fmt: skip


def _measure(options: Options) -> list[Ratio]:
    with application() as spark:
        return measure(spark, options)


def main() -> None:
    """Runs this part."""
    part.run("overlap", __doc__, _measure)


if __name__ == "__main__":
    main()
