"""What the JVMs of tests run with: each lives for seconds, so it compiles little and finds the classes of Spark ready.

Of 11 s of CPU of a small `local[2]` application 7 are left by compiling little, and 4 by the archive of classes; of the
26 s of a `local-cluster[2,2,1024]` 14 and 9. Nothing else about Spark changes.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pyspark

COMPILE_LITTLE = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
DUMP_S = 120
SMALL = """
from pyspark.sql import SparkSession
spark = SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false").getOrCreate()
spark.createDataFrame([(1,), (2,)], "id long").mapInArrow(lambda rows: rows, "id long").collect()
spark.createDataFrame([(1,), (2,)], "id long").repartition(2).groupBy("id").count().collect()
spark.sparkContext.parallelize([], 2).barrier().mapPartitions(list).collect()
jvm = spark.sparkContext._gateway.proc
spark.stop()
jvm.stdin.close()  # it ends, and writes down its classes before
jvm.wait()
"""


def options() -> str:
    """Options of a JVM of Spark."""
    # A JVM that cannot use an archive goes on without, and would say so among what a test reads.
    archived = f" -XX:SharedArchiveFile={archive()} -Xlog:disable" if archive().exists() else ""
    return COMPILE_LITTLE + archived


def submit_arguments(java_options: str) -> str:
    """What PYSPARK_SUBMIT_ARGS has to be, for the driver of a program and its executors."""
    conf = [f'--conf "spark.{one}.extraJavaOptions={java_options}"' for one in ("driver", "executor")]
    return " ".join([*conf, "pyspark-shell"])


@functools.cache
def archive() -> Path:
    """The archive for this Java and this Spark: others write down other classes."""
    java = Path(os.environ["JAVA_HOME"], "bin", "java") if "JAVA_HOME" in os.environ else Path("java")
    version = subprocess.run([java, "-version"], capture_output=True, check=True).stderr
    key = hashlib.sha256(version + pyspark.__version__.encode()).hexdigest()[:12]
    return Path(sys.prefix) / f"spark-classes-{key}.jsa"


@dataclass
class Archiving:
    """A small application that writes down its classes while other tests run."""

    process: subprocess.Popen[bytes]
    part: Path

    @classmethod
    def start(cls, environment: Mapping[str, str]) -> Archiving:
        """Starts it; `environment` is that of the applications of tests."""
        part = archive().with_suffix(f".{os.getpid()}")
        arguments = submit_arguments(f"{COMPILE_LITTLE} -XX:ArchiveClassesAtExit={part} -Xlog:disable")
        variables = {**os.environ, **environment, "PYSPARK_SUBMIT_ARGS": arguments}
        quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        return cls(subprocess.Popen([sys.executable, "-c", SMALL], env=variables, **quiet), part)

    def finish(self) -> None:
        """Waits for the archive. Where there will be none, tests only take longer."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            if self.process.wait(DUMP_S) == 0 and self.part.exists():
                self.part.rename(archive())
        self.end()

    def end(self) -> None:
        """Ends it if it still runs."""
        self.process.kill()
        self.process.wait()
