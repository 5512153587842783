"""What the driver asks of the Spark application it runs in: its session, interpreter, file system and GPUs."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from typing import Any

from tfspark_cnn import env
from tfspark_cnn.errors import ConfigError

log = logging.getLogger(__name__)


def session(sc: Any) -> Any:
    """Gives the session of a SparkContext, or the SparkSession itself.

    Raises:
        ConfigError: it is neither, or was stopped.
    """
    from pyspark.sql import SparkSession

    if isinstance(sc, SparkSession):
        return check_running(sc)
    if hasattr(sc, "parallelize") and hasattr(sc, "_jsc"):
        _refuse_stopped(sc)
        return SparkSession(sc)
    raise ConfigError(
        f"sc is a {type(sc).__name__}, expected a SparkContext or a SparkSession",
        hint="pass spark = SparkSession.builder.getOrCreate()",
    )


def of_this_python(sc: Any) -> Any:
    """Gives the session as `session` does, whose executors run this interpreter as `use_this_python` lets them.

    Raises:
        ConfigError: it is none, or was stopped.
    """
    spark = session(sc)
    use_this_python(spark.sparkContext)
    return spark


def check_running(spark: Any) -> Any:
    """Gives a session back.

    Raises:
        ConfigError: it was stopped.
    """
    _refuse_stopped(spark.sparkContext)
    return spark


def _refuse_stopped(sc: Any) -> None:
    if sc._jsc is None:  # as PySpark leaves it
        raise ConfigError("the Spark application was stopped", hint="make one: SparkSession.builder.getOrCreate()")


def use_this_python(sc: Any) -> None:
    """Lets executors of a local master run the interpreter that we run in, unless they were told another.

    Spark's default is the `python3` of the search path, which on a laptop is seldom the one of the virtual environment.
    """
    told = env.get("PYSPARK_PYTHON") or sc.getConf().get("spark.pyspark.python")
    if sc.master.startswith("local") and not told and sc.pythonExec != sys.executable:
        log.info("executors use %s; set PYSPARK_PYTHON for another", sys.executable)
        sc.pythonExec = sys.executable


def default_fs(spark: Any) -> str:
    """Gives Hadoop's default file system, as `hdfs://namenode:8020`; that of files is `file://`."""
    found = spark.sparkContext._jsc.hadoopConfiguration().get("fs.defaultFS")
    return "file://" if found in (None, "file:///") else str(found)


def gpu_profile(spark: Any, gpu_counts: Mapping[Any, int | None]) -> Any:
    """Gives a profile that asks for as many GPUs per task as any role wants, or None if the application's will do."""
    wanted = max((count or 0 for count in gpu_counts.values()), default=0)
    configured = spark.sparkContext.getConf().get("spark.task.resource.gpu.amount")
    if not wanted or (configured and float(configured) == wanted):
        return None
    from pyspark.resource import ResourceProfileBuilder, TaskResourceRequests

    cpus = int(spark.sparkContext.getConf().get("spark.task.cpus", "1"))
    return ResourceProfileBuilder().require(TaskResourceRequests().cpus(cpus).resource("gpu", wanted)).build
