"""How long a cluster takes to start and to stop, against tensorflowonspark.

In each round and on each side: a fresh Spark application, in it a first cluster, whose map_fun imports TensorFlow, then
a second one, whose map_fun does nothing. The ancestor imports TensorFlow in Spark's Python workers before it enters
map_fun, and its second cluster is forked from these; our nodes are fresh processes, and import it when map_fun does.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import part
from bench.part import Options
from bench.peer import Peer, peer
from bench.rounds import Ratio, interleaved
from bench.shared_nodes import Enter, Life
from bench.spark import NODES, application
from tfspark_cnn import InputMode, TFCluster

NAMED = "tensorflowonspark 2.2.5"


@dataclass(frozen=True)
class Lives:
    """Two clusters in one Spark application.

    Attributes:
        first: its map_fun imports TensorFlow.
        second: its map_fun does nothing.
    """

    first: Life
    second: Life


def life(spark: Any, *, tensorflow: bool) -> Life:
    """Lives the life of one of our clusters that is fed nothing."""

    def start(enter: Enter) -> TFCluster:
        return TFCluster.run(spark, enter, None, NODES, input_mode=InputMode.SPARK)

    with tempfile.TemporaryDirectory(prefix="bench-life-") as directory:
        return Life.of(start, Enter(Path(directory), tensorflow), nodes=NODES)


def ours() -> Lives:
    """Lives both lives in an application of ours."""
    with application() as spark:
        return Lives(life(spark, tensorflow=True), life(spark, tensorflow=False))


def theirs(ancestor: Peer) -> Lives:
    """Lives both lives in an application of the ancestor's."""
    ancestor("start")
    first, second = (Life(**ancestor("life", tensorflow=tensorflow)) for tensorflow in (True, False))
    ancestor("stop")
    return Lives(first, second)


def ratios(ours: list[Lives], theirs: list[Lives]) -> list[Ratio]:
    """Sets our lives against theirs."""

    def ratio(what: str, seconds: Callable[[Lives], float], most: float | None = None) -> Ratio:
        return Ratio(what, NAMED, "s", [*map(seconds, ours)], [*map(seconds, theirs)], most=most)

    run = "`TFCluster.run` until every map_fun"
    return [
        ratio(f"{run} is entered, first cluster of an application", lambda lives: lives.first.entered, 0.6),
        ratio(f"{run} is entered, second cluster", lambda lives: lives.second.entered, 0.6),
        ratio(f"{run} has imported TensorFlow, first cluster", lambda lives: lives.first.returned),
        ratio("`shutdown` after the last node returned", lambda lives: lives.second.shutdown, 0.2),
    ]


def measure(options: Options) -> list[Ratio]:
    """Measures both sides in turn. For a warm-up, TensorFlow's files are read once: applications are fresh anyway."""
    subprocess.run([sys.executable, "-c", "import tensorflow"], check=True, stderr=subprocess.DEVNULL)
    with peer() as ancestor:
        contenders = {"ours": ours, "theirs": lambda: theirs(ancestor)}
        lives = interleaved(contenders, rounds=options.rounds, warm_up=False)
    return ratios(lives["ours"], lives["theirs"])


def main() -> None:
    """Runs this part."""
    part.run("lifecycle", __doc__, measure)


if __name__ == "__main__":
    main()
