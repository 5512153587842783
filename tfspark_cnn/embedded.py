"""A Spark embedded in this process, for notebooks and trials: as many slots as asked for, and its chatter in a file.

A notebook shows under a cell whatever the JVM and the nodes below it write, which is hundreds of lines of Spark's and
TensorFlow's own; there they hide what the cell says.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tfspark_cnn import env
from tfspark_cnn.errors import ConfigError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

LOOPBACK = "127.0.0.1"
LOG_FILE = "spark.log"


def local_spark(slots: int = 4, *, log_file: str | os.PathLike[str] | None = LOG_FILE) -> SparkSession:
    """Gives a Spark on this machine alone; called again, the one that runs.

    Each node keeps a slot for its life, and the feeder of rows needs one more: two nodes train on three slots or more.

    Args:
        slots: how many tasks run at a time.
        log_file: takes what Spark and the nodes write, behind what it has; None: they write under the cell, or on the
            terminal.

    Raises:
        ConfigError: there are no slots, or a Spark with another master runs in this process already.

    Example:
        >>> spark = local_spark(4)                                        # doctest: +SKIP
    """
    master = _master(slots)
    from pyspark.sql import SparkSession

    running = SparkSession.getActiveSession()
    if running is not None:
        return _checked(running, master)
    builder = SparkSession.builder.master(master)
    for name, value in settings().items():
        builder = builder.config(name, value)
    with output_to(None if log_file is None else Path(log_file)):
        spark = builder.getOrCreate()
    if env.pyspark_python() is None:  # else it is any `python3` on PATH, seldom that of a virtual environment
        spark.sparkContext.pythonExec = sys.executable
    return spark


def settings() -> dict[str, str]:
    """Gives the settings of a Spark that nothing outside of this machine has to reach."""
    address = env.spark_local_ip() or LOOPBACK
    return {
        "spark.driver.bindAddress": address,
        "spark.driver.host": address,
        "spark.ui.showConsoleProgress": "false",
        "spark.ui.enabled": "false",
    }


def _master(slots: int) -> str:
    if isinstance(slots, bool) or not isinstance(slots, int) or slots < 1:
        raise ConfigError(f"slots is {slots!r}, expected 1 or more", hint="one for each node, and one for the feeder")
    return f"local[{slots}]"


def _checked(running: SparkSession, master: str) -> SparkSession:
    found = running.sparkContext.master
    if found != master:
        raise ConfigError(f"Spark runs already with master {found}, expected {master}", hint="call spark.stop() first")
    return running


@contextmanager
def output_to(file: Path | None) -> Iterator[None]:
    """Lets processes that are started meanwhile write to a file.

    The JVM, and the nodes below it, inherit the descriptors they are started with; this process gets its own back.

    Args:
        file: is made with its folder, or written behind what it has; None leaves everything where it is.
    """
    if file is None:
        yield
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        target = stack.enter_context(file.open("ab"))
        for descriptor in (1, 2):
            stack.callback(_restore, os.dup(descriptor), descriptor)
        sys.stdout.flush()
        sys.stderr.flush()
        for descriptor in (1, 2):
            os.dup2(target.fileno(), descriptor)
        yield


def _restore(saved: int, descriptor: int) -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    os.dup2(saved, descriptor)
    os.close(saved)
