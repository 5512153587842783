"""TensorBoard in a real browser: beside a cluster one of whose nodes dies, and for the finished run by the verb."""

from __future__ import annotations

import contextlib
import json
import logging
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from pages import browser_page
from tensorboard_map_funs import CLASSES, DIES_AT, IMAGES, SIDE

from tfspark_cnn import InputMode, TensorBoardOptions, TFCluster
from tfspark_cnn.cluster.tensorboard_beside import TensorBoardBeside

pytestmark = [pytest.mark.beside, pytest.mark.timeout(600)]

PROGRAM = Path(sys.prefix) / "bin" / "tfspark-cnn"
ROWS, EPOCHS = 160, 3
WAIT_MS = 60_000  # for what a page draws; it takes a second where nobody else computes
PREFIX = "/board"
SCALARS = (
    "epoch_loss", "epoch_accuracy", "epoch_learning_rate", "batch_loss", "batch_accuracy", "batch_steps_per_second",
    "feed", "steps",
)  # fmt: skip
RUNS = ("chief-0/train", "nodes/chief-0", "nodes/worker-0", "nodes/feeders")
MISSING = "Failed to load resource: the server responded with a status of 404 (NOT FOUND)"
MARKS = ("tensorboard.main", "tensorboard_data_server/bin/server")
FONTS = "/font-roboto/"
"""TensorBoard's style sheet names its fonts from the root of the host, where there are none under a prefix."""


@dataclass
class Page:
    """What a browser has seen of a TensorBoard."""

    shown: str = ""
    runs: set[str] = field(default_factory=set)
    image_px: list[int] = field(default_factory=list)
    layers: str = ""
    errors: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)


def look(url: str, pictures: Path) -> Page:
    """Opens the dashboards one after the other, and keeps a picture of each."""
    found = Page()
    with browser_page() as (page, errors):
        page.on("response", lambda got: found.missing.append(got.url) if got.status == 404 else None)
        page.goto(f"{url}#timeseries")
        page.get_by_text("batch_loss").first.wait_for(timeout=WAIT_MS)
        for name in RUNS:
            page.get_by_text(name).first.wait_for(timeout=WAIT_MS)
        found.shown = page.inner_text("body")
        page.screenshot(path=pictures / "timeseries.png")
        page.goto(f"{url}?dashboard=images#images")
        images = page.locator("tf-image-loader img")
        images.first.wait_for(timeout=WAIT_MS)
        found.image_px = images.evaluate_all("all => all.map(one => one.naturalWidth)")
        page.screenshot(path=pictures / "images.png")
        page.goto(f"{url}?dashboard=graphs#graphs")
        page.locator("g.node").first.wait_for(timeout=WAIT_MS, state="attached")
        found.layers = " ".join(page.locator("g.node text").all_text_contents())
        page.screenshot(path=pictures / "graphs.png")
        found.errors = list(errors)
    return found


def asked(url: str, path: str) -> Any:
    """What TensorBoard answers to its own page."""
    with urllib.request.urlopen(f"{url}data/{path}", timeout=30) as answer:
        return json.load(answer)


def await_runs(url: str) -> None:
    """Waits until TensorBoard has all of them: those of nodes are copied now and then. Its page asks once."""
    began = time.monotonic()
    while missing := set(RUNS) - set(asked(url, "runs")):
        assert time.monotonic() - began < WAIT_MS / 1000, f"{missing} did not come"
        time.sleep(0.2)  # it has no event for it


def steps_of(url: str, run: str, tag: str) -> list[int]:
    return [step for _, step, _ in asked(url, f"plugin/scalars/scalars?run={run}&tag={tag}")]


def board_processes(parent: psutil.Process) -> list[psutil.Process]:
    found = []
    for one in parent.children(recursive=True):
        with contextlib.suppress(psutil.Error):  # others come and go
            if any(mark in " ".join(one.cmdline()) for mark in MARKS):
                found.append(one)
    return found


@dataclass
class Run:
    """A run whose worker was killed, and its TensorBoard before and after."""

    logs: Path
    taken_port: int
    first_url: str
    url: str
    first_pids: set[int]
    served_by: list[psutil.Process]
    page: Page
    attempts: list[Any]
    losses: list[float]
    trained_steps: int
    tags: dict[str, Any]
    batch_steps: list[int]
    after: str | None
    html: str


@pytest.fixture(scope="module")
def taken_port() -> Iterator[int]:
    """A port at which somebody else listens."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        yield other.getsockname()[1]


def rows(spark: Any) -> Any:
    draw = np.random.default_rng(1)
    values = [(draw.random(SIDE * SIDE).astype(float).tolist(), int(one)) for one in draw.integers(0, CLASSES, ROWS)]
    return spark.createDataFrame(spark.sparkContext.parallelize(values, 4), "image array<float>, label bigint")


@pytest.fixture(scope="module")
def run(spark: Any, taken_port: int, tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("board")
    logs, me = folder / "logs", psutil.Process()
    with TFCluster.run(
        spark, "tensorboard_map_funs:fit", None, 2, input_mode=InputMode.SPARK, master_node="chief", max_restarts=1,
        model_dir=str(folder / "model"), log_dir=f"file://{logs}", seed=3,
        tensorboard=TensorBoardOptions(host="127.0.0.1", port=taken_port, path_prefix=PREFIX),
    ) as cluster:  # fmt: skip
        first = cluster.tensorboard_url()
        before = {one.pid for one in board_processes(me)}
        cluster.train(rows(spark), num_epochs=EPOCHS)
        url = cluster.tensorboard_url()
        await_runs(url)
        page = look(url, folder)
        served_by = board_processes(me)
        tags = asked(url, "plugin/scalars/tags")
        steps = steps_of(url, "chief-0/train", "batch_loss")
        losses, trained_steps = cluster.shutdown()[0]
    return Run(
        logs, taken_port, first, url, before, served_by, page, cluster.attempts(), losses, trained_steps, tags,
        steps, cluster.tensorboard_url(), url._repr_html_(),
    )  # fmt: skip


def test_its_page_shows_scalars_of_epochs_steps_and_nodes_pictures_and_the_graph(run: Run) -> None:
    assert [name for name in SCALARS if name not in run.page.shown] == []
    assert [name for name in RUNS if name not in run.page.shown] == []
    assert len(run.page.image_px) >= IMAGES and set(run.page.image_px) == {SIDE}
    assert "eyes" in run.page.layers and "verdict" in run.page.layers
    fonts = [url for url in run.page.missing if FONTS in url]
    assert run.page.missing == fonts and run.page.errors == [MISSING] * len(fonts)
    assert {"steps/own_ms", "steps/whole_ms", "feed/input/waited_s"} <= set(run.tags["nodes/worker-0"])


def test_it_stays_through_the_death_of_a_node_and_ends_with_the_cluster(run: Run) -> None:
    assert [bool(one.cause) for one in run.attempts] == [True, False] and len(run.losses) == EPOCHS
    assert run.first_url == run.url, "one and the same all the time"
    assert run.first_pids == {one.pid for one in run.served_by} != set()
    assert 0 < run.attempts[1].resumed_step < DIES_AT
    assert run.batch_steps == sorted(set(run.batch_steps)), "steps are counted on where training went on"
    assert DIES_AT < run.batch_steps[-1] <= run.trained_steps
    assert run.after is None and psutil.wait_procs(run.served_by, timeout=10)[1] == []


def test_a_port_in_use_gives_way_to_the_next_and_the_url_is_a_link(run: Run) -> None:
    host, port = run.url.removesuffix(f"{PREFIX}/").rsplit(":", 1)
    assert host == "http://127.0.0.1" and run.taken_port < int(port) <= run.taken_port + 50
    assert run.html == f'<a href="{run.url}" target="_blank" rel="noopener">{run.url}</a>'


def test_the_trace_of_the_profiler_is_where_its_plugin_looks(run: Run) -> None:
    traces = list((run.logs / "chief-0" / "train" / "plugins" / "profile").glob("*/*.xplane.pb"))
    assert traces and all(one.stat().st_size > 1000 for one in traces)


@contextmanager
def serving(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    argv = [PROGRAM, "tensorboard", *arguments, "--json"]
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)
    with process:
        try:
            assert process.stdout
            yield process, json.loads(process.stdout.readline())
        finally:
            if process.poll() is None:
                process.kill()


def test_the_verb_shows_the_finished_run_and_ctrl_c_leaves_nothing(run: Run, tmp_path: Path) -> None:
    with serving(str(run.logs.parent), "--port", str(run.taken_port)) as (process, told):
        assert told["log_dir"] == str(run.logs) and told["port"] > run.taken_port
        page = look(told["url"], tmp_path)
        assert "epoch_loss" in page.shown and "eyes" in page.layers and "verdict" in page.layers
        assert (page.errors, page.missing) == ([], [])
        ours = board_processes(psutil.Process(process.pid))
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=30)
    assert process.returncode == 130
    assert said == f"warning: port {run.taken_port} is in use: TensorBoard serves at {told['port']}\ninterrupted\n"
    assert ours and psutil.wait_procs(ours, timeout=10)[1] == []


def test_it_ends_with_the_process_that_started_it_however_that_ends(run: Run) -> None:
    with serving(str(run.logs), "--port", "0") as (process, _):
        ours = board_processes(psutil.Process(process.pid))
        process.kill()
    assert ours and psutil.wait_procs(ours, timeout=10)[1] == []


def test_if_it_dies_by_itself_that_is_said_and_nothing_else_happens(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    board = TensorBoardBeside(str(run.logs), TensorBoardOptions(port=0), bind="127.0.0.1", public="driver")
    board.await_up()
    assert board.url
    with caplog.at_level(logging.WARNING):
        (process, *_) = [one for one in board_processes(psutil.Process()) if "--port" in one.cmdline()]
        process.kill()
        until_s = time.monotonic() + 10
        while "has ended by itself" not in caplog.text and time.monotonic() < until_s:
            time.sleep(0.01)
    assert "TensorBoard has ended by itself, the run goes on without it; its last words: " in caplog.text
    assert board.url is None
    board.stop()


def test_no_tensorboard_is_a_warning_beside_a_cluster(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    board = TensorBoardBeside(str(tmp_path), TensorBoardOptions(host="203.0.113.5", port=6006), bind="", public="")
    board.await_up()
    assert board.url is None
    assert "there is no TensorBoard, the run goes on without it: cannot listen on '203.0.113.5'" in caplog.text
    board.stop()
