"""Every notebook runs from top to bottom in a real kernel, and interrupting a cell ends its nodes."""

from __future__ import annotations

import base64
import json
import re
import subprocess
import sys
import time
from pathlib import Path

import kernels
import nbformat
import psutil
import pytest

from scripts import notebooks as pages_of_notebooks

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
WITHOUT_JUPYTERLAB = [path for path in NOTEBOOKS if path.stem != kernels.IN_JUPYTERLAB]
SHOWN_ELSEWHERE = ("03-the-estimator", "04-scoring-a-table", "05-when-a-node-dies", "07-migrating")
"""By test_ml, test_restarts and the examples, which `make test` runs, too."""
PAGES = ROOT / "docs" / "notebooks"
WORRYING = re.compile(r"Traceback|\bWARN(?:ING)?\b|\bERROR\b|\w*Warning\b|ename|[^\w]Error:")

pytestmark = [pytest.mark.timeout(300), pytest.mark.beside]

# A kernel of its own leaves sockets to the garbage collector; in a process of its own that is nobody's warning.
RUN = """
import sys, nbformat
from nbclient import NotebookClient
notebook = nbformat.read(sys.argv[1], as_version=4)
NotebookClient(notebook, timeout=240, kernel_name="python3", resources={"metadata": {"path": sys.argv[2]}}).execute()
nbformat.write(notebook, sys.argv[3])
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


def run(tmp_path: Path, program: str, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        env=kernels.environment(tmp_path),
        capture_output=True,
        text=True,
        timeout=280,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr[-6000:]
    return done.stdout


@pytest.mark.parametrize(
    "path",
    [
        pytest.param(path, marks=pytest.mark.more) if path.stem in SHOWN_ELSEWHERE else path
        for path in WITHOUT_JUPYTERLAB
    ],
    ids=lambda path: path.stem,
)
def test_a_notebook_runs_from_top_to_bottom_and_shows_nothing_to_worry_about(path: Path, tmp_path: Path) -> None:
    run(tmp_path, RUN, str(path), str(tmp_path), str(tmp_path / "executed.ipynb"))
    code = [cell for cell in nbformat.read(tmp_path / "executed.ipynb", as_version=4).cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    said = "\n".join(json.dumps(output) for cell in code for output in cell.outputs)
    assert WORRYING.findall(said) == []
    assert '"image/png"' in said, "there is something to look at"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_stored_without_outputs_and_asks_a_question(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(not cell.outputs and cell.execution_count is None for cell in code)
    assert notebook.cells[0].source.splitlines()[0].endswith("?")


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_page_of_a_notebook_has_what_is_in_it_and_pictures_that_are_there(path: Path) -> None:
    page, notebook = (PAGES / f"{path.stem}.md").read_text(), nbformat.read(path, as_version=4)
    parts = [pages_of_notebooks.linked(c.source) if c.cell_type == "markdown" else c.source for c in notebook.cells]
    assert [part for part in parts if part not in page] == [], "run: python -m scripts.notebooks"
    shown = re.findall(r"\]\(([^)]+\.png)\)", page)
    assert sorted(shown) == sorted(one.name for one in PAGES.glob(f"{path.stem}*.png")), "no more, and no less"
    assert f"{path.stem}.png" in shown, "one is for the index"
    assert WORRYING.findall(page) == []


def test_a_page_shows_code_outputs_and_pictures_as_seen_from_its_folder() -> None:
    v4 = nbformat.v4
    png = {"image/png": base64.b64encode(b"dots").decode()}
    drawn = v4.new_code_cell(
        "plot()", outputs=[v4.new_output("display_data", png), v4.new_output("stream", text="ok\n")]
    )
    cover = v4.new_code_cell("1 + 1", metadata={"tags": ["cover"]}, outputs=[v4.new_output("display_data", png)])
    told = v4.new_output("execute_result", {"text/plain": "\x1b[31m2\x1b[39m"})
    text = v4.new_markdown_cell("# Why?\n\n[next](02-b.ipynb), ![nodes](../docs/cluster.svg)")
    cells = [text, drawn, cover, v4.new_code_cell("2", outputs=[told])]
    page, pictures = pages_of_notebooks.page(v4.new_notebook(cells=cells), "01-a")
    assert pictures == {"01-a-1.png": b"dots", "01-a.png": b"dots"}
    assert "[next](02-b.md), ![nodes](../cluster.svg)" in page
    assert "```python\nplot()\n```\n\n![Why?](01-a-1.png)\n\n```text\nok\n```" in page
    assert page.endswith("![Why?](01-a.png)\n\n```python\n2\n```\n\n```text\n2\n```\n")


def test_the_indexes_are_those_of_the_notebooks_and_their_links_lead_somewhere() -> None:
    for folder, links, pictures in ((PAGES, ".md", ""), (ROOT / "notebooks", ".ipynb", "../docs/notebooks/")):
        index = (folder / "README.md").read_text()
        assert index == pages_of_notebooks.index(links=links, pictures=pictures), "run: python -m scripts.notebooks"
        targets = re.findall(r"\]\(([^)]+)\)", index)
        assert len(targets) >= 3 * len(NOTEBOOKS) and [one for one in targets if not (folder / one).exists()] == []


def test_links_of_notebooks_and_of_their_pages_lead_somewhere() -> None:
    for path in (*NOTEBOOKS, *PAGES.glob("*.md")):
        targets = re.findall(r"\]\(((?!http)[^)#]+)[)#]", path.read_text())
        assert [one for one in targets if not (path.parent / one).exists()] == [], path.name


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
