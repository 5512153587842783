"""What a node's process uses of its host."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import psutil
import pytest

from tfspark_cnn.cluster import vitals


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="read from /proc")
def test_the_memory_is_that_of_this_process() -> None:
    found = vitals.memory_bytes()
    assert found == pytest.approx(psutil.Process().memory_info().rss, rel=0.2)


def test_a_system_that_does_not_tell_gives_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vitals, "_STATM", "/nowhere")
    assert vitals.memory_bytes() is None


@pytest.mark.parametrize("text", ["", "[N/A], 3\n", "no devices were found\n"])
def test_what_is_no_figure_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        vitals.parsed(text)


def program(folder: Path, body: str, monkeypatch: pytest.MonkeyPatch) -> None:
    file = folder / "nvidia-smi"
    file.write_text(f"#!/bin/sh\n{body}\n")
    file.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)


def test_nvidia_smi_is_asked_for_the_gpus_of_the_node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asks = 'test "$3" = "--id=1,3" && echo "90, 1024" && echo "50, 512"'
    program(tmp_path, asks, monkeypatch)
    assert vitals.gpu_use(["1", "3"]) == (70.0, 1536 << 20)


def test_an_nvidia_smi_that_fails_or_is_missing_gives_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path, "exit 9", monkeypatch)
    assert vitals.gpu_use(["0"]) == (None, None)
    monkeypatch.setenv("PATH", str(tmp_path / "none"))
    assert vitals.gpu_use(["0"]) == (None, None)
