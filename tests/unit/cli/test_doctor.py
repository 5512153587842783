"""`tfspark-cnn doctor` where Spark need not be started: findings and exit codes."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from tfspark_cnn.cli import main


def exit_code(*arguments: str) -> int | str | None:
    with pytest.raises(SystemExit) as caught:
        main.main(arguments)
    return caught.value.code


def test_a_missing_java_is_a_finding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert exit_code("doctor") == 1
    first, cure, last = capsys.readouterr().out.splitlines()
    assert first == "failed   java: expected Java 17 or later, received none on PATH"
    assert "openjdk-17" in cure and last.startswith("0 nodes examined in ")


def test_a_master_that_nobody_listens_at_is_a_finding(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        master = f"spark://127.0.0.1:{closed.getsockname()[1]}"
        assert exit_code("doctor", "--master", master, "--json") == 1
    report = json.loads(capsys.readouterr().out)
    assert [one["status"] for one in report["findings"]] == ["ok", "failed"]
    assert "connection refused" in report["findings"][1]["seen"] and report["ok"] is False


def test_a_dry_run_shows_what_would_be_examined(capsys: pytest.CaptureFixture[str]) -> None:
    conf = str(Path(__file__).parents[3] / "conf" / "digits.toml")
    assert exit_code("doctor", "--conf", conf, "--set", "cluster.num_ps=1", "--dry-run", "--no-probe") == 0
    plan = json.loads(capsys.readouterr().out)
    assert plan.pop("model_dir").endswith("/runs/digits/model")
    assert plan == {"nodes": 3, "probe": False, "spark": {"master": "local[5]"}}


def test_nodes_and_master_of_the_command_line_win(capsys: pytest.CaptureFixture[str]) -> None:
    given = ("--nodes", "7", "--master", "yarn", "--model-dir", "s3://bucket/run")
    assert exit_code("doctor", *given, "--dry-run") == 0
    plan = json.loads(capsys.readouterr().out)
    assert plan == {"nodes": 7, "model_dir": "s3://bucket/run", "probe": True, "spark": {"master": "yarn"}}


@pytest.mark.parametrize(
    "arguments",
    [("--nodes", "0"), ("--nodes", "two"), ("--conf", "nowhere.toml"), ("--set", "cluster.master="), ("--what",)],
)
def test_wrong_usage_exits_with_2(arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code("doctor", *arguments) == 2
    assert capsys.readouterr().out == ""
