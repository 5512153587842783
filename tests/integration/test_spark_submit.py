"""By spark-submit alone, on a standalone cluster that asks for a secret: trained, killed, gone on with, and scored."""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
from conftest import node_processes
from family import ancestors
from standalone import ROOT, SPARK_HOME, Standalone, ended, environment, standalone
from test_driver_ends import gone_within

from tfspark_cnn.cli import spark_properties

pytestmark = pytest.mark.beside
PROGRAM = str(Path(sys.prefix) / "bin" / "tfspark-cnn")
STARTED = [str(SPARK_HOME / "bin" / "spark-submit"), "--conf", f"spark.pyspark.driver.python={sys.executable}"]
APPLICATION = str(ROOT / "submit" / "main.py")
CONFS = sorted((ROOT / "conf").glob("spark-*.conf"))
EPOCHS, KILLED_AT, STEPS = 40, 3, 23
RUN_S, END_S = 300.0, 45.0

# What spark-submit itself reads files of settings with, and an exit code of its own.
READING = """
import json, sys
from pyspark import SparkContext
SparkContext._ensure_initialized()
jvm = SparkContext._jvm
read, as_java = jvm.org.apache.spark.util.Utils.getPropertiesFromFile, jvm.scala.jdk.javaapi.CollectionConverters.asJava
print(json.dumps({path: dict(as_java(read(path))) for path in sys.argv[1:]}))
sys.exit(3)
"""


@dataclass(frozen=True)
class Told:
    """What a run printed, and how it ended. PySpark puts standard error of Python into standard output."""

    code: int
    text: str

    @property
    def result(self) -> dict[str, Any]:
        """Of --json."""
        assert self.code == 0, self.text[-4000:]
        found: dict[str, Any] = json.loads(self.text.splitlines()[-1])
        return found


@contextlib.contextmanager
def run(*line: str, cwd: Path) -> Iterator[subprocess.Popen[str]]:
    """Starts a line; what it prints is in its standard output."""
    with ended(subprocess.Popen(
        line, cwd=cwd, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        start_new_session=True,
    )) as process:  # fmt: skip
        yield process


def done(*line: str, cwd: Path) -> Told:
    with run(*line, cwd=cwd) as process:
        text, _ = process.communicate(timeout=RUN_S)
        return Told(process.returncode, text)


def until(process: subprocess.Popen[str], beginning: str) -> str:
    """Reads what a run prints until a line begins so."""
    assert process.stdout is not None
    read = []
    for line in process.stdout:
        read.append(line)
        if line.startswith(beginning):
            return "".join(read)
    raise AssertionError(f"expected {beginning!r}, received:\n{''.join(read[-40:])}")


@dataclass(frozen=True)
class Story:
    """What happened, in this order.

    Attributes:
        left_s: seconds from the end of spark-submit to the end of the driver, the executors and the nodes.
        resumed: the same line again, whose executor was killed in between.
        judged: the accuracy of the model that came out.
        scored: the folder of the scored table, and what `predict` said.
    """

    left_s: float
    resumed: Told
    judged: Told
    scored: tuple[Path, Told]


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    folder = tmp_path_factory.mktemp("standalone")
    (folder / "conf").symlink_to(ROOT / "conf")
    table = (sys.executable, "-c", TABLE, str(folder / "digits.parquet"))
    with standalone(folder) as cluster, run(*table, cwd=folder) as made:
        submit = [PROGRAM, "submit", *cluster.options()]
        settings = (f"train.epochs={EPOCHS}", "cluster.max_restarts=1", "output.dir=run")
        train = [*submit, "train", "conf/digits.toml", "--json", *(w for s in settings for w in ("--set", s))]
        left_s = killed(train, cluster, folder)
        resumed = resumed_with_a_lost_executor(train, cluster, folder)
        assert made.wait() == 0
        model, table = "run/model/model.keras", "digits.parquet"
        judged = done(*submit, "--archives", environment_of(folder), "evaluate", model, table, "--json", cwd=folder)
        scored = done(*submit, "predict", model, table, "scored", "--drop-images", "--json", cwd=folder)
        yield Story(left_s, resumed, judged, (folder / "scored", scored))


def environment_of(folder: Path) -> str:
    """Gives an archive as venv-pack makes it, as far as Spark looks: an interpreter, which here leaves a trace."""
    script = f'#!/bin/sh\ntouch {folder}/shipped\nexec {sys.executable} "$@"\n'.encode()
    with tarfile.open(folder / "environment.tar.gz", "w:gz") as archive:
        entry = tarfile.TarInfo("bin/python")
        entry.size, entry.mode = len(script), 0o755
        archive.addfile(entry, io.BytesIO(script))
    return "environment.tar.gz#environment"


TABLE = """
import sys
import pyarrow as pa, pyarrow.parquet as pq
from sklearn.datasets import load_digits
images, labels = load_digits(return_X_y=True)
pq.write_table(pa.table({"image": list((images / 16).astype("float32")), "label": labels}), sys.argv[1])
"""


def killed(line: list[str], cluster: Standalone, folder: Path) -> float:
    """Kills spark-submit in the middle; its driver, executors and nodes are then to end by themselves."""
    with run(*line, cwd=folder) as process:
        until(process, f"epoch {KILLED_AT}/{EPOCHS}")
        of_it = [*psutil.Process(process.pid).children(recursive=True), *cluster.executors, *node_processes()]
        assert len(of_it) >= 1 + 2 + 2, "the driver, two executors, two nodes"
        began = time.monotonic()
        os.kill(process.pid, signal.SIGKILL)
        assert gone_within([one.pid for one in of_it], END_S)
        return time.monotonic() - began


def resumed_with_a_lost_executor(line: list[str], cluster: Standalone, folder: Path) -> Told:
    with run(*line, cwd=folder) as process:
        text = until(process, "epoch ")
        node = psutil.Process(node_processes()[0].pid)
        (executor,) = [one for one in cluster.executors if one.pid in [above.pid for above in ancestors(node)]]
        executor.kill()
        rest, _ = process.communicate(timeout=RUN_S)
        return Told(process.returncode, text + rest)


@pytest.mark.timeout(3 * RUN_S)
def test_nothing_outlives_a_spark_submit_that_was_killed(story: Story) -> None:
    assert story.left_s < END_S


def test_the_same_line_goes_on_at_the_checkpoint_also_when_an_executor_is_killed(story: Story) -> None:
    told = story.resumed.result
    first, second = told["attempts"]
    assert first["resumed_step"] >= (KILLED_AT - 1) * STEPS
    assert second["resumed_step"] >= first["resumed_step"]
    assert first["cause"] and second["cause"] is None
    assert len(told["loss"]) == EPOCHS and told["accuracy"] > 0.98


def test_the_model_scores_tables_on_the_cluster(story: Story) -> None:
    import pyarrow.parquet as pq

    judged = story.judged.result
    folder, told = story.scored
    assert (folder.parent / "shipped").exists(), "executors took the interpreter in the archive"
    table = pq.read_table(folder)
    assert told.result["rows"] == judged["rows"] == table.num_rows == 1797
    right = sum(
        one == other for one, other in zip(table["label"].to_pylist(), table["prediction"].to_pylist(), strict=True)
    )
    assert right / 1797 == pytest.approx(judged["accuracy"]) and judged["accuracy"] > 0.98


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Told]:
    """Of lines that need no cluster, side by side."""
    folder = tmp_path_factory.mktemp("submitted")
    (folder / "conf").symlink_to(ROOT / "conf")
    (folder / "reading.py").write_text(READING, encoding="utf-8")
    local = [*STARTED, "--properties-file", "conf/spark-local.conf"]
    lines = {
        "reading": [*local, "reading.py", *map(str, CONFS)],
        "wrong": [*local, APPLICATION, "train", "no.toml"],
        "cluster mode": [*STARTED, "--master", "spark://127.0.0.1:1", "--deploy-mode", "cluster", "reading.py"],
    }
    with contextlib.ExitStack() as stack:
        running = {name: stack.enter_context(run(*line, cwd=folder)) for name, line in lines.items()}
        return {name: Told(one.wait(RUN_S), one.communicate()[0]) for name, one in running.items()}


@pytest.mark.timeout(RUN_S)
def test_spark_reads_each_file_of_settings_as_it_is_meant(answers: dict[str, Told]) -> None:
    told = answers["reading"]
    assert told.code == 3, f"the exit code of the application, received {told.text}"
    read = json.loads(told.text.splitlines()[-1])
    assert read == {str(path): spark_properties.read(str(path)) for path in CONFS}


def test_an_error_of_the_application_is_two_lines_and_its_exit_code_gets_through(answers: dict[str, Told]) -> None:
    told = answers["wrong"]
    assert told.code == 2, told.text
    error, cure = told.text.splitlines()[-2:]
    assert error == "error: expected a TOML file, received no.toml: No such file or directory"
    assert cure.startswith("  to do: ")
    assert "Traceback" not in told.text and " INFO " not in told.text, "conf/log4j2.properties is read"


def test_spark_itself_says_that_standalone_clusters_run_no_python_driver(answers: dict[str, Told]) -> None:
    told = answers["cluster mode"]
    assert told.code != 0
    assert "not supported for python applications on standalone clusters" in told.text
