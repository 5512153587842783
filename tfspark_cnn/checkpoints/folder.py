"""One folder of any `pyarrow.fs` file system: small files that appear whole or not at all, and errors with a cure."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.fs as pafs

from tfspark_cnn.errors import CheckpointError

Body = bytes | bytearray | memoryview

_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://|file:")
_PART = ".part."
_NOBODY = "-"

_ATOMIC_PUT = {"s3", "s3a", "gcs", "gs", "abfs", "abfss", "az"}
"""Stores of objects, by their names in `pyarrow.fs` and fsspec."""

_CURES = (
    ({errno.ENOSPC, errno.EDQUOT, errno.EFBIG}, ("no space",), "free space there, keep fewer checkpoints, or use"),
    (
        {errno.EACCES, errno.EPERM, errno.EROFS},
        ("access_denied", "access denied", "forbidden", "permission"),
        "let the user that the executors run as write there, or use",
    ),
    (
        {errno.ENOTDIR, errno.EEXIST, errno.EISDIR, errno.ENOENT},
        ("no_such_bucket", "nosuchbucket", "not found", "does not exist"),
        "create the bucket, see that no file is in the way of a folder, or use",
    ),
)
_OTHERWISE = "see that every executor reaches it and has the credentials for it, or use"


def resolve(uri: str | os.PathLike[str]) -> tuple[Any, str]:
    """Gives the file system of a URI or a local path, and the path in it.

    Args:
        uri: as `/data/run`, `runs/a`, `file:///data/run`, `hdfs://host/run`, `s3://bucket/run` or `gs://bucket/run`.

    Raises:
        CheckpointError: no file system of pyarrow's is for it, or it cannot be reached.
    """
    name = os.fspath(uri)
    if not _URI.match(name):
        return pafs.LocalFileSystem(), os.path.abspath(os.path.expanduser(name))
    with translated(f"open {name}"):
        found, path = pafs.FileSystem.from_uri(name)
        return found, path


@contextlib.contextmanager
def translated(doing: str) -> Iterator[None]:
    """Turns what storage raises into a CheckpointError that says what failed and what to do about it."""
    try:
        yield
    except (OSError, pa.ArrowException) as error:
        raise CheckpointError(f"could not {doing}: {error}", hint=f"{_cure(error)} another model_dir") from error


def _cure(error: Exception) -> str:
    number, text = getattr(error, "errno", None), str(error).lower()
    by_number = (cure for numbers, _, cure in _CURES if number in numbers)
    by_text = (cure for _, words, cure in _CURES if any(word in text for word in words))
    return next(by_number, None) or next(by_text, _OTHERWISE)


def puts_are_atomic(filesystem: Any) -> bool:
    """Tells whether a file is there when its upload has ended, and not before; then moving it is a copy: no gain."""
    return filesystem.type_name.removeprefix("py::").removeprefix("fsspec+") in _ATOMIC_PUT


class Folder:
    """The files of one folder, which is made by the first `put`. Safe to use from several threads and processes.

    Args:
        uri: of the folder; see `resolve`.
        filesystem: where it is, if `uri` is a path in a file system that is open already.
    """

    def __init__(self, uri: str | os.PathLike[str], *, filesystem: Any = None) -> None:
        self.uri = os.fspath(uri)
        found, path = (filesystem, self.uri) if filesystem is not None else resolve(uri)
        while isinstance(found, pafs.SubTreeFileSystem):
            found, path = found.base_fs, f"{found.base_path.rstrip('/')}/{path.lstrip('/')}"
        self._fs, self._path = found, path.rstrip("/")
        self._is_local = isinstance(found, pafs.LocalFileSystem)
        self._puts_are_atomic = puts_are_atomic(found)

    def names(self) -> list[str]:
        """Gives the names of its files that are whole; none where the folder is not there yet."""
        return [name for name in self._all_names() if not name.startswith(_PART)]

    def get(self, name: str) -> bytes | None:
        """Gives the bytes of a file, or None where there is none."""
        with translated(f"read {self._at(name)}"):
            try:
                with self._fs.open_input_stream(self._at(name), compression=None) as file:
                    return bytes(file.read())
            except FileNotFoundError:
                return None

    def put(self, name: str, body: Body, *, owner: str = _NOBODY) -> None:
        """Writes a file so that it is there whole or not at all; one of that name is replaced.

        Args:
            owner: whose it is: what it leaves behind if it is killed is deleted by `sweep(owner)`.
        """
        with translated(f"write {self._at(name)} ({len(body) / 1e6:.1f} MB)"):
            if self._puts_are_atomic:
                self._upload(name, body)
            else:
                self._replace(name, body, f"{_PART}{owner}.{secrets.token_hex(4)}")

    def delete(self, name: str) -> None:
        """Deletes a file; one that is not there is no error."""
        with translated(f"delete {self._at(name)}"), contextlib.suppress(FileNotFoundError):
            self._fs.delete_file(self._at(name))

    def sweep(self, owner: str | None = None) -> None:
        """Deletes the half-written files of one owner, or of all."""
        if self._puts_are_atomic:
            return
        prefix = _PART if owner is None else f"{_PART}{owner}."
        for name in self._all_names():
            if name.startswith(prefix):
                self.delete(name)

    def check_writable(self) -> None:
        """Writes a small file and deletes it.

        Raises:
            CheckpointError: it could not, for instance because the disk is full or read-only.
        """
        name = f"{_PART}{_NOBODY}.{secrets.token_hex(4)}"
        self.put(name, b"checkpoints can be written here")
        self.delete(name)

    def _at(self, name: str) -> str:
        return f"{self._path}/{name}"

    def _all_names(self) -> list[str]:
        with translated(f"list {self.uri}"):
            found = self._fs.get_file_info(pafs.FileSelector(self._path, allow_not_found=True))
        return [one.base_name for one in found if one.type == pafs.FileType.File]

    def _upload(self, name: str, body: Body) -> None:
        try:
            self._stream(name, body)
        except BaseException:
            # Closing the stream may have ended the upload early: an object that is cut.
            with contextlib.suppress(Exception):
                self._fs.delete_file(self._at(name))
            raise

    def _replace(self, name: str, body: Body, temporary: str) -> None:
        self._fs.create_dir(self._path, recursive=True)
        try:
            if self._is_local:
                _write_to_disk(self._at(temporary), body)
                os.replace(self._at(temporary), self._at(name))
                _sync_folder(self._path)
            else:
                self._stream(temporary, body)
                self._fs.move(self._at(temporary), self._at(name))
        except BaseException:
            with contextlib.suppress(Exception):
                self._fs.delete_file(self._at(temporary))
            raise

    def _stream(self, name: str, body: Body) -> None:
        with self._fs.open_output_stream(self._at(name), compression=None) as file:
            file.write(body)


def _write_to_disk(path: str, body: Body) -> None:
    with open(path, "wb") as file:
        file.write(body)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(path: str) -> None:
    """Makes the new name last through a loss of power; some network file systems cannot, and do it anyway."""
    with contextlib.suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
