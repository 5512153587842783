"""Runs examples in one process, in one form of import: `python example_runs.py theirs|ours FOLDER NAME...`.

Each is called with the arguments that examples/README.md gives it, and a line of JSON on the output tells its result.
One Spark application serves all where it can.
"""

from __future__ import annotations

import importlib
import json
import re
import shlex
import sys
import time
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import engine_map_funs

README = Path(__file__).parents[2] / "examples" / "README.md"
MASTERS = {"theirs": "local-cluster[2,1,1024]", "ours": "local[4]"}
IN_A_FRESH_APPLICATION = "mnist_tfrecord"
"""There its nodes are the Python workers themselves, and TensorFlow makes no strategy where it was used before."""
ASKED = ["dataset", "report", "barrier", "num_epochs"]


def commands() -> dict[str, list[str]]:
    """Gives the arguments of each example, in the order of the README."""
    found = re.findall(r"`spark-submit --master \"\$MASTER\" examples/(\w+)\.py ?([^`]*)`", README.read_text())
    return {name: shlex.split(arguments) for name, arguments in found}


def session(form: str) -> Any:
    """Gives the Spark application, making it where there is none."""
    from pyspark.sql import SparkSession

    builder = SparkSession.builder.master(MASTERS[form]).config("spark.ui.enabled", "false")
    builder = builder.config("spark.driver.host", "127.0.0.1").config("spark.task.maxFailures", "1")
    spark = builder.config("spark.ui.showConsoleProgress", "false").getOrCreate()
    spark.sparkContext.setLogLevel("OFF")
    return spark


def tell(name: str, run: Callable[[], Any], *, theirs: bool = False) -> None:
    """Runs something, and says what came of it; on TensorFlowOnSpark it may fail once."""
    began = time.monotonic()
    for tries_left in (1, 0) if theirs else (0,):
        try:
            told = {"result": run()}
            break
        except (Exception, SystemExit):
            told = {"error": traceback.format_exc()[-6000:]}
        if tries_left:  # now and then a node of theirs does not start on a busy machine; then no later one does, either
            session("theirs").stop()
            importlib.import_module("tensorflowonspark.TFCluster").tf_status.clear()
    print("RESULT " + json.dumps({"name": name, "seconds": round(time.monotonic() - began, 1), **told}), flush=True)


def without_the_jar(spark: Any) -> str:
    """What TensorFlowOnSpark's dfutil says where only pip has installed it."""
    from tensorflowonspark import dfutil

    try:
        dfutil.saveAsTFRecords(spark.range(3), "records")
    except Exception as error:
        return str(error)
    return ""


def run(form: str, folder: Path, name: str) -> Any:
    """Runs an example, or one of the other programs; gives what came of it."""
    engine = {"theirs": "tensorflowonspark", "ours": "native"}[form]
    if name == "engine":
        out = folder / "engine"
        out.mkdir(exist_ok=True)
        return engine_map_funs.compare(session(form), engine, str(out), ASKED if form == "theirs" else [])
    if name == "keras":
        return engine_map_funs.fail(session(form), engine)
    if name == "jar":
        return without_the_jar(session(form))
    if name == "driver":
        return "tensorflow" in sys.modules
    if form == "theirs" and name == IN_A_FRESH_APPLICATION:
        session(form).stop()
        session(form)
    return importlib.import_module(name).main(commands()[name])


def main(form: str, folder: str, *names: str) -> None:
    """Runs them one after another."""
    warnings.simplefilter("ignore")
    session(form)
    for name in names:
        tell(name, lambda name=name: run(form, Path(folder), name), theirs=form == "theirs")


if __name__ == "__main__":
    main(*sys.argv[1:])
