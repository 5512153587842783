"""A file system in memory, as `pyarrow.fs` sees one, which fails when it is told to."""

from __future__ import annotations

import io
import posixpath
from typing import Any

import pyarrow as pa
import pyarrow.fs as pafs
import pytest


class Upload(io.RawIOBase):
    """What is written appears when it is closed, whole or not: as an upload to an object store does."""

    def __init__(self, store: Remote, path: str) -> None:
        super().__init__()
        self._store, self._path, self._body = store, path, b""

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        if self._store.fail_writes is not None:
            self._body += bytes(data)[: len(data) // 2]
            raise self._store.fail_writes
        self._body += bytes(data)
        return len(data)

    def close(self) -> None:
        if not self.closed:
            self._store.files[self._path] = self._body
        super().close()


class Remote(pafs.FileSystemHandler):
    """Files by path. `fail_writes` and `fail_reads` are raised if they are set; `kind` is what it calls itself."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.files: dict[str, bytes] = {}
        self.moves: list[tuple[str, str]] = []
        self.fail_writes: Exception | None = None
        self.fail_reads: Exception | None = None
        self.fail_deletes: Exception | None = None

    @property
    def filesystem(self) -> pafs.PyFileSystem:
        return pafs.PyFileSystem(self)

    def get_type_name(self) -> str:
        return self.kind

    def normalize_path(self, path: str) -> str:
        return path

    def get_file_info_selector(self, selector: Any) -> list[pafs.FileInfo]:
        if self.fail_reads is not None:
            raise self.fail_reads
        own = [path for path in self.files if posixpath.dirname(path) == selector.base_dir]
        return [pafs.FileInfo(path, pafs.FileType.File, size=len(self.files[path])) for path in own]

    def create_dir(self, path: str, recursive: bool) -> None:
        assert self.kind != "s3", "object stores have no folders"

    def delete_file(self, path: str) -> None:
        if self.fail_deletes is not None:
            raise self.fail_deletes
        if path not in self.files:
            raise FileNotFoundError(path)
        del self.files[path]

    def move(self, source: str, to: str) -> None:
        assert self.kind != "s3", "a move is a copy there"
        self.moves.append((source, to))
        self.files[to] = self.files.pop(source)

    def open_input_stream(self, path: str) -> pa.PythonFile:
        if self.fail_reads is not None:
            raise self.fail_reads
        if path not in self.files:
            raise FileNotFoundError(path)
        return pa.PythonFile(io.BytesIO(self.files[path]), mode="r")

    def open_output_stream(self, path: str, metadata: Any) -> pa.PythonFile:
        return pa.PythonFile(Upload(self, path), mode="w")

    get_file_info = copy_file = delete_dir = delete_dir_contents = delete_root_dir_contents = None
    open_append_stream = open_input_file = None


@pytest.fixture(params=["s3", "fsspec+gcs", "hdfs", "fsspec+memory"])
def remote(request: pytest.FixtureRequest) -> Remote:
    """Two in which a put is atomic and two in which a move is."""
    return Remote(request.param)


@pytest.fixture
def objects() -> Remote:
    return Remote("s3")
