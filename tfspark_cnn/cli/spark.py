"""The Spark of the command line: that of spark-submit, else embedded in this process or of the master that is named."""

from __future__ import annotations

import logging
import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfspark_cnn import env
from tfspark_cnn.cli import masters
from tfspark_cnn.config import ClusterConfig
from tfspark_cnn.embedded import output_to
from tfspark_cnn.errors import ClusterError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

FEEDERS = 2  # one feeder keeps the nodes busy, the second starts while the first is ending
LOOPBACK = "127.0.0.1"
EMBEDDED = "local"
UNNAMED = (EMBEDDED, "local[*]")
"""Masters that stand for none: defaults of a configuration, and of the verbs that score."""

log = logging.getLogger(__name__)


def slots(cluster: ClusterConfig) -> int:
    """Gives how many slots an embedded Spark needs: one for each node, and the feeders'."""
    return cluster.num_workers + cluster.num_ps + FEEDERS


def master(cluster: ClusterConfig) -> str:
    """Gives Spark's master: `local[4]` for an embedded Spark with a chief and a worker."""
    return f"local[{slots(cluster)}]" if cluster.master == EMBEDDED else cluster.master


def settings(cluster: ClusterConfig) -> dict[str, str]:
    """Gives the settings of the session."""
    quiet = {"spark.ui.showConsoleProgress": "false", "spark.ui.enabled": "false"}
    if not master(cluster).startswith("local"):
        return quiet
    # Everything is on this machine, so nothing has to be reachable from another.
    address = env.spark_local_ip() or LOOPBACK
    return quiet | {"spark.driver.bindAddress": address, "spark.driver.host": address}


@contextmanager
def session(cluster: ClusterConfig, *, log_file: Path | None) -> Iterator[SparkSession]:
    """Gives a session, and stops it at the end.

    Args:
        cluster: how many slots, and whose master.
        log_file: takes what Spark and the nodes of an embedded Spark write; None leaves it on the terminal.

    Raises:
        ConfigError: there is no such kind of master.
        ClusterError: nobody answers at it.
    """
    submitted = env.under_spark_submit()
    builder = _submitted(cluster) if submitted else _own(cluster)
    with ExitStack() as stack:
        with output_to(log_file), _ctrl_c_held_back():
            with _refused():
                spark = builder.getOrCreate()
            stack.callback(_stop, spark)
            # PySpark's own handler talks to the JVM over the connection that is in use when Ctrl-C comes, and fails.
            stack.callback(signal.signal, signal.SIGINT, signal.signal(signal.SIGINT, _interrupted))
        if not submitted:  # its files say what is logged, as conf/log4j2.properties does
            spark.sparkContext.setLogLevel("WARN")
        _share_this_python(spark)
        yield spark


@contextmanager
def _refused() -> Iterator[None]:
    """Says what it means when Spark ends while it starts: its master answers, and takes no application.

    Raises:
        ClusterError: so it was.
    """
    try:
        yield
    except Exception as error:
        if "stopped SparkContext" not in str(error):
            raise
        raise ClusterError(
            "Spark's master answers, and took no application of ours within a minute",
            hint="spark.authenticate and spark.authenticate.secret must be those of the cluster; its log says more",
        ) from error


def _own(cluster: ClusterConfig) -> Any:
    from pyspark.sql import SparkSession

    masters.check(master(cluster))
    builder = SparkSession.builder.appName("tfspark-cnn").master(master(cluster))
    for name, value in settings(cluster).items():
        builder = builder.config(name, value)
    return builder


def _submitted(cluster: ClusterConfig) -> Any:
    """Gives what makes the session that spark-submit has settings for, also its master."""
    from pyspark import SparkConf, SparkContext
    from pyspark.sql import SparkSession

    SparkContext._ensure_initialized()  # connects to the JVM that spark-submit has started, which has the settings
    conf = SparkConf()
    given = conf.get("spark.master", "local[*]") or ""
    if cluster.master not in (*UNNAMED, given):
        log.warning("spark-submit's master %s is taken, and not %s", given, cluster.master)
    masters.check(given)
    builder = SparkSession.builder.config("spark.ui.showConsoleProgress", "false")
    return builder.appName("tfspark-cnn") if conf.get("spark.app.name", "main.py") == "main.py" else builder


def _interrupted(number: int, frame: object) -> None:
    """Raises KeyboardInterrupt, and lets py4j be silent about the calls that it breaks off."""
    logging.disable(logging.CRITICAL)
    raise KeyboardInterrupt


@contextmanager
def _ctrl_c_held_back() -> Iterator[None]:
    """Lets Ctrl-C come when Spark is up: while it starts, PySpark would lose it or leave the JVM behind."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _share_this_python(spark: SparkSession) -> None:
    """Lets Python tasks on this machine run on the interpreter, and so on the packages, that this process has.

    Spark takes PYSPARK_PYTHON or else any `python3` on PATH, which in a virtual environment that is not activated is
    another one. The attribute is what PySpark reads for each task; to set the variable would change the environment.
    """
    if masters.is_local(str(spark.sparkContext.master)) and env.pyspark_python() is None:
        spark.sparkContext.pythonExec = sys.executable


def _stop(spark: SparkSession) -> None:
    # After Ctrl-C the JVM may be gone before us; the first error must not be replaced by that.
    with suppress(Exception):
        spark.stop()
