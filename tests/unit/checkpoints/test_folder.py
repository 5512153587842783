"""Files that appear whole or not at all, on any file system, and errors that say what to do."""

from __future__ import annotations

import errno
import os
import resource
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.fs as pafs
import pytest

from tfspark_cnn.checkpoints.folder import Folder, resolve
from tfspark_cnn.errors import CheckpointError


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        ("/data/run 7", "/data/run 7"),
        ("file:///data/run%207", "/data/run 7"),
        ("file:/data/run", "/data/run"),
        ("runs/a", os.path.abspath("runs/a")),
        ("runs:old/a", os.path.abspath("runs:old/a")),
        ("~/runs", os.path.expanduser("~/runs")),
        (Path("/data/run"), "/data/run"),
    ],
)
def test_local_paths_and_uris_are_local(uri: Any, path: str) -> None:
    filesystem, found = resolve(uri)
    assert isinstance(filesystem, pafs.LocalFileSystem)
    assert found == path


def test_other_uris_are_those_of_pyarrow() -> None:
    filesystem, path = resolve("mock://bucket/run")
    assert (filesystem.type_name, path) == ("mock", "run")


def test_an_unknown_scheme_is_an_error_with_the_uri() -> None:
    with pytest.raises(CheckpointError, match="could not open carrier-pigeon://coop"):
        resolve("carrier-pigeon://coop")


@pytest.fixture(params=["local", "uri", "mock", "part of another", "s3", "hdfs"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Folder:
    objects = request.getfixturevalue("objects")
    objects.kind = request.param if request.param in ("s3", "hdfs") else objects.kind
    return {
        "local": lambda: Folder(tmp_path / "a" / "b"),
        "uri": lambda: Folder(f"file://{tmp_path}/a/b"),
        "mock": lambda: Folder("a/b", filesystem=resolve("mock://bucket")[0]),
        "part of another": lambda: Folder(
            "a/b", filesystem=pafs.SubTreeFileSystem(str(tmp_path), pafs.LocalFileSystem())
        ),
    }.get(request.param, lambda: Folder("bucket/b", filesystem=objects.filesystem))()


def test_what_is_put_is_listed_and_read(folder: Folder) -> None:
    assert folder.names() == []
    assert folder.get("one") is None
    folder.put("one", b"first")
    folder.put("one", memoryview(b"second"), owner="run")
    folder.put("two", b"")
    assert sorted(folder.names()) == ["one", "two"]
    assert (folder.get("one"), folder.get("two")) == (b"second", b"")
    folder.delete("one")
    folder.delete("one")
    assert folder.names() == ["two"]
    folder.check_writable()
    assert folder.names() == ["two"]


def test_local_files_are_where_the_path_says(tmp_path: Path) -> None:
    part = pafs.SubTreeFileSystem(str(tmp_path), pafs.LocalFileSystem())
    Folder("a/b", filesystem=part).put("one", b"1")
    assert (tmp_path / "a" / "b" / "one").read_bytes() == b"1"


def test_a_put_reaches_the_disk_before_its_name_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    synced, replaced = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda file: (done.append("sync"), synced(file))[1])
    monkeypatch.setattr(os, "replace", lambda *names: (done.append("name"), replaced(*names))[1])
    Folder(tmp_path).put("one", b"1")
    assert done == ["sync", "name", "sync"]


def test_half_written_files_are_not_listed_and_go_with_their_owner(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    for name in (".part.a.0001", ".part.a.0002", ".part.a-b.0001", ".part.-.0001"):
        (tmp_path / name).write_bytes(b"half")
    folder.put("whole", b"1")
    assert folder.names() == ["whole"]
    folder.sweep("a")
    assert sorted(os.listdir(tmp_path)) == [".part.-.0001", ".part.a-b.0001", "whole"]
    folder.sweep()
    assert os.listdir(tmp_path) == ["whole"]


def test_where_a_put_is_not_atomic_the_file_is_moved_to_its_name(objects: Any) -> None:
    objects.kind = "hdfs"
    Folder("b", filesystem=objects.filesystem).put("one", b"1", owner="run")
    [(source, to)] = objects.moves
    assert source.startswith("b/.part.run.")
    assert to == "b/one"


@pytest.mark.parametrize("name", ["new", "old"])
def test_what_failed_half_way_leaves_nothing_behind(remote: Any, name: str) -> None:
    folder = Folder("bucket/b", filesystem=remote.filesystem)
    folder.put("old", b"old")
    remote.fail_writes = OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(CheckpointError, match=rf"could not write bucket/b/{name} \(0.0 MB\).*No space left"):
        folder.put(name, b"much more", owner="run")
    # An object that is overwritten in place may be lost. Half of one is not acceptable.
    assert set(remote.files) <= {"bucket/b/old"}
    assert set(remote.files.values()) <= {b"old"}


@contextmanager
def files_limited_to(size_bytes: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_disk_that_takes_no_more_is_an_error_and_keeps_what_it_has(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    folder.put("one", b"before")
    with files_limited_to(10_000), pytest.raises(CheckpointError, match="File too large") as caught:
        folder.put("one", bytes(1_000_000), owner="run")
    assert caught.value.hint == "free space there, keep fewer checkpoints, or use another model_dir"
    assert folder.get("one") == b"before"
    assert os.listdir(tmp_path) == ["one"]


@pytest.mark.parametrize("place", ["below a file", "in /proc"])
def test_a_place_that_cannot_be_written_is_an_error(place: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    path = {"below a file": tmp_path / "file" / "run", "in /proc": Path("/proc/self/run")}[place]
    with pytest.raises(CheckpointError, match=f"could not write {path}.*\n.*or use another model_dir"):
        Folder(path).check_writable()


@pytest.fixture
def nobody() -> Iterator[None]:
    """Runs a test without the rights of root, who may write everywhere."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_a_read_only_folder_is_an_error(nobody: None) -> None:
    with tempfile.TemporaryDirectory() as path:  # not pytest's own, which only its user may enter
        os.chmod(path, 0o500)
        with pytest.raises(CheckpointError, match="let the user that the executors run as write there"):
            Folder(Path(path)).check_writable()


FREE, LET, CREATE, REACH = "free space there", "let the user", "create the bucket", "see that every executor"


@pytest.mark.parametrize(
    ("error", "cure"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), FREE),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), FREE),
        (OSError(errno.EROFS, "Read-only file system"), LET),
        (PermissionError(errno.EACCES, "Permission denied"), LET),
        (OSError("When uploading: AWS Error ACCESS_DENIED during PutObject operation: Access Denied."), LET),
        (OSError("When uploading: AWS Error NO_SUCH_BUCKET during PutObject operation: gone"), CREATE),
        (NotADirectoryError(errno.ENOTDIR, "Not a directory"), CREATE),
        (OSError("When uploading: AWS Error NETWORK_CONNECTION during PutObject operation"), REACH),
        (pa.ArrowInvalid("what storage makes of it"), REACH),
    ],
    ids=lambda value: str(value)[-40:],
)
def test_each_failure_of_storage_has_its_cure(objects: Any, error: Exception, cure: str) -> None:
    objects.fail_writes = error
    with pytest.raises(CheckpointError) as caught:
        Folder("bucket", filesystem=objects.filesystem).check_writable()
    assert caught.value.hint is not None
    assert caught.value.hint.startswith(cure)
    assert "another model_dir" in caught.value.hint


def test_reading_listing_and_deleting_fail_by_name(objects: Any) -> None:
    folder = Folder("bucket", filesystem=objects.filesystem)
    objects.fail_reads = objects.fail_deletes = OSError(errno.EIO, "Input/output error")
    with pytest.raises(CheckpointError, match="could not read bucket/one: .*Input/output error"):
        folder.get("one")
    with pytest.raises(CheckpointError, match="could not list bucket: .*Input/output error"):
        folder.names()
    with pytest.raises(CheckpointError, match="could not delete bucket/one: .*Input/output error"):
        folder.delete("one")
