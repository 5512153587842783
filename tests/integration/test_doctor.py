"""The doctor on real executors: one application in which one thing after another goes wrong, and what is found."""

from __future__ import annotations

import json
from typing import Any

import programs
import pytest

pytestmark = [pytest.mark.timeout(500), pytest.mark.beside]

SCENES = """
import importlib.metadata, json, os, signal, threading, time
from pathlib import Path
from pyspark import InheritableThread
from pyspark.resource import ResourceProfileBuilder, TaskResourceRequests
from tfspark_cnn.cluster import start_failure
from tfspark_cnn.doctor import examine

def scene(name, report):
    print("SCENE", json.dumps([name, report if isinstance(report, dict) else report.as_dict()]), flush=True)

def threads():
    return sorted(one.name for one in threading.enumerate() if one.name.startswith("tfspark"))

here = Path.cwd()
conf = {{"spark__driver__bindAddress": "127.0.0.1", "spark__executorEnv__PYTHONPATH": {pythonpath!r},
        "spark__executor__resource__gpu__amount": "2", "spark__worker__resource__gpu__amount": "2",
        "spark__executor__resource__gpu__discoveryScript": str(here / "gpus.sh"),
        "spark__worker__resource__gpu__discoveryScript": str(here / "gpus.sh")}}
spark = session("local-cluster[2,2,1024]", **conf)
scene("well", examine(spark, 2, model_dir=(here / "runs" / "model").as_uri()))
scene("left", {{"files": sorted(one.name for one in here.iterdir())}})

work = spark.sparkContext.parallelize(range(4), 4).map(lambda _: os.getcwd()).distinct().collect()
shadow = Path(max(work), "shadow", "keras")
shadow.mkdir(parents=True)
(shadow / "__init__.py").write_text('__version__ = "3.0.5"')
scene("versions", examine(spark, 3, model_dir="relative/model", probe=False))
(shadow / "__init__.py").unlink()
shadow.rmdir()

scene("slots", examine(spark, 4, model_dir=str(here / "gpus.sh" / "model")))
scene("gpus", examine(spark, 2, gpus_per_node=1))
spark.sparkContext.pythonExec, python = "/nowhere/python", spark.sparkContext.pythonExec
scene("python", examine(spark, 2, probe=False))
spark.sparkContext.pythonExec = python

os.environ["TFOS_SERVER_HOST"] = "127.0.0.2"  # where nothing listens, since the driver is bound to another address
scene("coordinator", examine(spark, 2))
began = time.monotonic()
try:
    TFCluster.run(spark, map_funs.describe, None, 2)
except errors.ClusterError as error:
    scene("start", {{"error": error.message, "hint": error.hint, "seconds": time.monotonic() - began}})
del os.environ["TFOS_SERVER_HOST"]

def hold():
    spark.sparkContext.setJobGroup("holder", "holds slots", interruptOnCancel=True)
    try:
        spark.sparkContext.parallelize(range(3), 3).foreach(lambda _: time.sleep(600))
    except Exception:
        pass  # cancelled, as it should be

holder = InheritableThread(target=hold)
holder.start()
tracker = spark.sparkContext.statusTracker()
while sum(tracker.getStageInfo(one).numActiveTasks for one in tracker.getActiveStageIds()) < 3:
    time.sleep(0.05)

def fail(**how):
    began = time.monotonic()
    try:
        with start_failure.examined(spark, 2, feeders=1, profile=None):
            raise errors.ReservationTimeout("not up", **how)
    except BaseException as error:
        told = {{"error": type(error).__name__, "hint": getattr(error, "hint", None), "cause": repr(error.__context__)}}
        return {{**told, "seconds": time.monotonic() - began}}

scene("held", fail(hint="wait"))
threading.Timer(1.5, os.kill, (os.getpid(), signal.SIGINT)).start()
scene("interrupted", fail())
while len(tracker.getActiveJobsIds()) > 1:  # that of the examination ends
    time.sleep(0.05)
spark.sparkContext.cancelJobGroup("holder")
holder.join()
scene("after", {{"rows": spark.range(100).count(), "threads": threads()}})
spark.stop()
scene("stopped", fail(hint="wait"))
"""


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What was found in each scene."""
    folder = tmp_path_factory.mktemp("doctor")
    finder = folder / "gpus.sh"
    finder.write_text("""#!/bin/sh\necho '{"name": "gpu", "addresses": ["0", "1"]}'\n""")
    finder.chmod(0o755)
    own = programs.spark_environment()["PYTHONPATH"]
    out = programs.run(folder, SCENES.format(pythonpath=f"shadow:{own}"), timeout_s=450)
    lines = [line.removeprefix("SCENE ") for line in out.splitlines() if line.startswith("SCENE ")]
    return dict(map(json.loads, lines))


def found(report: dict[str, Any], status: str) -> dict[str, str]:
    """Gives what was seen, by name, of the findings of that status."""
    return {one["name"]: one["seen"] for one in report["findings"] if one["status"] == status}


def cures(report: dict[str, Any]) -> dict[str, str]:
    return {one["name"]: one["cure"] for one in report["findings"]}


def test_where_all_is_well_nothing_fails_and_the_probe_tells_its_figures(scenes: dict[str, Any]) -> None:
    report = scenes["well"]
    assert report["ok"] and report["nodes"] == 2
    good = found(report, "ok")
    assert {"spark", "slots", "python", "packages", "addresses", "ports", "coordinator", "clocks", "memory"} <= {*good}
    assert "4 connections" in good["ports"], "each node to two ports of the other"
    assert "5 steps on 2 nodes" in good["probe"] and "8.4 MB of gradients" in good["probe"]
    assert "driver and nodes write to the same" in good["model_dir"]
    assert "tasks ask for none" in found(report, "warning")["gpus"]


def test_nothing_is_left_of_the_folder_that_was_tried(scenes: dict[str, Any]) -> None:
    assert {*scenes["left"]["files"]} <= {"gpus.sh", "program.py", "spark-warehouse", "artifacts"}


def test_a_module_that_shadows_another_on_one_executor_is_found(scenes: dict[str, Any]) -> None:
    seen = found(scenes["versions"], "failed")
    assert "3.0.5 on node " in seen["packages"] and seen["packages"].startswith("keras is 3.")
    assert "every node" not in seen["packages"], "the other executor has the right one"


def test_a_relative_model_dir_is_another_folder_on_each_host(scenes: dict[str, Any]) -> None:
    seen = found(scenes["versions"], "failed")["model_dir"]
    assert seen.startswith("relative/model: every node does not find what the driver has written")
    assert "absolute path" in cures(scenes["versions"])["model_dir"]


def test_too_few_slots_are_told_and_as_many_nodes_as_fit_look_all_the_same(scenes: dict[str, Any]) -> None:
    report = scenes["slots"]
    assert found(report, "failed")["slots"] == "Spark has 4 slots, expected at least 5: 4 nodes and 1 feeder"
    assert "local-cluster" in cures(report)["slots"]
    assert report["nodes"] == 4 and "24 connections" in found(report, "ok")["ports"]
    assert "no step was tried, since slots failed" in found(report, "warning")["probe"]


def test_a_model_dir_that_cannot_be_written_is_told_with_a_cure(scenes: dict[str, Any]) -> None:
    assert found(scenes["slots"], "failed")["model_dir"].startswith("the driver could not write ")
    assert "no file is in the way" in cures(scenes["slots"])["model_dir"]


def test_gpus_that_spark_assigns_and_tensorflow_does_not_see_fail(scenes: dict[str, Any]) -> None:
    seen = found(scenes["gpus"], "failed")
    assert seen["gpus"].startswith("TensorFlow sees 0 of 1 GPU (")
    assert "nvidia-smi" in cures(scenes["gpus"])["gpus"]


def test_executors_without_the_interpreter_are_a_finding(scenes: dict[str, Any]) -> None:
    assert found(scenes["python"], "failed") == {"python": "executors cannot start Python: there is no /nowhere/python"}
    assert "spark.pyspark.python" in cures(scenes["python"])["python"]


def test_a_driver_that_refuses_executors_is_a_finding_and_part_of_the_error_of_a_start(scenes: dict[str, Any]) -> None:
    seen = found(scenes["coordinator"], "failed")["coordinator"]
    assert "cannot reach the driver at 127.0.0.2:" in seen and seen.endswith("connection refused; nor 1 other node")
    failure = scenes["start"]
    assert "an executor cannot reach the coordinator" in failure["error"], "the first error stays"
    assert "the doctor found: coordinator: node " in failure["hint"] and "set spark.driver.host" in failure["hint"]


def test_a_start_without_slots_says_so_within_ten_seconds_and_an_interrupt_ends_the_looking(
    scenes: dict[str, Any],
) -> None:
    held, interrupted = scenes["held"], scenes["interrupted"]
    assert held["error"] == "ReservationTimeout"
    assert held["hint"].startswith("wait; the doctor found: nodes: 2 tasks at once did not start and answer within 6 s")
    assert interrupted["error"] == "KeyboardInterrupt" and "ReservationTimeout" in interrupted["cause"]
    assert interrupted["seconds"] < held["seconds"] - 2
    assert scenes["after"] == {"rows": 100, "threads": []}


def test_a_start_that_failed_since_spark_is_gone_keeps_its_error(scenes: dict[str, Any]) -> None:
    assert scenes["stopped"]["hint"] == "wait" and scenes["stopped"]["seconds"] < 5
