"""Formats of an export, the process that makes it, and what is refused: all without TensorFlow."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfspark_cnn.errors import ConfigError, ExportError, SourceError
from tfspark_cnn.feed.columns import Column
from tfspark_cnn.ml import export_process
from tfspark_cnn.ml.export import Exported, Format, check_converter, export, format_of
from tfspark_cnn.ml.export_process import LEFT_ALONE, Request, converted, run
from tfspark_cnn.ml.saved_network import Answer, SavedNetwork

SAVED = SavedNetwork(b"a network")


@pytest.mark.parametrize(
    ("path", "wanted", "found"),
    [
        ("a.keras", None, Format.KERAS),
        ("s3://b/a.onnx", None, Format.ONNX),
        ("served/1", None, Format.SAVED_MODEL),
        ("served/1.5", None, Format.SAVED_MODEL),
        (Path("a.keras"), "keras", Format.KERAS),
        ("network", "onnx", Format.ONNX),
        ("served/1", "saved_model", Format.SAVED_MODEL),
    ],
)
def test_the_format_is_asked_for_or_the_suffix_tells_it(path: Any, wanted: str | None, found: Format) -> None:
    assert format_of(path, wanted) is found


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("a.onx", r"received 'a.onx'\n.*did you mean 'a.onnx'"),
        ("a/b.kers", "did you mean 'a/b.keras'"),
        ("a.h5", "or a folder for a SavedModel, received 'a.h5'\n.*leave the suffix out"),
        ("", "expected a path to export to, received ''"),
    ],
)
def test_a_path_that_means_something_else_is_refused(path: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        format_of(path)


@pytest.mark.parametrize(
    ("path", "wanted", "words"),
    [
        (
            "a",
            "savedmodel",
            "a format of keras, saved_model, onnx, received 'savedmodel'\n.*did you mean 'saved_m",
        ),
        ("a", "h5", "received 'h5'\n.*TensorFlow Serving"),
        ("a", "keras", r"expected a path for format 'keras', received 'a'\n.*on \.keras alone"),
        ("a.onnx", "keras", r"expected a path for format 'keras', received 'a\.onnx'"),
        ("a.keras", "saved_model", r"for format 'saved_model', received 'a\.keras'\n.*leave the format out"),
    ],
)
def test_a_format_that_cannot_be_is_refused(path: str, wanted: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        format_of(path, wanted)


def test_a_keras_file_is_the_network_as_it_is_and_needs_no_other_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export_process, "run", None)
    path = tmp_path / "new" / "digits.keras"
    assert export(SAVED, path) == Exported(str(path), "keras", 9)
    assert path.read_bytes() == b"a network"
    with pytest.raises(SourceError, match="expected nothing at"):
        export(SAVED, path)
    assert export(SavedNetwork(b"another"), path, overwrite=True).bytes == 7


def test_a_converter_that_is_not_installed_is_told_with_the_line_that_installs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "tf2onnx" else object())
    with pytest.raises(ConfigError, match=r"tf2onnx is not installed\n.*pip install tf2onnx onnx"):
        export(SAVED, tmp_path / "a.onnx")
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    check_converter()


columns = st.builds(
    Column,
    st.text(),
    shape=st.just((8, 6, 3)),
    dtype=st.just("float32"),
    encoding=st.sampled_from(["jpeg", "png"]),
    resize=st.sampled_from([None, "area"]),
    scale=st.sampled_from([None, 1 / 255]),
)


@given(st.none() | columns, st.none() | st.lists(st.text(), max_size=3).map(tuple), st.none() | st.sampled_from(Answer))
def test_a_request_comes_to_the_process_as_it_was(column: Any, labels: Any, answer: Any) -> None:
    request = Request("onnx", column, labels, answer)
    assert Request.from_json(request.to_json()) == request


PROGRAM = """
import json, pathlib, sys
folder = pathlib.Path(sys.argv[-1])
assert (folder / "network.keras").read_bytes() == b"a network"
{}
"""


def convert(program: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Lets a program of ours stand for the one with TensorFlow."""
    argv = [sys.executable, "-c", PROGRAM.format(program), str(folder)]
    real = export_process.run
    monkeypatch.setattr(export_process, "run", lambda _, **options: real(argv, **options))
    return converted(Request("onnx"), b"a network", folder=folder)


def test_what_the_process_makes_is_where_it_is_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = convert("(folder / 'made').write_bytes(b'onnx')", tmp_path, monkeypatch)
    assert made.read_bytes() == b"onnx"


def test_a_process_that_fails_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ExportError, match=r"(?s)to onnx: the process ended with status 1\n.*KeyError: 'own layer'"):
        convert("raise KeyError('own layer')", tmp_path, monkeypatch)


def test_a_process_that_crashes_is_told_by_its_signal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ExportError, match=r"ended with status -6"):
        convert("import os; os.abort()", tmp_path, monkeypatch)


def test_an_error_of_ours_comes_as_it_was_raised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refusal = "(folder / 'refusal.json').write_text(json.dumps(['ConfigError', 'what', 'cure'])); sys.exit(1)"
    with pytest.raises(ConfigError, match="^what\n  to do: cure$"):
        convert(refusal, tmp_path, monkeypatch)


def test_a_process_that_takes_too_long_is_ended_and_told_with_what_it_wrote(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"(?s)within 1 s.*at layer 3.*memory"):
        run(["/bin/sh", "-c", "echo at layer 3 >&2; read -r _"], stderr=tmp_path / "stderr", limit_s=0.8)


def test_the_process_takes_no_gpu_and_finds_the_modules_of_this_one(tmp_path: Path) -> None:
    told = "import os, sys; print(os.environ['CUDA_VISIBLE_DEVICES'], os.environ['PYTHONPATH'], file=sys.stderr)"
    assert run([sys.executable, "-c", told], stderr=tmp_path / "stderr", limit_s=30.0) == 0
    gpus, _, path = (tmp_path / "stderr").read_text().strip().partition(" ")
    assert gpus == "-1" and set(filter(None, sys.path)) <= set(path.split(":"))


def test_a_process_that_nobody_waits_for_ends_and_takes_its_files_along(tmp_path: Path) -> None:
    folder = tmp_path / "export"
    folder.mkdir()
    (folder / "network.keras").touch()
    program = """
import pathlib, sys, threading
from tfspark_cnn.ml.export_process import end_with_stdin
threading.Thread(target=end_with_stdin, args=(pathlib.Path(sys.argv[1]),), daemon=True).start()
threading.Event().wait()
"""
    done = subprocess.run([sys.executable, "-c", program, folder], stdin=subprocess.DEVNULL, timeout=60, check=False)
    assert done.returncode == LEFT_ALONE and not folder.exists()
