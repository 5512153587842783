"""The command line: exit codes, two lines an error, no traceback unless asked."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tfspark_cnn.cli import java, main
from tfspark_cnn.errors import ConfigError, NodeError

CONF = str(Path(__file__).parents[3] / "conf" / "digits.toml")


def exit_code(*arguments: str) -> int | str | None:
    with pytest.raises(SystemExit) as caught:
        main.main(arguments)
    return caught.value.code


def fail_with(error: BaseException, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets `train` fail at its first step after the configuration."""

    def find() -> java.Java:
        raise error

    monkeypatch.setattr(java, "find", find)


def test_version_names_what_it_stands_on(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code("version") == 0
    assert "tensorflow 2." in capsys.readouterr().out


def test_a_dry_run_shows_the_whole_configuration_and_starts_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code("train", CONF, "--dry-run", "--set", "train.epochs=3", "--set", "cluster.num_workers=3") == 0
    plan = json.loads(capsys.readouterr().out)
    assert (plan["train"]["epochs"], plan["spark"]["master"]) == (3, "local[5]")
    assert [(node["number"], node["role"], node["index"]) for node in plan["nodes"]] == [
        (0, "chief", 0), (1, "worker", 0), (2, "worker", 1),
    ]  # fmt: skip
    line = plan["spark"]["submit"]
    assert "spark-submit --master 'local[5]' " in line
    assert line.endswith(f"/submit/main.py train {CONF} --set train.epochs=3 --set cluster.num_workers=3")


def test_a_dry_run_refuses_what_is_no_master(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code("train", CONF, "--dry-run", "--set", "cluster.master=locl[2]") == 2
    assert "expected a master of Spark, received 'locl[2]'" in capsys.readouterr().err


def test_a_folder_that_cannot_be_made_is_refused_before_anything_starts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    assert exit_code("train", CONF, "--set", f"output.dir={tmp_path}/file/run") == 2
    said = capsys.readouterr().err
    assert "output.dir: expected a folder to write to" in said
    assert f"to do: {tmp_path}/file is a file: move it away, or set output.dir to another folder" in said


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("train.epoch=3", "did you mean 'epochs'"),
        ("data.source=digit", "did you mean 'digits'"),
        ("data.source=mnist", "`tfspark-cnn data mnist DIR` downloads them"),
        ("train.augmentation=crop:9", "as crop:1"),
    ],
)
def test_a_wrong_configuration_is_two_lines_and_exits_with_2(
    override: str, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code("train", CONF, "--set", override) == 2
    lines = capsys.readouterr().err.splitlines()
    assert [lines[0].startswith("error: "), lines[1].startswith("  to do: "), told in lines[1]] == [True] * 3
    assert len(lines) == 2


def test_a_failed_node_exits_with_1_and_names_the_node(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fail_with(NodeError("map_fun raised ValueError", node="worker:1", hint="mend it"), monkeypatch)
    assert exit_code("train", CONF) == 1
    assert capsys.readouterr().err == "error: [worker:1] map_fun raised ValueError\n  to do: mend it\n"


def test_an_error_that_is_not_ours_is_two_lines_too(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fail_with(RuntimeError("first\nsecond"), monkeypatch)
    assert exit_code("train", CONF) == 1
    assert capsys.readouterr().err.splitlines() == [
        "error: RuntimeError: first",
        "  to do: run it again with --debug for the traceback",
    ]


def test_debug_shows_the_traceback(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    fail_with(ConfigError("what"), monkeypatch)
    assert exit_code("train", CONF, "--debug") == 2
    assert "Traceback" in capsys.readouterr().err


def test_an_interrupted_run_exits_with_130(monkeypatch: pytest.MonkeyPatch) -> None:
    fail_with(KeyboardInterrupt(), monkeypatch)
    assert exit_code("train", CONF) == 130
