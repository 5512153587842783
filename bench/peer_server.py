"""`python -m bench.peer_server` in `.venv-peer`: measures the ancestor, one JSON line in, one JSON line out.

Imports nothing of our package.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tensorflowonspark import TFCluster

from bench import peer_training
from bench.rounds import timed
from bench.rows import Rows, frame, rdd
from bench.shared_epochs import StampFedRows, Stamps, later_rows_per_s
from bench.shared_inference import checked_rate, give_labels
from bench.shared_nodes import Enter, Life, take_fed_rows
from bench.spark import NODES, application

CONF = {"spark.task.cpus": "2"}  # it takes one task at a time on an executor


class Server:
    """What the program can be told to do."""

    def __init__(self) -> None:
        self._application = ExitStack()
        self._spark: Any = None
        self._rows: dict[str, Any] = {}
        self._count = 0
        self._cluster: Any = None
        self._stamps = Stamps(Path())

    def start(self) -> None:
        """Starts a Spark application."""
        self._spark = self._application.enter_context(application(CONF))

    def stop(self) -> None:
        """Ends it."""
        self._application.close()

    def cluster(self, count: int, size: int, partitions: int, program: str = "take") -> None:
        """Makes and keeps rows of lists of Python floats, and starts a cluster for them.

        Args:
            count: of rows.
            size: values of a row.
            partitions: of the rows.
            program: what its nodes do: `take` the rows, `stamp` when they took them, or answer with `labels`.
        """
        self._count = count
        lists = rdd(self._spark.sparkContext, count=count, size=size, numpy=False, partitions=partitions)
        self._rows = {"lists": lists}
        folder = self._application.enter_context(tempfile.TemporaryDirectory(prefix="bench-epochs-"))
        self._stamps = Stamps(Path(folder))
        programs = {"take": take_fed_rows, "stamp": StampFedRows(self._stamps), "labels": give_labels}
        self._cluster = self._run(programs[program])

    def frame(self, shape: list[int], dtype: str) -> None:
        """Makes and keeps a DataFrame of as many images, to be fed as its own pipeline does: as `df.rdd`."""
        rows = Rows("", self._count, tuple(shape), dtype)
        made = frame(self._spark, rows, partitions=self._rows["lists"].getNumPartitions()).persist()
        assert made.count() == self._count
        self._rows["frame"] = made

    def feed(self, what: str = "lists") -> float:
        """Feeds the rows once, those of lists or those of the DataFrame; gives rows per second."""
        rows = self._rows[what]
        return self._count / timed(lambda: self._cluster.train(rows if what == "lists" else rows.rdd, 1))

    def later(self, epochs: int) -> float:
        """Feeds the rows that often; gives the rows per second of all epochs but the first."""
        began = time.time()
        self._cluster.train(self._rows["lists"], epochs)
        stamps = self._stamps.all_since(began, rows=self._count * epochs)
        return later_rows_per_s(stamps, rows=self._count, epochs=epochs)

    def infer(self) -> float:
        """Has the rows answered once; gives rows per second."""
        began = time.perf_counter()
        total = self._cluster.inference(self._rows["lists"]).sum()
        return checked_rate(total, time.perf_counter() - began, count=self._count)

    def train(self, killed: bool) -> dict[str, Any]:
        """Starts an application, trains the small CNN in it, and ends it; `peer_training` says what it gives."""
        return peer_training.killed(CONF) if killed else vars(peer_training.undisturbed(CONF))

    def end(self) -> None:
        """Ends the cluster."""
        self._cluster.shutdown()

    def life(self, tensorflow: bool) -> dict[str, float]:
        """Lives the life of a cluster that is fed nothing; gives `Life` as a dict."""
        with tempfile.TemporaryDirectory(prefix="bench-life-") as directory:
            return vars(Life.of(self._run, Enter(Path(directory), tensorflow), nodes=NODES))

    def _run(self, map_fun: Callable[[Any, Any], Any]) -> Any:
        return TFCluster.run(self._spark.sparkContext, map_fun, {}, NODES, 0, input_mode=TFCluster.InputMode.SPARK)


def main() -> None:
    """Answers until there is nothing more to read."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever else writes to stdout, as Spark and the nodes do, must not come between the answers
    logging.getLogger().setLevel(logging.ERROR)
    server = Server()
    with contextlib.closing(answers):
        for line in sys.stdin:
            told = json.loads(line)
            answers.write(json.dumps(getattr(server, told.pop("do"))(**told)) + "\n")
            answers.flush()
        server.stop()


if __name__ == "__main__":
    main()
