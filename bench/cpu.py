"""Where the time of the DataFrame feed goes: processor seconds by process, with the feed and with nothing.

With as many busy processes as cores, as here, it is processor seconds that decide how long a feed takes: each second
that feeders and nodes spend beside what Spark spends in any case makes it longer. The rows are those of `feed`.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable
from typing import Any

import psutil

from bench import part
from bench.feed import SIZES, Count, columns
from bench.nodes import Take
from bench.part import Options
from bench.processes import DRIVER, DRIVER_JVM, EXECUTOR_JVM, FEEDER, NODE, kind
from bench.rounds import Ratio, interleaved
from bench.rows import Rows, frame
from bench.spark import NODES, application
from tfspark_cnn import InputMode, TFCluster

ROWS = SIZES[1]
NAMES = {
    FEEDER: "Python workers of Spark, feeders among them",
    NODE: "nodes",
    DRIVER: "the driver",
    DRIVER_JVM: "the driver's JVM",
    EXECUTOR_JVM: "the executors' JVMs",
}


def seconds() -> Counter[str]:
    """Gives the processor seconds of all processes of this application so far, by kind."""
    me = psutil.Process()
    found: Counter[str] = Counter()
    for process in [me, *me.children(recursive=True)]:
        with contextlib.suppress(psutil.Error):  # it has just ended
            times = process.cpu_times()
            name = DRIVER if process.pid == me.pid else kind(" ".join(process.cmdline()))
            found[name or "others"] += times.user + times.system
    return found


def spent(run: Callable[[], object]) -> Counter[str]:
    """Gives the processor seconds that a call takes, by kind of process."""
    before = seconds()
    run()
    after = seconds()
    return Counter({name: after[name] - before[name] for name in after})


def ratios(ours: list[Counter[str]], theirs: list[Counter[str]]) -> list[Ratio]:
    """Sets each kind of process against all processes of the contender."""
    whole = [round(sum(one.values()), 3) for one in theirs]
    against = "all processes, `mapInArrow` into nothing"
    found = [Ratio("all processes, fed", against, "s", [round(sum(one.values()), 3) for one in ours], whole)]
    for name, words in NAMES.items():
        found.append(Ratio(f"{words}, fed", against, "s", [round(one[name], 3) for one in ours], whole))
        if name != NODE:
            found.append(Ratio(f"{words}, into nothing", against, "s", [round(one[name], 3) for one in theirs], whole))
    return found


def measure(spark: Any, rows: Rows, rounds: int) -> list[Ratio]:
    """Measures `rows`, kept by Spark."""
    data = frame(spark, rows).persist()
    assert data.count() == rows.count
    with TFCluster.run(spark, Take(columns(rows), rounds + 1), None, NODES, input_mode=InputMode.SPARK) as cluster:
        contenders = {
            "feed": lambda: spent(lambda: cluster.train(data)),
            "nothing": lambda: spent(lambda: data.mapInArrow(Count(), "rows long").collect()),
        }
        figures = interleaved(contenders, rounds=rounds)
        cluster.shutdown()
    return ratios(figures["feed"], figures["nothing"])


def _measure(options: Options) -> list[Ratio]:
    with application() as spark:
        return measure(spark, ROWS.with_count(options.rows(ROWS.count)), options.rounds)


def main() -> None:
    """Runs this part."""
    part.run("cpu", __doc__, _measure)


if __name__ == "__main__":
    main()
