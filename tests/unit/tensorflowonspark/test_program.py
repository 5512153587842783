"""How a program's map_fun is called: its `sys.argv`, its ways to end, its parameters."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest

from tfspark_cnn.cluster import map_fun_payload
from tfspark_cnn.errors import MapFunError
from tfspark_cnn.tensorflowonspark import keras_import
from tfspark_cnn.tensorflowonspark.program import Program


class Native:
    """As `NodeContext` to a program."""

    executor_id = task_index = num_workers = 0
    cluster_spec: dict[str, list[str]] = {}
    defaultFS = "file://"
    reserved_socket = None

    def __init__(self, job_name: str = "worker") -> None:
        self.job_name = job_name
        self.ends: list[Callable[[], None]] = []

    def mend_keras(self) -> None:
        raise AssertionError("nobody has imported Keras")

    def when_training_ends(self, callback: Callable[[], None]) -> None:
        self.ends.append(callback)


@pytest.fixture(autouse=True)
def no_hook_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    monkeypatch.setattr(sys, "argv", ["pytest"])


def call(map_fun: Callable[..., Any], args: Any = None, native: Any = None) -> None:
    Program(map_fun, "/home/ada")(args, native or Native())


def test_a_list_becomes_the_command_line_and_anything_else_does_not() -> None:
    seen = []
    call(lambda args, ctx: seen.append((args, sys.argv)), ["train.py", "--epochs", "3"])
    call(lambda args, ctx: seen.append((args, sys.argv)), {"epochs": 3})
    assert seen[0] == (["train.py", "--epochs", "3"],) * 2 and seen[1][0] == {"epochs": 3}


@pytest.mark.parametrize("code", [None, 0])
def test_sys_exit_at_the_end_of_map_fun_is_a_good_end(code: object) -> None:
    call(lambda args, ctx: sys.exit(code))


def test_sys_exit_with_a_code_is_a_failure() -> None:
    with pytest.raises(SystemExit) as caught:
        call(lambda args, ctx: sys.exit(3))
    assert caught.value.code == 3


@pytest.mark.timeout(10)
def test_an_evaluator_without_end_is_left_when_training_ends() -> None:
    native, entered = Native("evaluator"), threading.Event()

    def evaluate(args: Any, ctx: Any) -> None:
        entered.set()
        native.ends[0]()
        threading.Event().wait()

    call(evaluate, native=native)
    assert entered.is_set()


@pytest.mark.timeout(10)
def test_an_evaluator_that_fails_fails() -> None:
    def evaluate(args: Any, ctx: Any) -> None:
        raise ValueError("no checkpoints")

    with pytest.raises(ValueError, match="no checkpoints"):
        call(evaluate, native=Native("evaluator"))


@pytest.mark.parametrize("wrong", [lambda args: None, 5, "package.module:function"])
def test_a_map_fun_that_cannot_be_called_is_refused_on_the_driver(wrong: Any) -> None:
    with pytest.raises(MapFunError, match=r"cannot be called as map_fun\(args, ctx\)"):
        map_fun_payload.pickled(Program(wrong, "/"), None)


def test_keras_is_mended_when_it_is_imported_and_not_when_it_is_looked_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    (tmp_path / "not_keras.py").write_text("ready = True\n")
    monkeypatch.setattr(keras_import, "KERAS", "not_keras")
    monkeypatch.syspath_prepend(str(tmp_path))
    mended = []
    keras_import.mend_with(lambda: mended.append(sys.modules["not_keras"].ready))
    assert importlib_util_finds("not_keras") and mended == []
    import not_keras  # noqa: F401

    assert mended == [True]
    keras_import.mend_with(lambda: mended.append("at once"))
    assert mended == [True, "at once"]
    del sys.modules["not_keras"]


def importlib_util_finds(name: str) -> bool:
    import importlib.util

    return importlib.util.find_spec(name) is not None
