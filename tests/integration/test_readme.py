"""The README tells the truth: its commands and program run, outputs are as shown, links lead somewhere."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import docs_blocks
import pytest
from conftest import spark_environment

from bench import first_run
from tfspark_cnn.cluster import topology
from tfspark_cnn.cluster.lockstep import Lockstep
from tfspark_cnn.cluster.messages import Created
from tfspark_cnn.errors import ClusterError

pytestmark = pytest.mark.beside
ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/*.md")])
PROGRAM, ESTIMATOR, ASYNCHRONOUS, INDEPENDENT = PROGRAMS = (
    "train_digits.py", "classify_digits.py", "train_async.py", "try_rates.py",
)  # fmt: skip
"""In the order in which they stand there."""
FIRST_RUN = [step.command for step in first_run.STEPS]  # run by bench.first_run, and each verb by tests of its own
PLACEHOLDER = "HOST"  # in a command that needs a cluster of one's own
RUN_S = 150

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")


@dataclass(frozen=True)
class Command:
    """One command of the README, and what it prints there, if that is shown."""

    line: str
    output: str | None = None


def blocks(language: str) -> list[str]:
    return [body for found, body in _FENCE.findall(README.read_text(encoding="utf-8")) if found == language]


def commands() -> list[Command]:
    """All commands of the README: each line of a bash block, each prompt of a console block."""
    lines = [line for body in blocks("bash") for line in body.replace("\\\n", " ").splitlines() if line.strip()]
    prompts = [part.partition("\n") for body in blocks("console") for part in body.split("$ ")[1:]]
    return [*map(Command, lines), *(Command(line, output) for line, _, output in prompts)]


def kind(command: Command) -> str:
    """What is done about a command."""
    if command.line in FIRST_RUN:
        return "first run"
    if "tfspark-cnn submit " in command.line:
        return "submit"
    if PLACEHOLDER in command.line:
        return "for a cluster"
    if command.line.startswith("make "):
        return "make"
    if re.search("tfspark-cnn (evaluate|predict) ", command.line):
        return "scoring"
    if "tfspark-cnn doctor" in command.line:
        return "doctor"
    return "program" if PROGRAM in command.line else "command line" if "tfspark-cnn" in command.line else "unknown"


def of_kind(wanted: str) -> list[Command]:
    return [command for command in commands() if kind(command) == wanted]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder as the README's reader has it: the environment, which is not activated, conf/ and the program."""
    (tmp_path / ".venv").symlink_to(sys.prefix)
    (tmp_path / "conf").symlink_to(ROOT / "conf")
    (tmp_path / "data" / "fashion").mkdir(parents=True)  # where a line of it has put what another one reads
    for name, program in zip(PROGRAMS, blocks("python"), strict=True):
        (tmp_path / name).write_text(program, encoding="utf-8")
    return tmp_path


def run(line: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Runs a line of the README as somebody types it into a fresh shell."""
    fresh = {**os.environ, **spark_environment()}
    for name in ("PYSPARK_PYTHON", "PYSPARK_DRIVER_PYTHON", "PYTHONPATH", "VIRTUAL_ENV", "SPARK_HOME"):
        fresh.pop(name, None)
    own = str(Path(sys.prefix) / "bin")
    fresh["PATH"] = os.pathsep.join(part for part in fresh["PATH"].split(os.pathsep) if part != own)
    return subprocess.run(
        ["bash", "-c", line], cwd=folder, env=fresh, capture_output=True, text=True, timeout=RUN_S, check=False
    )


def test_every_command_is_of_a_kind_that_is_tested() -> None:
    assert {kind(command) for command in commands()} == {
        "make", "first run", "program", "command line", "scoring", "doctor", "submit", "for a cluster",
    }  # fmt: skip
    assert {language for language, _ in _FENCE.findall(README.read_text(encoding="utf-8"))} == {
        "bash", "console", "python", "text",
    }  # fmt: skip


def test_the_first_commands_are_those_whose_times_are_taken() -> None:
    assert {"make train", *(command.line for command in of_kind("first run"))} == set(FIRST_RUN)
    (shown,) = [block for language, block in _FENCE.findall(first_run.PAGE.read_text("utf-8")) if language == "bash"]
    assert shown.splitlines() == FIRST_RUN


def test_the_targets_of_make_exist() -> None:
    for command in (*of_kind("make"), Command("make train")):
        done = subprocess.run(
            ["make", "--dry-run", *command.line.split()[1:]], cwd=ROOT, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr


@pytest.mark.timeout(RUN_S + 30)
@pytest.mark.parametrize("line", [command.line for command in of_kind("program")])
def test_the_program_trains_as_it_stands(line: str, folder: Path) -> None:
    done = run(line, folder)
    assert done.returncode == 0, done.stderr[-4000:]
    (results,) = re.findall(r"^\[\[(.*)\]\]$", done.stdout, re.MULTILINE)
    chief, worker = ([float(value) for value in node.split(", ")] for node in results.split("], ["))
    assert chief == worker, "the accuracy of an epoch is that of all nodes together"
    assert len(chief) == 5 and chief[-1] > 0.9


@pytest.mark.more
@pytest.mark.timeout(RUN_S + 30)
def test_the_program_with_parameter_servers_trains_as_it_stands(folder: Path) -> None:
    done = run(f".venv/bin/python {ASYNCHRONOUS}", folder)
    assert done.returncode == 0, done.stderr[-4000:]
    (accuracy,) = re.findall(r"^\[(.*)\]$", done.stdout, re.MULTILINE)
    by_epoch = [float(value) for value in accuracy.split(", ")]
    assert len(by_epoch) == 5 and by_epoch[-1] > 0.8 > by_epoch[0]


@pytest.mark.more
@pytest.mark.timeout(2 * RUN_S + 30)
def test_the_program_with_the_estimator_trains_and_its_model_scores_by_the_commands(folder: Path) -> None:
    done = run(f".venv/bin/python {ESTIMATOR}", folder)
    assert done.returncode == 0, done.stderr[-4000:]
    assert re.search(r"^151,306 weights, 8 epochs in ", done.stdout, re.MULTILINE)
    accuracy = float(done.stdout.split("accuracy ")[-1])
    assert accuracy > 0.9
    assert (folder / "digits" / "1" / "saved_model.pb").stat().st_size > 0
    judge, score = of_kind("scoring")
    planned = run(f"{score.line} --dry-run", folder)  # predict is as slow, and has a test of its own
    assert planned.returncode == 0, planned.stderr
    judged = run(f"{judge.line} --json", folder)
    assert judged.returncode == 0, judged.stderr
    assert json.loads(judged.stdout)["accuracy"] == pytest.approx(accuracy, abs=0.005)


@pytest.mark.more
@pytest.mark.timeout(RUN_S + 30)
def test_the_program_with_independent_runs_tells_what_each_gave(folder: Path) -> None:
    done = run(f".venv/bin/python {INDEPENDENT}", folder)
    assert done.returncode == 0, done.stderr[-4000:]
    told = re.findall(r"^\{'units': (\d+), 'rate': ([\d.]+)\} (0\.\d+)$", done.stdout, re.MULTILINE)
    assert [one[:2] for one in told] == [("16", "0.001"), ("16", "0.01"), ("64", "0.001"), ("64", "0.01")]
    assert float(told[3][2]) > float(told[0][2]), "more units and a higher rate learn faster"


@pytest.mark.parametrize("command", of_kind("command line"), ids=lambda command: command.line)
def test_lines_of_the_command_line_are_accepted_and_give_what_is_shown(command: Command, folder: Path) -> None:
    if command.output is None:  # a whole training has a test of its own, in test_cli.py
        done = run(f"{command.line} --dry-run", folder)
        assert done.returncode == 0, done.stderr
    else:
        assert run(command.line, folder).stderr == command.output


@pytest.mark.timeout(RUN_S + 30)
def test_the_doctor_finds_that_all_is_well(folder: Path) -> None:
    (command,) = of_kind("doctor")
    done = run(f"{command.line} --no-probe --json", folder)  # the probe has a test of its own
    assert done.returncode == 0, done.stdout + done.stderr[-4000:]
    report = json.loads(done.stdout)
    told = {one["name"]: one["status"] for one in report["findings"]}
    assert report["ok"] and told["java"] == told["ports"] == told["model_dir"] == "ok"
    assert not (folder / "runs").exists()


def test_options_for_a_cluster_are_those_of_spark_submit(folder: Path) -> None:
    known = run(f'PYSPARK_PYTHON="$PWD/.venv/bin/python" {folder}/.venv/bin/spark-submit --help', folder).stderr
    code = [block.code for page in docs_blocks.PAGES for block in docs_blocks.blocks(page) if block.language == "bash"]
    shown = [line for one in code for line in one.replace("\\\n", " ").splitlines() if line.startswith("spark-submit ")]
    ours = [command.line for command in of_kind("for a cluster")]
    assert len(shown) > 2 and len(ours) == 2, "the guides show some, too"
    for line in (*ours, *shown):
        options = re.findall(r"(?<= )--[a-z-]+", line.partition("submit/main.py")[0])
        assert not [name for name in options if not re.search(rf"{name}[ ,]", known)], known


@pytest.mark.parametrize("command", of_kind("submit"), ids=lambda command: command.line)
def test_lines_of_submit_give_a_line_of_spark_submit(command: Command, folder: Path) -> None:
    done = run(command.line.replace(" submit ", " submit --dry-run "), folder)
    assert done.returncode == 0, done.stderr
    assert re.search(r"/bin/spark-submit .*submit/main\.py train conf/digits\.toml$", done.stdout.strip())


def test_the_error_of_too_few_slots_is_the_one_shown(folder: Path) -> None:
    shown, _ = blocks("text")
    program = folder / PROGRAM
    program.write_text(program.read_text(encoding="utf-8").replace("local[4]", "local[2]"), encoding="utf-8")
    done = run(f".venv/bin/python {PROGRAM}", folder)
    assert done.returncode == 1
    assert done.stderr.endswith(shown)


def test_the_error_of_unlike_networks_is_the_one_shown() -> None:
    _, shown = blocks("text")
    nodes = topology.plan(3, master_node="chief")
    lockstep = Lockstep(nodes)
    common = [["a", "float32[1]"], ["b", "float32[1]"]]
    lockstep.create(Created(0, 0, [*common, ["dense/kernel", "float32[784, 10]"]]))
    with pytest.raises(ClusterError) as caught:
        lockstep.create(Created(2, 0, [*common, ["dense/kernel", "float32[784, 20]"]]))
    assert shown == f"tfspark_cnn.errors.ClusterError: {caught.value}\n"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_relative_links_lead_to_files(document: Path) -> None:
    links = [link.partition("#")[0] for link in _LINK.findall(document.read_text(encoding="utf-8"))]
    missing = [link for link in links if link and "://" not in link and not (document.parent / link).exists()]
    assert not missing


def test_the_readme_names_no_path_of_a_machine_and_no_issue() -> None:
    texts = {document.name: document.read_text(encoding="utf-8") for document in DOCUMENTS}
    machines = re.compile(r"(?:/home|/root|/work|/Users|/tmp)/\S*")
    assert not [found for text in texts.values() for found in machines.findall(text)]
    del texts["migration-tensorflowonspark.md"]  # whose numbers are those of TensorFlowOnSpark's tracker
    assert not [found for text in texts.values() for found in re.findall(r"(?<![\w/:])#\d+", text)]
