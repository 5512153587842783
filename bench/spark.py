"""The Spark application that parts measure in: two executors of two slots, JVMs of their own as on a cluster.

Two nodes keep a slot each, so two are left: for two feeders, or for the two tasks of what the feed is compared with.
Nothing here imports the package, so that the ancestor runs in the same application.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
MASTER = "local-cluster[2,2,2048]"
NODES = 2
PARTITIONS = 8
REMOVE_TRIES, REMOVE_AGAIN_S = 50, 0.1

ENVIRONMENT = {
    "PYSPARK_PYTHON": sys.executable,
    "PYTHONPATH": str(ROOT),
    "SPARK_LOCAL_IP": "127.0.0.1",
    "TF_CPP_MIN_LOG_LEVEL": "3",
}
"""Variables under which executors find this interpreter and this folder."""


@contextmanager
def application(conf: Mapping[str, str] | None = None) -> Iterator[Any]:
    """Gives a SparkSession, and leaves no process or temporary file of it behind.

    Args:
        conf: settings beyond those that all parts have.
    """
    from pyspark.sql import SparkSession

    work = tempfile.mkdtemp(prefix="bench-spark-")
    os.environ.update(ENVIRONMENT)
    settings = {
        "spark.driver.host": "127.0.0.1",
        "spark.driver.memory": "2g",
        "spark.local.dir": work,
        "spark.sql.warehouse.dir": f"{work}/warehouse",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        **(conf or {}),
    }
    builder = SparkSession.builder.master(MASTER).appName("bench")
    for name, value in settings.items():
        builder = builder.config(name, value)
    session = builder.getOrCreate()
    session.sparkContext.setLogLevel("OFF")
    try:
        yield session
    finally:
        session.stop()
        _remove(work)


@contextmanager
def workers_of_their_own(context: Any) -> Iterator[None]:
    """What is made in the block runs in other Python workers than all else: in some that the package never ran in.

    Spark keeps workers apart by their environment. What the package spares its tasks (`tfspark_cnn.worker_reuse`) would
    speed up the other side as well.

    Args:
        context: of Spark.
    """
    environment = context.environment
    environment["BENCH_WORKERS"] = "theirs"
    try:
        yield
    finally:
        del environment["BENCH_WORKERS"]


def _remove(directory: str) -> None:
    """Removes a directory that executors on their way out may still clear, too."""
    for _ in range(REMOVE_TRIES):
        shutil.rmtree(directory, ignore_errors=True)
        if not os.path.exists(directory):
            return
        time.sleep(REMOVE_AGAIN_S)
