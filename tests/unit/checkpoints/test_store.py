"""The checkpoints of a model_dir: written whole, listed in order, one run at a time."""

from __future__ import annotations

import errno
import logging
import os
import socket
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tfspark_cnn.checkpoints.archive import Archive, encode
from tfspark_cnn.checkpoints.retention import Best, Entry
from tfspark_cnn.checkpoints.store import CheckpointStore
from tfspark_cnn.errors import CheckpointError

GONE = "127.0.0.1:1"


def nobody(address: str) -> bool:
    return False


def body(step: int) -> memoryview:
    return encode({"weights": np.full(4, step, np.float32)}, {"step": step})


def claimed(uri: Any, run: str = "a", **options: Any) -> CheckpointStore:
    store = CheckpointStore(uri, **options)
    store.claim(run, GONE, alive=nobody)
    return store


def steps(store: CheckpointStore, lineage: str | None = None) -> list[str]:
    return [f"{one.step}{one.lineage}" for one in store.entries(lineage)]


def names(path: Path) -> list[str]:
    return sorted(os.listdir(path / "checkpoints"))


def test_a_new_store_has_nothing(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path)
    assert (store.entries(), store.newest(), store.best()) == ([], None, None)
    assert os.listdir(tmp_path) == []


def test_checkpoints_are_listed_newest_first_and_read_as_written(tmp_path: Path) -> None:
    store = claimed(f"file://{tmp_path}")
    written = [store.write(step, body(step), run="a") for step in (9, 100, 1_234_567_890)]
    (tmp_path / "checkpoints" / "checkpoint-12-a.npz.txt").touch()
    assert store.entries() == written[::-1]
    assert written[0] == Entry(9, "a", "checkpoint-000000009-a.npz")
    assert store.read(written[1]) == bytes(body(100))
    assert store.newest() is not None
    store.delete(written[0])
    assert steps(store) == ["1234567890a", "100a"]


def test_it_is_the_same_on_every_kind_of_file_system(remote: Any) -> None:
    store = claimed("bucket/digits/", filesystem=remote.filesystem)
    store.check_writable()
    for step in (1, 2):
        store.write(step, body(step), run="a")
    store.mark_best(store.entries()[1], "loss", 0.5)
    assert sorted(remote.files) == [
        *(f"bucket/digits/checkpoints/{name}" for name in ("best.json", "checkpoint-000000001-a.npz")),
        *(f"bucket/digits/checkpoints/{name}" for name in ("checkpoint-000000002-a.npz", "run.json")),
    ]
    found = store.newest()
    assert found is not None
    assert (found[0].step, found[1].meta) == (2, {"step": 2})


def test_reading_a_checkpoint_that_is_gone_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="checkpoint-000000001-a.npz is gone from"):
        claimed(tmp_path).read(Entry(1, "a", "checkpoint-000000001-a.npz"))


def test_damaged_checkpoints_are_skipped_with_one_warning_each(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = claimed(tmp_path)
    entries = [store.write(step, body(step), run="a") for step in (1, 2, 3)]
    (tmp_path / "checkpoints" / entries[2].name).write_bytes(body(3)[:100])
    (tmp_path / "checkpoints" / entries[1].name).write_bytes(b"")
    found = store.newest()
    assert found is not None
    assert found[0] == entries[0]
    np.testing.assert_array_equal(found[1].arrays["weights"], np.ones(4))
    first, second = (record.getMessage() for record in caplog.records)
    assert first.startswith(
        "checkpoint checkpoint-000000003-a.npz is skipped for the one before: expected a checkpoint"
    )
    assert "checkpoint-000000002-a.npz" in second
    assert "received 0 bytes that are damaged" in second
    assert store.damaged == set(entries[1:])
    store.write(3, body(3), run="a")
    assert store.damaged == {entries[1]}


def test_where_all_are_damaged_there_is_none(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store = claimed(tmp_path)
    store.write(1, b"damaged", run="a")
    assert store.newest() is None
    assert len(caplog.records) == 1


def test_a_storage_that_is_away_is_no_reason_to_begin_anew(objects: Any) -> None:
    store = claimed("bucket", filesystem=objects.filesystem)
    store.write(1, body(1), run="a")
    listed = store.entries()
    objects.fail_reads = OSError(errno.EIO, "Input/output error")
    store.entries = lambda lineage=None: listed  # type: ignore[method-assign]
    with pytest.raises(CheckpointError, match="could not read bucket/checkpoints/checkpoint-000000001-a.npz"):
        store.newest()
    assert store.damaged == set()


def test_a_checkpoint_of_another_format_is_not_skipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = claimed(tmp_path)
    monkeypatch.setattr("tfspark_cnn.checkpoints.archive.FORMAT", 2)
    newer = body(1)
    monkeypatch.undo()
    store.write(1, newer, run="a")
    with pytest.raises(CheckpointError, match="of format 1, received format 2"):
        store.newest()


def test_a_checkpoint_that_the_caller_refuses_is_skipped(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store = claimed(tmp_path)
    for step in (1, 2):
        store.write(step, body(step), run="a")

    def refuse(archive: Archive) -> str | None:
        return "it is even" if archive.meta["step"] % 2 == 0 else None

    found = store.newest(refuse=refuse)
    assert found is not None
    assert found[0].step == 1
    assert [record.getMessage() for record in caplog.records] == [
        "checkpoint checkpoint-000000002-a.npz is skipped for the one before: it is even"
    ]


def test_a_run_that_died_is_continued(tmp_path: Path) -> None:
    claimed(tmp_path, "a").write(1, body(1), run="a")
    second = CheckpointStore(tmp_path)
    claim = second.claim("b", GONE, alive=nobody)
    assert (claim.resume, claim.lineage) == (True, "a")
    second.write(2, body(2), run="b")
    assert steps(second, claim.lineage) == ["2a", "1a"]
    assert CheckpointStore(tmp_path).claim("c", GONE, alive=nobody).lineage == "a"


def test_a_run_that_ended_is_not_continued_and_its_checkpoints_stay(tmp_path: Path) -> None:
    first = claimed(tmp_path, "a")
    first.write(1, body(1), run="a")
    first.end("a")
    second = CheckpointStore(tmp_path)
    claim = second.claim("b", GONE, alive=nobody)
    assert (claim.resume, claim.lineage) == (False, "b")
    second.write(1, body(1), run="b")
    assert steps(second) == ["1b", "1a"]
    assert second.newest(lineage="c") is None


def test_the_next_attempt_of_a_run_continues_without_asking(tmp_path: Path) -> None:
    store = claimed(tmp_path, "a")
    asked: list[str] = []
    assert store.claim("a", "driver:2", alive=lambda address: asked.append(address) is None).resume
    assert asked == []


def test_a_run_that_is_alive_keeps_others_out(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        CheckpointStore(tmp_path).claim("a", address)
        other = CheckpointStore(tmp_path)
        with pytest.raises(CheckpointError, match=rf"is alive \(run a, coordinator at {address}\)") as caught:
            other.claim("b", GONE)
        assert str(tmp_path) in caught.value.message
        assert (caught.value.hint or "").startswith("use another model_dir")
    assert other.claim("b", GONE).resume, "now it is dead"


def test_a_run_whose_folder_was_taken_writes_nothing_more(tmp_path: Path) -> None:
    first, second = claimed(tmp_path, "a"), claimed(tmp_path, "b")
    for late in (lambda: first.write(1, body(1), run="a"), lambda: first.end("a")):
        with pytest.raises(CheckpointError, match=r"two runs share .* run b \(coordinator at 127.0.0.1:1\) took it"):
            late()
    second.write(1, body(1), run="b")
    assert names(tmp_path) == ["checkpoint-000000001-a.npz", "run.json"]


def test_a_folder_deleted_during_a_run_is_an_error(tmp_path: Path) -> None:
    store = claimed(tmp_path)
    (tmp_path / "checkpoints" / "run.json").unlink()
    with pytest.raises(CheckpointError, match="run a lost its checkpoint directory .*: run.json is gone"):
        store.write(1, body(1), run="a")


def test_half_written_files_go_with_the_next_write_or_claim(tmp_path: Path) -> None:
    store = claimed(tmp_path)
    for name in (".part.a.0001", ".part.b.0001"):
        (tmp_path / "checkpoints" / name).write_bytes(b"half")
    assert store.entries() == []
    store.write(1, body(1), run="a")
    assert names(tmp_path) == [".part.b.0001", "checkpoint-000000001-a.npz", "run.json"]
    claimed(tmp_path, "c")
    assert names(tmp_path) == ["checkpoint-000000001-a.npz", "run.json"]


def test_a_name_that_fits_no_file_takes_nothing(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="expected the name of a run"):
        CheckpointStore(tmp_path).claim("a/b", GONE)
    assert os.listdir(tmp_path) == []


def test_the_best_is_the_one_marked_last_while_it_is_there(tmp_path: Path) -> None:
    store = claimed(tmp_path)
    one, two = (store.write(step, body(step), run="a") for step in (1, 2))
    assert store.mark_best(one, "val_loss", np.float32(0.5))
    assert store.best_record() == Best(one, "val_loss", 0.5)
    store.mark_best(two, "val_loss", 0.25)
    assert CheckpointStore(tmp_path).best() == two
    store.delete(two)
    assert store.best() is None


def test_a_checkpoint_that_is_gone_does_not_take_the_place_of_the_best(tmp_path: Path) -> None:
    store = claimed(tmp_path)
    one, two = (store.write(step, body(step), run="a") for step in (1, 2))
    store.mark_best(one, "val_loss", 0.5)
    store.delete(two)
    assert not store.mark_best(two, "val_loss", 0.25)
    assert store.best() == one


def test_a_place_that_cannot_be_written_is_said_early(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CheckpointError, match="could not write .*/file/run/checkpoints"):
        CheckpointStore(tmp_path / "file" / "run").check_writable()


def test_a_full_disk_is_said_with_the_cure(remote: Any, caplog: pytest.LogCaptureFixture) -> None:
    store = claimed("bucket", filesystem=remote.filesystem)
    store.write(1, body(1), run="a")
    remote.fail_writes = OSError(errno.ENOSPC, "No space left on device")
    with caplog.at_level(logging.WARNING), pytest.raises(CheckpointError, match="No space left.*\n.*free space there"):
        store.write(2, body(2), run="a")
    remote.fail_writes = None
    assert steps(store) == ["1a"]
