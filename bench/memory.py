"""Peak memory while 10 times the rows are fed, against the rows once: none of the processes may grow with the data.

The rows are made by the Spark tasks themselves, and each epoch is taken once. In each round, for each cache: a fresh
Spark application, in it a cluster that is fed the rows once, and a second that is fed ten times as many in as many
partitions. Of nodes the anonymous memory counts: rows on disk are mapped, and the kernel drops them when it wants.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from bench import part
from bench.feed import SIZES, columns
from bench.nodes import Take
from bench.part import Options
from bench.processes import DRIVER, DRIVER_JVM, EXECUTOR_JVM, FEEDER, NODE, watched
from bench.rounds import Ratio, interleaved
from bench.rows import Rows, frame
from bench.spark import NODES, application
from tfspark_cnn import InputMode, TFCluster

TIMES = 10
ROWS = SIZES[1]
"""Once is more than what memory holds at any size: the segment of 64 MiB that a node writes to disk next."""

CONF = {"spark.sql.execution.arrow.maxRecordsPerBatch": "1000"}
"""A tenth of Spark's default, so that the rows of a partition, once, are several record batches too: else what grows is
the largest of them."""

CACHES: dict[str, dict[str, Any]] = {
    "disk": {"cache": "disk"},
    "none": {"cache": "none", "cache_bytes": 8 << 20},  # half is less than a node gets of a partition: feeders wait
}

Growth = dict[str, tuple[float, float]]
"""Of each kind of process the peak, in MiB, with the rows once and ten times."""


def peaks(spark: Any, rows: Rows, cache: str) -> dict[str, float]:
    """Gives the peaks of a cluster that takes the rows once."""
    with watched() as seen:
        take = Take(columns(rows), passes=1)
        with TFCluster.run(spark, take, None, NODES, input_mode=InputMode.SPARK, **CACHES[cache]) as cluster:
            cluster.train(frame(spark, rows))
            taken = sum(cluster.shutdown())
    assert taken == rows.count, f"{taken} rows taken"
    return seen.mib


def growth(spark: Any, rows: Rows, cache: str) -> Growth:
    """Gives the peaks with the rows once, and with ten times as many."""
    once = peaks(spark, rows, cache)
    often = peaks(spark, rows.with_count(TIMES * rows.count), cache)
    return {kind: (once[kind], often[kind]) for kind in once}


def ratios(cache: str, rounds: list[Growth]) -> list[Ratio]:
    """Sets ten times the rows against once, for each kind of process. Nothing is asked of Spark's own executors."""
    kinds: dict[str, float | None] = {DRIVER: 1.1, DRIVER_JVM: 1.1, FEEDER: 1.1, NODE: 1.1, EXECUTOR_JVM: None}
    return [
        Ratio(
            f'peak memory of {kind}, {TIMES} times the rows, `cache="{cache}"`', "the rows once", "MiB",
            [growth[kind][1] for growth in rounds], [growth[kind][0] for growth in rounds], most=most,
        )
        for kind, most in kinds.items()
    ]  # fmt: skip


def _fresh(rows: Rows, cache: str) -> Growth:
    with application(CONF) as spark:
        return growth(spark, rows, cache)


def _measure(options: Options) -> list[Ratio]:
    rows = ROWS.with_count(options.rows(ROWS.count))
    contenders = {cache: partial(_fresh, rows, cache) for cache in CACHES}
    found = interleaved(contenders, rounds=options.rounds, warm_up=False)  # applications are fresh: nothing is warm
    return [ratio for cache in CACHES for ratio in ratios(cache, found[cache])]


def main() -> None:
    """Runs this part."""
    part.run("memory", __doc__, _measure)


if __name__ == "__main__":
    main()
