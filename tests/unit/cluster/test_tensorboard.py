"""TensorBoard's process, by programs in its place that say what it says."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tfspark_cnn.cluster import tensorboard
from tfspark_cnn.errors import ClusterError

Instead = Callable[[str], None]


@pytest.fixture
def instead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Instead:
    """Puts a shell program in its place."""

    def put(text: str) -> None:
        program = tmp_path / "python"
        program.write_text(f"#!/bin/sh\n{text}\n")
        program.chmod(0o755)
        monkeypatch.setattr(tensorboard.sys, "executable", str(program))

    return put


def test_what_begins_is_waited_for_later_and_may_be_stopped_twice(instead: Instead, tmp_path: Path) -> None:
    pipe = tmp_path / "go"
    os.mkfifo(pipe)
    instead(f'echo importing >&2; : < {pipe}; echo "TensorBoard 2 at http://$6:6006/ (Press" >&2; exec sleep 60')
    board = tensorboard.begin("logs", host="driver")
    assert board.url is None, "begin does not wait"
    pipe.write_text("")
    board.await_url()
    assert board.url == "http://driver:6006/"
    board.stop()
    board.stop()


def test_one_that_ends_instead_is_an_error_with_what_it_wrote(instead: Instead) -> None:
    instead("echo port 80 was already in use >&2; exit 1")
    board = tensorboard.begin("logs", host="driver")
    with pytest.raises(ClusterError, match="did not come up:\nport 80 was already in use") as caught:
        board.await_url()
    assert "TENSORBOARD_PORT" in (caught.value.hint or "") and board.url is None


def test_one_that_says_nothing_is_ended_at_the_limit(instead: Instead, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tensorboard, "START_S", 0.01)
    instead("exec sleep 60")
    board = tensorboard.begin("logs", host="driver")
    with pytest.raises(ClusterError, match="did not come up"):
        board.await_url()
    board.stop()
