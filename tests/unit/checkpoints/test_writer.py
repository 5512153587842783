"""Checkpoints written in the background: nothing lost, nothing queued without end, no error unheard."""

from __future__ import annotations

import errno
import logging
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tfspark_cnn.checkpoints.archive import decode
from tfspark_cnn.checkpoints.folder import Body
from tfspark_cnn.checkpoints.retention import Entry, Metric
from tfspark_cnn.checkpoints.store import CheckpointStore
from tfspark_cnn.checkpoints.writer import BackgroundWriter
from tfspark_cnn.errors import CheckpointError


class GatedStore(CheckpointStore):
    """Writes when it is let to, one at a time; `fail` says what a write raises."""

    def __init__(self, uri: Path) -> None:
        super().__init__(uri)
        self.entered, self.gate = threading.Semaphore(0), threading.Semaphore(0)
        self.fail: dict[int, Exception] = {}

    def write(self, step: int, body: Body, *, run: str) -> Entry:
        self.entered.release()
        assert self.gate.acquire(timeout=30)
        if step in self.fail:
            raise self.fail[step]
        return super().write(step, body, run=run)


@pytest.fixture
def store(tmp_path: Path) -> CheckpointStore:
    store = CheckpointStore(tmp_path)
    store.claim("a", "driver:1", alive=lambda address: False)
    return store


@pytest.fixture
def gated(tmp_path: Path) -> GatedStore:
    store = GatedStore(tmp_path)
    store.claim("a", "driver:1", alive=lambda address: False)
    return store


@pytest.fixture(autouse=True)
def no_thread_stays() -> Iterator[None]:
    yield
    for thread in threading.enumerate():
        if thread.name == "tfspark-checkpoints":
            thread.join(10)
            assert not thread.is_alive()


def arrays(step: int) -> dict[str, Any]:
    return {"w": np.full(3, step)}


def submit(writer: BackgroundWriter, *steps: int) -> None:
    for step in steps:
        writer.submit(step, arrays(step), {"step": step})


def steps(store: CheckpointStore) -> list[int]:
    return [entry.step for entry in store.entries()]


def in_thread(call: Callable[[], None]) -> tuple[threading.Thread, list[BaseException]]:
    raised: list[BaseException] = []

    def run() -> None:
        try:
            call()
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    return thread, raised


def is_blocked(thread: threading.Thread) -> bool:
    thread.join(0.1)
    return thread.is_alive()


def test_what_is_submitted_is_written_by_the_end_of_the_block(store: CheckpointStore) -> None:
    with BackgroundWriter(store, run="a", keep=3) as writer:
        submit(writer, 1, 2, 3, 4, 5)
    assert "tfspark-checkpoints" not in {thread.name for thread in threading.enumerate()}
    assert steps(store) == [5, 4, 3]
    archive = decode(store.read(store.entries()[0]))
    np.testing.assert_array_equal(archive.arrays["w"], [5, 5, 5])
    assert archive.meta == {"step": 5}


def test_the_best_is_kept_besides_the_last(store: CheckpointStore) -> None:
    with BackgroundWriter(store, run="a", keep=1) as writer:
        for step in (1, 2, 3, 4):
            writer.submit(step, arrays(step), {}, best=Metric("val_loss", 0.5) if step == 2 else None)
    assert steps(store) == [4, 2]
    best = store.best_record()
    assert best is not None
    assert (best.entry.step, best.metric, best.value) == (2, "val_loss", 0.5)


def test_damaged_checkpoints_found_before_are_deleted(store: CheckpointStore) -> None:
    store.write(7, b"damaged", run="a")
    assert store.newest() is None
    with BackgroundWriter(store, run="a") as writer:
        submit(writer, 1)
    assert steps(store) == [1]


def test_each_success_is_told_from_the_thread(store: CheckpointStore) -> None:
    told: list[tuple[int, Any, str, list[int]]] = []

    def written(entry: Entry, meta: Any) -> None:
        told.append((entry.step, meta, threading.current_thread().name, steps(store)))

    with BackgroundWriter(store, run="a", keep=1, written=written) as writer:
        submit(writer, 1, 2)
    assert told == [(1, {"step": 1}, "tfspark-checkpoints", [1]), (2, {"step": 2}, "tfspark-checkpoints", [2])]


@pytest.mark.parametrize(("long_wait_s", "level"), [(0.0, "WARNING"), (600.0, "DEBUG")])
def test_submit_returns_while_one_is_written_and_blocks_while_another_waits(
    gated: GatedStore, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, long_wait_s: float, level: str
) -> None:
    monkeypatch.setattr("tfspark_cnn.checkpoints.writer._LONG_WAIT_S", long_wait_s)
    caplog.set_level(logging.DEBUG, "tfspark_cnn.checkpoints.writer")
    with BackgroundWriter(gated, run="a") as writer:
        submit(writer, 1)
        assert gated.entered.acquire(timeout=10)
        submit(writer, 2)
        third, raised = in_thread(lambda: submit(writer, 3))
        assert is_blocked(third)
        assert steps(gated) == []
        gated.gate.release()
        third.join(10)
        assert (third.is_alive(), raised) == (False, [])
        gated.gate.release(2)
    assert steps(gated) == [3, 2, 1]
    [said] = [one for one in caplog.records if "training waited" in one.getMessage()]
    assert "s at step 3 for storage" in said.getMessage()
    assert said.levelname == level


@pytest.mark.parametrize("call", ["submit", "flush", "close"])
def test_an_error_is_raised_once_by_the_next_call(gated: GatedStore, call: str) -> None:
    gated.fail[1] = CheckpointError("could not write: No space left", hint="free space there")
    gated.gate.release(9)
    writer = BackgroundWriter(gated, run="a")
    submit(writer, 1)
    with writer._changed:
        assert writer._changed.wait_for(lambda: writer._error is not None, 10)
    calls: dict[str, Callable[[], None]] = {
        "submit": lambda: submit(writer, 2),
        "flush": lambda: writer.flush(10),
        "close": lambda: writer.close(10),
    }
    with pytest.raises(CheckpointError, match="No space left"):
        calls[call]()
    if call != "close":
        submit(writer, 3)
    writer.close(10)
    assert steps(gated) == ([3] if call != "close" else [])


def test_what_the_callback_raises_is_heard(store: CheckpointStore) -> None:
    def written(entry: Entry, meta: Any) -> None:
        raise ConnectionError("the coordinator is gone")

    writer = BackgroundWriter(store, run="a", written=written)
    submit(writer, 1)
    with pytest.raises(ConnectionError, match="the coordinator is gone"):
        writer.flush(10)
    writer.close(10)
    assert steps(store) == [1]


def test_the_first_of_two_errors_is_raised_and_the_second_logged(
    gated: GatedStore, caplog: pytest.LogCaptureFixture
) -> None:
    gated.fail |= {1: CheckpointError("first"), 2: CheckpointError("second")}
    writer = BackgroundWriter(gated, run="a")
    submit(writer, 1)
    assert gated.entered.acquire(timeout=10)
    submit(writer, 2)
    gated.gate.release(2)
    with pytest.raises(CheckpointError, match="first"):
        writer.close(10)
    assert [one.getMessage() for one in caplog.records] == [
        "the checkpoint of step 2 could not be written either: second"
    ]


def test_a_storage_that_hangs_is_named_with_the_step_and_the_time(gated: GatedStore) -> None:
    writer = BackgroundWriter(gated, run="a")
    submit(writer, 7)
    for call in (writer.flush, writer.close):
        with pytest.raises(CheckpointError, match=r"step 7 was not written to .* within 0.1 s"):
            call(0.1)
    gated.gate.release()


def test_who_waits_for_long_says_for_what(gated: GatedStore, monkeypatch: pytest.MonkeyPatch) -> None:
    said = threading.Event()
    monkeypatch.setattr("tfspark_cnn.checkpoints.writer._SAY_EVERY_S", 0.05)
    lines: list[str] = []

    def warning(text: str, *values: Any) -> None:
        lines.append(text % values)
        said.set()

    monkeypatch.setattr("tfspark_cnn.checkpoints.writer.log.warning", warning)
    writer = BackgroundWriter(gated, run="a")
    submit(writer, 7)
    closing, raised = in_thread(writer.close)
    assert said.wait(10)
    gated.gate.release()
    closing.join(10)
    assert (closing.is_alive(), raised) == (False, [])
    assert "s for the checkpoint of step 7 to be written to" in lines[0]


def test_a_closed_writer_takes_nothing(store: CheckpointStore) -> None:
    writer = BackgroundWriter(store, run="a")
    writer.close()
    writer.close()
    with pytest.raises(CheckpointError, match="received one that was closed"):
        submit(writer, 1)


def test_a_submit_that_waits_is_refused_when_the_writer_closes(gated: GatedStore) -> None:
    writer = BackgroundWriter(gated, run="a")
    submit(writer, 1)
    assert gated.entered.acquire(timeout=10)
    submit(writer, 2)
    third, raised = in_thread(lambda: submit(writer, 3))
    assert is_blocked(third)
    with pytest.raises(CheckpointError, match="within 0.0 s"):
        writer.close(0)
    third.join(10)
    assert [str(error) for error in raised] == ["expected an open writer of checkpoints, received one that was closed"]
    gated.gate.release(2)


def test_an_error_of_the_training_is_not_replaced_by_that_of_its_checkpoint(
    gated: GatedStore, caplog: pytest.LogCaptureFixture
) -> None:
    gated.fail[1] = CheckpointError("No space left")
    gated.gate.release()
    with pytest.raises(ZeroDivisionError), BackgroundWriter(gated, run="a") as writer:
        submit(writer, 1)
        raise ZeroDivisionError
    assert "so did its last checkpoint: No space left" in caplog.text


def test_old_checkpoints_that_cannot_be_deleted_are_a_warning(objects: Any, caplog: pytest.LogCaptureFixture) -> None:
    store = CheckpointStore("bucket", filesystem=objects.filesystem)
    store.claim("a", "driver:1", alive=lambda address: False)
    objects.fail_deletes = PermissionError(errno.EACCES, "Permission denied")
    with BackgroundWriter(store, run="a", keep=1) as writer:
        submit(writer, 1, 2)
    assert steps(store) == [2, 1]
    assert "old checkpoints in bucket/checkpoints could not be deleted: could not delete" in caplog.text


def test_another_run_in_the_folder_is_heard_at_the_next_step(store: CheckpointStore, tmp_path: Path) -> None:
    writer = BackgroundWriter(store, run="a")
    CheckpointStore(tmp_path).claim("b", "driver:2", alive=lambda address: False)
    submit(writer, 1)
    with pytest.raises(CheckpointError, match="two runs share"):
        writer.close(10)
    assert steps(store) == []


def test_keeping_none_is_refused_before_a_thread_is_started(store: CheckpointStore) -> None:
    with pytest.raises(CheckpointError, match="expected to keep 1 checkpoint or more, received 0"):
        BackgroundWriter(store, run="a", keep=0)
