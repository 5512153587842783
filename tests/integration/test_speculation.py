"""Spark runs a straggling task twice at the same time: each row of a feeder counts once, and a run begins once.

Spark never puts a speculative copy on the host of the straggler, so this needs two hosts: loopback has many addresses,
and a standalone cluster takes them for hosts.
"""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import jvm
import programs
import pyspark
import pytest
from conftest import spark_environment

pytestmark = [pytest.mark.timeout(180), pytest.mark.beside]

SPARK_CLASS = Path(pyspark.__file__).parent / "bin" / "spark-class"
HOSTS = ("127.0.0.1", "127.0.0.2")

BODY = """
from pathlib import Path
from feed_map_funs import read_columns
from map_funs import AwaitTwin
from run_map_funs import slow_until
from tfspark_cnn import run_parallel
from tfspark_cnn.cluster.runs import Answer, Runs

spark = session("{master}", spark__speculation="true", spark__speculation__interval="50ms",
                spark__speculation__minTaskRuntime="50ms", spark__speculation__quantile="0.25",
                spark__executor__memory="512m", spark__executor__cores="3",
                spark__scheduler__minRegisteredResourcesRatio="1", spark__cores__max="6",
                spark__sql__execution__arrow__maxRecordsPerBatch="50")
data = spark.range(0, 1200, 1, 6).mapInArrow(AwaitTwin("{marks}"), "id long")
with TFCluster.run(spark, read_columns, dict(columns=["id"]), 2, input_mode=InputMode.SPARK) as cluster:
    cluster.train(data, num_epochs=2)
    print("ROWS", [node["rows"] for node in cluster.shutdown()], flush=True)

ask, copies = Runs.ask, Path("{copies}")

def noted(runs, number, **how):
    answer, news = ask(runs, number, **how)
    if answer is Answer.WAIT:
        (copies / "waits").touch()
    return answer, news

Runs.ask = noted
print("RUNS", run_parallel(spark, slow_until, str(copies), 4), flush=True)
spark.stop()
"""


@contextlib.contextmanager
def daemon(folder: Path, name: str, host: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Runs one of Spark's own daemons on an address of ours."""
    command = [str(SPARK_CLASS), f"org.apache.spark.deploy.{name}", "--host", host, "--webui-port", "0", *arguments]
    own = {"SPARK_LOCAL_IP": host, "SPARK_DAEMON_MEMORY": "256m", "SPARK_DAEMON_JAVA_OPTS": jvm.options()}
    variables = {**os.environ, **spark_environment(), **own}
    options = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True, "cwd": folder}
    process = subprocess.Popen(command, env=variables, start_new_session=True, **options)
    try:
        yield process
    finally:
        programs.end(process)


def said(process: subprocess.Popen[str], pattern: str) -> str:
    """Reads what a daemon says up to a line with the pattern, and gives its group."""
    assert process.stderr
    for line in process.stderr:
        if found := re.search(pattern, line):
            return found.group(1)
    raise AssertionError(f"the daemon ended without {pattern}")


@pytest.fixture
def master(tmp_path) -> Iterator[str]:
    """A standalone cluster of two workers with a host each."""
    with contextlib.ExitStack() as stack:
        first = stack.enter_context(daemon(tmp_path, "master.Master", HOSTS[0], "--port", "0"))
        url = said(first, r"Starting Spark master at (spark://\S+)")
        for host in HOSTS:
            arguments = ("-c", "3", "-m", "1g", "-d", str(tmp_path / host), url)
            worker = stack.enter_context(daemon(tmp_path, "worker.Worker", host, *arguments))
            said(worker, r"(Successfully registered) with master")
        yield url


def test_rows_of_a_feeder_and_a_run_that_spark_begins_twice_at_once_count_once(tmp_path, master):
    marks, copies = tmp_path / "marks", tmp_path / "copies"
    marks.mkdir()
    copies.mkdir()
    out = programs.run(tmp_path, BODY.format(master=master, marks=marks, copies=copies))
    nodes, runs = (eval(re.search(rf"^{word} (.*)$", out, re.MULTILINE)[1]) for word in ("ROWS", "RUNS"))
    for epoch in zip(*nodes, strict=True):
        assert sorted(row for node in epoch for (row,) in node) == list(range(1200))
    assert len(list(marks.iterdir())) >= 2, "two tries of the straggler were at work at the same time"
    assert runs == [0, 1, 2, 3] and (copies / "waits").exists(), "a second try of the slow run waited for the first"
    assert (copies / "0").read_text() == "x"
