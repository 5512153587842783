"""A cluster in a notebook: the cell shows it live, and keeps what it showed last; a picture is shown by its cell."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import jvm
import pytest

pytestmark = [pytest.mark.timeout(240), pytest.mark.beside]

# Nodes without TensorFlow that report as Keras' callback does.
CELLS = [
    """
from pyspark.sql import SparkSession
from tfspark_cnn import TFCluster
spark = SparkSession.builder.master("local[3]").config("spark.ui.enabled", "false").getOrCreate()

def pretend(args, ctx):
    import time
    for epoch in (1, 2, 3):
        time.sleep(0.5)
        values = {"images": 100 * epoch, "seconds": 0.5, "metrics": {"loss": 1 / epoch, "accuracy": 0.25 * epoch}}
        ctx.report(epoch=epoch, epochs=3, step=10, epoch_end=True, **values)
""",
    """
with TFCluster.run(spark, pretend, None, 2, master_node="chief") as cluster:
    cluster.shutdown()
""",
    "cluster.history().plot()",
    "cluster.history().timeline().plot()",
    "spark.stop()",
]
PROGRAM = """
import json, sys
import nbformat
from nbclient import NotebookClient

updates = []

class Client(NotebookClient):
    def process_message(self, message, cell, index):
        if message["msg_type"] == "update_display_data":
            updates.append(message["content"]["data"]["text/plain"])
        return super().process_message(message, cell, index)

cells = [nbformat.v4.new_code_cell(source) for source in json.loads(sys.argv[1])]
notebook = nbformat.v4.new_notebook(cells=cells)
Client(notebook, timeout=180, kernel_name="python3").execute()
outputs = [[output.get("data", {}) for output in cell.outputs] for cell in notebook.cells]
print("FOUND", json.dumps({"updates": updates, "outputs": outputs}))
"""


def test_a_cell_shows_the_run_live_and_pictures_are_shown_by_theirs(tmp_path: Path) -> None:
    spark = {"SPARK_LOCAL_IP": "127.0.0.1", "PYSPARK_SUBMIT_ARGS": jvm.submit_arguments(jvm.options())}
    kernel = {"JUPYTER_PATH": str(tmp_path), "JUPYTER_PREFER_ENV_PATH": "1"}  # that of this interpreter
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, json.dumps(CELLS)], env={**os.environ, **kernel, **spark}, capture_output=True,
        text=True, timeout=220, cwd=tmp_path, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-6000:]
    found = json.loads(next(line for line in done.stdout.splitlines() if line.startswith("FOUND ")).partition(" ")[2])
    assert any(update.startswith("starting 2 nodes") for update in found["updates"])
    assert any("epoch 2/3" in update for update in found["updates"]), "while it lasts"
    ((shown,),) = [[one for one in found["outputs"][1] if "text/html" in one]]
    html = shown["text/html"]
    assert "epoch 3/3  step 10/10  loss 0.3333  accuracy 0.7500" in html
    assert all(word in html for word in ("chief:0", "worker:0", "MiB"))
    for cell in (2, 3):
        assert found["outputs"][cell][-1]["image/png"].startswith("iVBOR"), "a PNG, though nobody imported pyplot"
