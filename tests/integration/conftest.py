"""What integration tests share: a Spark application with real executors, and a guard that finds what is left behind."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import jvm
import psutil
import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
NODE_MARKS = ("tfspark_cnn.cluster.node_process", "read -r _; kill -9 0", "tensorboard.main")
FORK_SERVER = "tfspark_cnn.cluster.fork_server"
"""It belongs to an executor, and stays between clusters."""

OURS = ("tfspark",)
SESSION = "TFSPARK_TEST_SESSION"
SETTLE_S = 10.0
ARCHIVING = pytest.StashKey[jvm.Archiving]()

if "PYTEST_XDIST_WORKER" in os.environ:  # what is left behind is found by its name, so each worker has its own folder
    os.environ["TMPDIR"] = tempfile.tempdir = tempfile.mkdtemp(prefix="tests-")
    os.chmod(tempfile.gettempdir(), 0o1777)  # as /tmp is: a test makes a folder as another user


def spark_environment() -> dict[str, str]:
    """Variables under which Spark's Python workers find this interpreter and the functions of these tests."""
    return {
        "PYSPARK_PYTHON": sys.executable,
        "PYSPARK_DRIVER_PYTHON": sys.executable,
        "SPARK_LOCAL_IP": "127.0.0.1",
        "PYSPARK_SUBMIT_ARGS": jvm.submit_arguments(jvm.options()),
        "PYTHONPATH": os.pathsep.join(map(str, (HERE, ROOT))),  # ROOT: for bench
        SESSION: str(os.getpid()),  # inherited by every process that a test starts, however deep
    }


def pytest_collection_finish(session: pytest.Session) -> None:
    """Writes down the classes of Spark, once: the first test of Spark waits for them."""
    first = os.environ.get("PYTEST_XDIST_WORKER", "gw0") == "gw0"
    if first and not session.config.option.collectonly and not jvm.archive().exists():
        session.config.stash[ARCHIVING] = jvm.Archiving.start(spark_environment())


def pytest_unconfigure(config: pytest.Config) -> None:
    if hasattr(config, "workerinput"):
        shutil.rmtree(tempfile.gettempdir(), ignore_errors=True)
    if archiving := config.stash.get(ARCHIVING, None):
        archiving.end()


@pytest.fixture(scope="session", autouse=True)
def classes_of_spark(pytestconfig: pytest.Config) -> None:
    """Every JVM of these tests finds them ready."""
    if archiving := pytestconfig.stash.get(ARCHIVING, None):
        archiving.finish()


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory):
    """A Spark application with two executors of three slots each: JVMs of their own, as on a cluster."""
    from pyspark.sql import SparkSession

    before = dict(os.environ)
    os.environ.update(spark_environment())
    work = tmp_path_factory.mktemp("spark")
    session = (
        SparkSession.builder.master("local-cluster[2,3,1024]")
        .appName("tfspark_cnn tests")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.driver.memory", "1g")
        .config("spark.ui.enabled", "false")
        .config("spark.ui.showConsoleProgress", "false")
        .config("spark.sql.shuffle.partitions", "4")
        .config("spark.sql.warehouse.dir", str(work / "warehouse"))
        .config("spark.task.maxFailures", "4")
        .getOrCreate()
    )
    session.sparkContext.setLogLevel("OFF")
    yield session
    session.stop()
    _, alive = psutil.wait_procs(processes_of(FORK_SERVER), timeout=SETTLE_S)
    assert not alive, f"servers that outlive their executors: {alive}"
    os.environ.clear()
    os.environ.update(before)


def node_processes() -> list[psutil.Process]:
    """All processes of nodes that these tests started, also those whose parents are gone."""
    return processes_of(*NODE_MARKS)


def processes_of(*marks: str) -> list[psutil.Process]:
    """All processes of these tests with one of the marks in their command line."""
    found = []
    for process in psutil.process_iter():
        try:
            line = " ".join(process.cmdline())
            if process.status() == psutil.STATUS_ZOMBIE:
                continue
            ours = any(mark in line for mark in marks) and process.environ().get(SESSION) == str(os.getpid())
        except psutil.Error:
            continue
        if ours:
            found.append(process)
    return found


def listening() -> set[int]:
    """Ports that this process listens on."""
    connections = psutil.Process().net_connections(kind="tcp")
    return {c.laddr.port for c in connections if c.status == psutil.CONN_LISTEN}


def temporary_files() -> set[str]:
    """Our files in the temporary directory; Spark's own are its business."""
    return {name for name in os.listdir(tempfile.gettempdir()) if "tfspark" in name}


def our_threads() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name.startswith(OURS)}


@pytest.fixture(autouse=True)
def nothing_left_behind() -> Iterator[None]:
    """Fails a test that leaves a process, thread, port, temporary file or environment variable behind."""
    ports, files, variables, threads = listening(), temporary_files(), dict(os.environ), our_threads()
    yield
    _, alive = psutil.wait_procs(node_processes(), timeout=SETTLE_S)
    left = {f"process {process.pid}" for process in alive}
    for thread in our_threads() - threads:
        thread.join(SETTLE_S)
    left |= {f"thread {thread.name}" for thread in our_threads() - threads}
    left |= {f"port {port}" for port in listening() - ports}
    left |= {f"file {name}" for name in temporary_files() - files}
    spark_variables = {*spark_environment(), "SPARK_AUTH_SOCKET_TIMEOUT", "SPARK_BUFFER_SIZE"}
    changed = {n for n in {*variables, *os.environ} if variables.get(n) != os.environ.get(n)}
    left |= {f"variable {name}" for name in changed - spark_variables if not name.startswith(("PYTEST_", "PYSPARK_"))}
    assert not left, f"left behind: {', '.join(sorted(left))}"
