"""The Spark application that parts measure in: two executors of two slots, JVMs of their own as on a cluster.

Two nodes keep a slot each, so two are left: for two feeders, or for the two tasks of what the feed is compared with.
Nothing here imports the package, so that the ancestor runs in the same application.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
MASTER = "local-cluster[2,2,2048]"
NODES = 2
PARTITIONS = 8


@contextmanager
def application(conf: Mapping[str, str] | None = None) -> Iterator[Any]:
    """Gives a SparkSession, and leaves nothing of it behind.

    Args:
        conf: settings beyond those that all parts have.
    """
    from pyspark.sql import SparkSession

    work = tempfile.mkdtemp(prefix="bench-spark-")
    os.environ.update(_environment(work))
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
        shutil.rmtree(work, ignore_errors=True)


def _environment(work: str) -> dict[str, str]:
    """Variables under which executors find this interpreter and this folder, and keep their files in `work`."""
    return {
        "PYSPARK_PYTHON": sys.executable,
        "PYTHONPATH": str(ROOT),
        "SPARK_LOCAL_IP": "127.0.0.1",
        "SPARK_WORKER_DIR": work,
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }
