"""`tfspark-cnn export`: what it says and refuses, without TensorFlow."""

from __future__ import annotations

import io
import json
import logging
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tfspark_cnn import log
from tfspark_cnn.cli import main


@pytest.fixture(autouse=True)
def console() -> Iterator[None]:
    """The command line lets the log go to its stderr, which here is another one for each test."""
    root = logging.getLogger(log.ROOT)
    before, level = list(root.handlers), root.level
    yield
    root.handlers[:] = before
    root.setLevel(level)


def exit_code(*arguments: str) -> int | str | None:
    with pytest.raises(SystemExit) as caught:
        main.main(["export", *arguments])
    return caught.value.code


@pytest.fixture
def network(tmp_path: Path) -> Path:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("config.json", "{}")
    (tmp_path / "model.keras").write_bytes(file.getvalue())
    return tmp_path / "model.keras"


def test_it_says_where_the_network_is_now(network: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = network.parent / "copies" / "one.keras"
    assert exit_code(str(network), str(out)) == 0
    assert capsys.readouterr().out == f"{out}: keras, 0.0 MB\n"
    assert out.read_bytes() == network.read_bytes()
    assert exit_code(str(network), str(out), "--overwrite", "--json") == 0
    assert json.loads(capsys.readouterr().out) == {"path": str(out), "format": "keras", "bytes": out.stat().st_size}


@pytest.mark.parametrize(
    ("out", "options", "code", "told"),
    [
        ("model.keras", [], 1, ["expected nothing at", "--overwrite"]),
        ("served/1", ["--format", "onyx"], 2, ["received 'onyx'", "did you mean 'onnx'"]),
        ("model.keras/1", [], 1, ["could not write", "may write to"]),
    ],
)
def test_what_it_cannot_do_is_two_lines(
    network: Path, capsys: pytest.CaptureFixture[str], out: str, options: list[str], code: int, told: list[str]
) -> None:
    assert exit_code(str(network), str(network.parent / out), *options) == code
    lines = capsys.readouterr().err.splitlines()
    assert [words in line for words, line in zip(told, lines, strict=True)] == [True, True], lines


def test_a_model_that_is_not_there_is_wrong_usage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code(str(tmp_path / "nope"), str(tmp_path / "served")) == 2
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == f"error: expected a saved model at {tmp_path}/nope, received nothing"
    assert "model.save(path)" in lines[1] and len(lines) == 2


def test_what_is_no_network_is_two_lines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code(str(tmp_path), str(tmp_path / "served")) == 2
    assert "received a folder without metadata" in capsys.readouterr().err
