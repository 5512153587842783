"""`tfspark-cnn train` as somebody types it: a whole run, bad configurations, and Ctrl-C."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
from conftest import node_processes, spark_environment

from tfspark_cnn.cluster.history import History

ROOT = Path(__file__).parents[2]
CONF = str(ROOT / "conf" / "digits.toml")
PROGRAM = Path(sys.prefix) / "bin" / "tfspark-cnn"
TRAINING_ROWS, HELD_OUT, EPOCHS = 1437, 360, 20

IDLE_LOAD = 0.5  # of a minute's average; above it others hold the cores, and the requirement is for two idle ones
pytestmark = pytest.mark.beside
WALL_S, WALL_BUSY_S = 90.0, 240.0
INTERRUPTED_S = 15.0
AS_EVER = "pyspark-shell"  # PySpark's own PYSPARK_SUBMIT_ARGS

PROGRESS = re.compile(
    r"^epoch (\d+)/(\d+)  step (\d+)/23  loss (\d+\.\d{4})  accuracy [01]\.\d{4}  [\d,]+ images/s(  \d:\d\d left)?$",
    re.MULTILINE,
)
TERMINAL_COLUMNS = 100
# In a process of its own: keras and tensorboard change the environment of whoever imports them.
READ_BACK = """
import json, sys
import keras, numpy as np
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.util import tensor_util
model = keras.models.load_model(sys.argv[1])
shape = model.predict(np.zeros((2, 8, 8, 1), "float32"), verbose=0).shape
runs = [EventAccumulator(run, size_guidance={"tensors": 0}).Reload() for run in sys.argv[2:]]
scalars = {
    tag: [float(tensor_util.make_ndarray(event.tensor_proto)) for event in events.Tensors(tag)]
    for events in runs for tag in events.Tags()["tensors"]
    if events.SummaryMetadata(tag).plugin_data.plugin_name == "scalars"
} | {tag: [event.value for event in events.Scalars(tag)] for events in runs for tag in events.Tags()["scalars"]}
print(json.dumps({"shape": shape, "scalars": scalars}))
"""


def environment(**more: str) -> dict[str, str]:
    """Of a fresh shell, in which no environment is activated and Spark was told no interpreter."""
    fresh = {**os.environ, **spark_environment(), **more}
    for name in ("PYSPARK_PYTHON", "PYSPARK_DRIVER_PYTHON", "PYTHONPATH", "VIRTUAL_ENV", "SPARK_HOME"):
        fresh.pop(name, None)
    return {name: value for name, value in fresh.items() if not name.startswith("TFSPARK_CNN_")} | more


def cli(*arguments: str, cwd: Path, timeout_s: float = 60, **more: str) -> subprocess.CompletedProcess[str]:
    """Runs `tfspark-cnn` to its end."""
    return subprocess.run(
        [PROGRAM, *arguments], cwd=cwd, env=environment(**more), capture_output=True, text=True, timeout=timeout_s,
        check=False,
    )  # fmt: skip


@contextmanager
def started(*arguments: str, cwd: Path) -> Iterator[subprocess.Popen[str]]:
    """Runs `tfspark-cnn` in a process group of its own, as a terminal does; leaving the block ends it."""
    process = subprocess.Popen(
        [PROGRAM, *arguments], cwd=cwd, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    )  # fmt: skip
    with process:
        try:
            yield process
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)


@dataclass(frozen=True)
class Run:
    """One finished run, and what it was like around it."""

    done: subprocess.CompletedProcess[str]
    folder: Path
    wall_s: float
    limit_s: float

    @property
    def table(self) -> Mapping[str, str]:
        """What the final table says; a value of several lines is joined."""
        rows: dict[str, str] = {}
        name = ""
        for cells in re.findall(r"^│ (.*?) │ (.*?) │$", self.done.stdout, re.MULTILINE):
            name, value = cells[0].strip() or name, cells[1].strip()
            rows[name] = f"{rows.get(name, '')} {value}".strip()
        return rows


@pytest.fixture(scope="module")
def whole_run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """`tfspark-cnn train conf/digits.toml`, all of it, with JVMs as its users have them."""
    folder = tmp_path_factory.mktemp("digits")
    limit_s = WALL_S if os.getloadavg()[0] < IDLE_LOAD else WALL_BUSY_S
    began = time.monotonic()
    done = cli("train", CONF, cwd=folder, timeout_s=WALL_BUSY_S, COLUMNS="200", PYSPARK_SUBMIT_ARGS=AS_EVER)
    return Run(done, folder, time.monotonic() - began, limit_s)


@pytest.mark.timeout(WALL_BUSY_S + 30)
def test_the_whole_run_is_accurate_and_in_time(whole_run: Run) -> None:
    assert whole_run.done.returncode == 0, whole_run.done.stderr
    accuracy, rows = re.fullmatch(r"(0\.\d{4}) on (\d+) held-out rows", whole_run.table["test accuracy"]).groups()
    assert float(accuracy) >= 0.98
    assert int(rows) == HELD_OUT
    assert whole_run.wall_s < whole_run.limit_s


def test_the_table_tells_losses_speed_and_seconds(whole_run: Run) -> None:
    table = whole_run.table
    losses = [float(loss) for loss in table["loss per epoch"].split()]
    assert len(losses) == EPOCHS and losses[-1] < losses[0] / 5
    rate, rows = re.fullmatch(r"([\d,]+) \(([\d,]+) rows\)", table["rows per second"]).groups()
    assert int(rows.replace(",", "")) == TRAINING_ROWS * EPOCHS, "each row once per epoch, over all nodes"
    seconds = {phase: float(table[f"{phase} seconds"]) for phase in ("start", "feed", "fit", "stop")}
    assert all(value > 0 for value in seconds.values())
    assert sum(seconds.values()) < whole_run.wall_s
    assert int(rate.replace(",", "")) == pytest.approx(TRAINING_ROWS * EPOCHS / seconds["fit"], rel=0.05)


def test_progress_tells_epoch_step_loss_and_images_of_all_nodes(whole_run: Run) -> None:
    lines = PROGRESS.findall(whole_run.done.stderr)
    assert [int(line[0]) for line in lines] == list(range(1, EPOCHS + 1))
    assert {line[1] for line in lines} == {str(EPOCHS)}
    assert {line[2] for line in lines} == {"23"}, "steps of 2 x 32 rows, the last ones smaller"
    assert [line[3] for line in lines] == whole_run.table["loss per epoch"].split()
    assert [bool(line[4]) for line in lines] == [True] * (EPOCHS - 1) + [False], "the time left, while some is left"
    assert "Traceback" not in whole_run.done.stderr


def test_the_verdict_is_told_and_the_run_is_in_a_file_of_events(whole_run: Run) -> None:
    verdict = whole_run.table["verdict"]
    assert re.match(r"(input|compute|communication)-bound: waiting for rows \d+%, computing \d+%, waiting for", verdict)
    assert "to do: " in verdict
    (logs,) = (whole_run.folder / "runs" / "digits" / "logs").iterdir()
    history = History.read(logs)
    assert [f"{loss:.4f}" for loss in history.metrics["loss"]] == whole_run.table["loss per epoch"].split()
    assert str(history.verdict()).split() == verdict.split()
    assert history.events[-1].values == {"outcome": "done"}


def test_the_saved_network_and_the_event_files_can_be_read_in_a_fresh_process(whole_run: Run) -> None:
    model = whole_run.folder / whole_run.table["model"]
    (logs,) = (whole_run.folder / "runs" / "digits" / "logs").iterdir()
    runs = [logs / "chief-0" / "train", logs / "nodes" / "chief-0"]
    assert whole_run.table["event file"].count("tfevents") == len(runs) + 2, "and those of the worker and of Spark"
    assert model == whole_run.folder / "runs" / "digits" / "model" / "model.keras"
    assert sorted(os.listdir(model.parent)) == ["checkpoints", "model.keras"], "nothing half-written beside it"
    done = subprocess.run(
        [sys.executable, "-c", READ_BACK, model, *runs], env=environment(TF_CPP_MIN_LOG_LEVEL="3"),
        capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    read = json.loads(done.stdout.splitlines()[-1])
    assert read["shape"] == [2, 10]
    assert {"epoch_loss", "epoch_accuracy"} <= read["scalars"].keys()
    assert [f"{loss:.4f}" for loss in read["scalars"]["epoch_loss"]] == whole_run.table["loss per epoch"].split()
    assert len(read["scalars"]["feed/input/rows"]) == EPOCHS
    assert 0 < sum(read["scalars"]["feed/input/rows"]) < TRAINING_ROWS * EPOCHS, "the other node has the rest"


def on_a_terminal(*arguments: str, cwd: Path) -> tuple[subprocess.CompletedProcess[str], str]:
    """Runs `tfspark-cnn` with its standard error on a terminal; gives what is written there besides."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, TERMINAL_COLUMNS))
    written: list[bytes] = []
    reader = threading.Thread(target=lambda: written.extend(iter(lambda: _read(ours), b"")))
    reader.start()
    terminal = {"TERM": "xterm-256color"}
    with os.fdopen(theirs, "wb") as stderr:
        done = subprocess.run(
            [PROGRAM, *arguments], cwd=cwd, env=environment(**terminal), stdout=subprocess.PIPE, stderr=stderr,
            text=True, timeout=WALL_BUSY_S, check=False,
        )  # fmt: skip
    reader.join(10)
    os.close(ours)
    return done, b"".join(written).decode()


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 1 << 16)
    except OSError:  # nobody has the other end any more
        return b""


@pytest.mark.timeout(WALL_BUSY_S + 30)
def test_json_is_the_only_output_and_one_node_alone_trains_the_same_rows(tmp_path: Path) -> None:
    settings = ("train.epochs=1", "cluster.num_workers=1", "data.partitions=3", "output.dir=out")
    done, screen = on_a_terminal("train", CONF, "--json", *(w for s in settings for w in ("--set", s)), cwd=tmp_path)
    assert done.returncode == 0, screen
    assert_shown_live(screen)
    told = json.loads(done.stdout)
    assert told.keys() == {
        "accuracy", "test_rows", "loss", "images", "rows_per_s", "seconds", "model", "event_files", "feed",
        "attempts", "steps", "verdict",
    }  # fmt: skip
    assert (told["images"], told["test_rows"], len(told["loss"])) == (TRAINING_ROWS, HELD_OUT, 1)
    assert (tmp_path / told["model"]).is_file() and (tmp_path / told["event_files"][0]).is_file()
    assert told["seconds"].keys() == {"start", "feed", "fit", "stop"}
    assert told["verdict"]["bound"] in ("compute-bound", "input-bound") and told["verdict"]["communication"] is None
    (feed,) = told["feed"]
    assert (feed["rows"], feed["partitions"], feed["nodes"][0]["epochs"]) == (TRAINING_ROWS, 3, 1)


def assert_shown_live(screen: str) -> None:
    """Checks that a run was shown in place: phases, then the epoch with a row for the node, in as many columns."""
    frames = [re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", frame) for frame in screen.split("\x1b[2K")]
    shown = "".join(frames)
    assert "starting Spark" in shown and "starting 1 node" in shown
    assert screen.count("\x1b[2K") > 5, "lines are cleared and drawn anew"
    last = shown[shown.rindex("epoch 1/1  step 45/45") :]
    assert "100%" in last and "images/s" in last
    assert re.search(r"chief:0 +(training|returned|ended) .* \d+ MiB", last)
    assert max(map(len, shown.splitlines())) <= TERMINAL_COLUMNS


def test_a_dry_run_shows_the_configuration_and_starts_nothing(tmp_path: Path) -> None:
    three = ("--set", "cluster.num_workers=3")
    done = cli("train", CONF, "--dry-run", *three, cwd=tmp_path, TFSPARK_CNN_TRAIN__EPOCHS="7")
    plan = json.loads(done.stdout)
    assert (plan["train"]["epochs"], plan["spark"]["master"]) == (7, "local[5]")
    assert (done.returncode, done.stderr, os.listdir(tmp_path)) == (0, "", [])


BROKEN = {
    "no TOML": ("[train\nepochs = 3\n", r"bad\.toml, line 1, column \d+: .*", "mend line 1"),
    "unknown key": ("[train]\nepoch = 3\n", r"unknown key train\.epoch in bad\.toml", "did you mean 'epochs'"),
    "unknown table": ("[trian]\nepochs = 3\n", r"unknown table \[trian\] in bad\.toml", "did you mean 'train'"),
    "wrong type": ("[train]\nepochs = 'many'\n", "train.epochs in bad.toml: expected a whole", "train.epochs = 20"),
    "out of range": ("[data]\ntest_fraction = 1\n", "expected a number between 0 and 1", "data.test_fraction = 0.2"),
    "unknown source": ("[data]\nsource = 'digit'\n", "digit", "did you mean 'digits'"),
}


def assert_two_lines(done: subprocess.CompletedProcess[str], error: str, cure: str) -> None:
    assert done.returncode == 2
    assert done.stdout == ""
    first, second = done.stderr.splitlines()
    assert re.match(f"error: .*{error}", first)
    assert second.startswith("  to do: ") and cure in second


@pytest.mark.parametrize("name", BROKEN)
def test_a_bad_configuration_is_one_line_of_error_and_one_of_cure(name: str, tmp_path: Path) -> None:
    text, error, cure = BROKEN[name]
    (tmp_path / "bad.toml").write_text(text, encoding="utf-8")
    assert_two_lines(cli("train", "bad.toml", cwd=tmp_path), error, cure)


@pytest.mark.parametrize(
    ("setting", "error", "cure"),
    [
        ("model.name=smal_cnn", "smal_cnn", "did you mean 'small_cnn'"),
        ("model.parameters.filter=3", "unknown parameter 'filter'", "did you mean 'filters'"),
    ],
)
def test_a_network_that_does_not_exist_is_refused_before_anything_starts(
    setting: str, error: str, cure: str, tmp_path: Path
) -> None:
    assert_two_lines(cli("train", CONF, "--dry-run", "--set", setting, cwd=tmp_path), error, cure)


def test_a_missing_file_and_a_missing_java_are_told_in_two_lines(tmp_path: Path) -> None:
    assert_two_lines(cli("train", "no.toml", cwd=tmp_path), r"no\.toml: No such file", "conf/digits.toml")
    assert_two_lines(cli("train", CONF, cwd=tmp_path, JAVA_HOME="/nowhere"), "expected Java 17 or later", "JAVA_HOME")


# What stands on the screen when Ctrl-C comes, and for how many seconds: in most of them the driver is inside of Spark.
MOMENTS = {"while Spark starts": ("starting Spark", 3.0), "while nodes start": ("starting 2 nodes", 0.0),
           "while it trains": ("epoch 1/", 0.0)}  # fmt: skip


@pytest.mark.timeout(150)
@pytest.mark.parametrize("moment", MOMENTS)
def test_ctrl_c_exits_with_130_soon_and_leaves_no_node(moment: str, tmp_path: Path) -> None:
    beginning, after_s = MOMENTS[moment]
    with started("train", CONF, "--set", "train.epochs=5000", cwd=tmp_path) as process:
        assert process.stderr is not None
        assert any(line.startswith(beginning) for line in process.stderr), "it ended before"
        time.sleep(after_s)
        os.killpg(process.pid, signal.SIGINT)
        began = time.monotonic()
        _, said = process.communicate(timeout=60)
        took_s = time.monotonic() - began
    assert process.returncode == 130, said
    assert took_s < INTERRUPTED_S
    assert "Traceback" not in said and said.splitlines()[-1] == "interrupted"
    _, alive = psutil.wait_procs(node_processes(), timeout=5)
    assert not alive
