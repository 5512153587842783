"""A standalone cluster of Spark on this machine: a master and two workers, each a process, which ask for a secret."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import jvm
import psutil
import pyspark
from conftest import spark_environment

ROOT = Path(__file__).parents[2]
SPARK_HOME = Path(pyspark.__file__).parent
SECRET = "of-the-tests-alone"
CORES = 2  # of each worker: two nodes and two feeders in all
UP_S = 60
SECRETIVE = f"spark.authenticate true\nspark.authenticate.secret {SECRET}\nspark.network.crypto.enabled true\n"


@dataclass(frozen=True)
class Standalone:
    """A cluster that runs.

    Attributes:
        url: of the master.
        folder: where everything is.
        workers: the processes of the two workers.
    """

    url: str
    folder: Path
    workers: tuple[subprocess.Popen[str], ...]

    @property
    def executors(self) -> list[psutil.Process]:
        """The JVMs of executors, of whatever application."""
        return [one for worker in self.workers for one in psutil.Process(worker.pid).children() if one.is_running()]

    def options(self) -> list[str]:
        """What spark-submit is told: the file in conf/ and the secret, and less than a machine of its own has."""
        own = self.folder / "spark-standalone.conf"
        text = (ROOT / "conf" / own.name).read_text(encoding="utf-8")
        own.write_text(f"{text}spark.authenticate.secret {SECRET}\n", encoding="utf-8")
        own.chmod(0o600)
        smaller = {
            "spark.executor.cores": CORES, "spark.task.cpus": 1, "spark.cores.max": 2 * CORES,
            "spark.executor.memory": "512m", "spark.driver.host": "127.0.0.1", "spark.ui.enabled": "false",
        }  # fmt: skip
        told = [text for name, value in smaller.items() for text in ("--conf", f"{name}={value}")]
        return ["--properties-file", str(own), "--master", self.url, *told]


def environment() -> dict[str, str]:
    """Of a fresh shell, in which no environment is activated; JVMs compile little."""
    fresh = {**os.environ, **spark_environment(), "SPARK_DAEMON_MEMORY": "256m", "JDK_JAVA_OPTIONS": jvm.options()}
    for name in ("PYSPARK_PYTHON", "PYSPARK_DRIVER_PYTHON", "PYSPARK_SUBMIT_ARGS", "PYTHONPATH", "SPARK_HOME"):
        fresh.pop(name, None)
    own = str(Path(sys.prefix) / "bin")
    fresh["PATH"] = os.pathsep.join(part for part in fresh["PATH"].split(os.pathsep) if part != own)
    return fresh


@contextlib.contextmanager
def standalone(folder: Path) -> Iterator[Standalone]:
    """Starts a master and two workers, and ends them with all that they have started."""
    properties = folder / "cluster.conf"
    properties.write_text(SECRETIVE, encoding="utf-8")
    with contextlib.ExitStack() as stack:
        master = stack.enter_context(daemon("master.Master", "--properties-file", str(properties), cwd=folder))
        url = said(master, r"Starting Spark master at (spark://\S+)")
        own = ("--cores", str(CORES), "--memory", "4g", "--work-dir", str(folder / "work"))
        workers = [
            stack.enter_context(daemon("worker.Worker", url, *own, "--properties-file", str(properties), cwd=folder))
            for _ in range(2)
        ]
        for worker in workers:
            said(worker, "Successfully registered with (master)")
        for one in (master, *workers):
            threading.Thread(target=_drained, args=(one,), name=f"drain-{one.pid}", daemon=True).start()
        yield Standalone(url, folder, tuple(workers))


@contextlib.contextmanager
def daemon(name: str, *arguments: str, cwd: Path) -> Iterator[subprocess.Popen[str]]:
    """Runs one of Spark's own, on a port of its choice on loopback, in a process group of its own."""
    place = ("--host", "127.0.0.1", "--port", "0", "--webui-port", "0")
    line = [SPARK_HOME / "bin" / "spark-class", f"org.apache.spark.deploy.{name}", *arguments, *place]
    with ended(subprocess.Popen(
        line, cwd=cwd, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    )) as process:  # fmt: skip
        yield process


@contextlib.contextmanager
def ended(process: subprocess.Popen[str]) -> Iterator[subprocess.Popen[str]]:
    """Ends a process and all below it when the block is left."""
    with process:
        try:
            yield process
        finally:
            below = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
            for one in below:
                with contextlib.suppress(psutil.NoSuchProcess):
                    one.kill()
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def said(process: subprocess.Popen[str], pattern: str) -> str:
    """Waits until a process says something, and gives the group in it."""
    assert process.stderr is not None
    lines = []
    timer = threading.Timer(UP_S, process.kill)  # ends the stream, and so the loop
    timer.start()
    try:
        for line in process.stderr:
            lines.append(line)
            if found := re.search(pattern, line):
                return found[1]
    finally:
        timer.cancel()
    raise AssertionError(f"expected {pattern}, received:\n{''.join(lines[-20:])}")


def _drained(process: subprocess.Popen[str]) -> None:
    assert process.stderr is not None
    with contextlib.suppress(ValueError):  # closed when the cluster ends
        for _ in process.stderr:
            pass
