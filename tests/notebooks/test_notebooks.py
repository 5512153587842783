"""Every notebook runs from top to bottom in a real kernel, and interrupting a cell ends its nodes."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import jvm
import nbformat
import psutil
import pytest

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))

pytestmark = [pytest.mark.timeout(240), pytest.mark.beside]

# A kernel of its own leaves sockets to the garbage collector; in a process of its own that is nobody's warning.
RUN = """
import sys, nbformat
from nbclient import NotebookClient
notebook = nbformat.read(sys.argv[1], as_version=4)
NotebookClient(notebook, timeout=180, kernel_name="python3", resources={"metadata": {"path": sys.argv[2]}}).execute()
print("DONE", sum(cell.cell_type == "code" for cell in notebook.cells))
"""

INTERRUPT = """
import sys
from jupyter_client.manager import start_new_kernel

SETUP = '''
from pyspark.sql import SparkSession
from tfspark_cnn import TFCluster
spark = SparkSession.builder.master("local[3]").config("spark.ui.enabled", "false").getOrCreate()

def wait(args, ctx):
    import time
    time.sleep(600)

def answer(args, ctx):
    return 42
'''
CELL = '''
with TFCluster.run(spark, wait, None, 2) as cluster:
    print("PIDS", *(node.entered.pid for node in cluster._coordinator.state.nodes.values()), flush=True)
'''
NEXT = '''
with TFCluster.run(spark, answer, None, 2) as cluster:
    print("NEXT", cluster.shutdown(), flush=True)
spark.stop()
'''
manager, client = start_new_kernel(kernel_name="python3")

def show(message):
    content = message["content"]
    if message["msg_type"] == "stream" and content["name"] == "stdout":
        print(content["text"], end="", flush=True)
        if "PIDS" in content["text"]:
            manager.interrupt_kernel()
    if message["msg_type"] == "error":
        print("ERROR", content["ename"], flush=True)

try:
    for cell in (SETUP, CELL, NEXT):
        client.execute_interactive(cell, timeout=120, output_hook=show)
finally:
    client.stop_channels()
    manager.shutdown_kernel(now=True)
"""


def kernel_of_this_environment(tmp_path: Path) -> dict[str, str]:
    """Variables by which Jupyter finds a kernel that is the interpreter of these tests, and no other."""
    spark = {"SPARK_LOCAL_IP": "127.0.0.1", "PYSPARK_SUBMIT_ARGS": jvm.submit_arguments(jvm.options())}
    return {**os.environ, "JUPYTER_PATH": str(tmp_path), "JUPYTER_PREFER_ENV_PATH": "1", **spark}


def run(tmp_path: Path, program: str, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        env=kernel_of_this_environment(tmp_path),
        capture_output=True,
        text=True,
        timeout=220,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr[-6000:]
    return done.stdout


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_from_top_to_bottom(path: Path, tmp_path: Path) -> None:
    assert re.search(r"^DONE \d+$", run(tmp_path, RUN, str(path), str(tmp_path)), re.MULTILINE)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_stored_without_outputs_and_asks_a_question(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(not cell.outputs and cell.execution_count is None for cell in code)
    assert notebook.cells[0].source.splitlines()[0].endswith("?")
    assert path.name in (ROOT / "notebooks" / "README.md").read_text()


def test_an_interrupted_cell_ends_its_nodes_and_the_next_cell_works(tmp_path: Path) -> None:
    out = run(tmp_path, INTERRUPT)
    assert "ERROR KeyboardInterrupt" in out and "NEXT [42, 42]" in out
    pids = [int(pid) for pid in re.search(r"PIDS (.*)", out).group(1).split()]
    deadline = time.monotonic() + 5
    while any(map(is_running, pids)) and time.monotonic() < deadline:
        psutil.wait_procs([psutil.Process(pid) for pid in pids if psutil.pid_exists(pid)], timeout=0.2)
    assert len(pids) == 2 and not any(map(is_running, pids))


def is_running(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
