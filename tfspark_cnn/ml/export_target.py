"""Where an export goes: a file or a folder of any `pyarrow.fs` file system, which appears whole or not at all.

It is written under another name beside its own, and then renamed. Where renaming is a copy, in object stores, a file is
there when its upload has ended, and of a folder the file that makes it a SavedModel comes last.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.fs as pafs

from tfspark_cnn.checkpoints.folder import puts_are_atomic
from tfspark_cnn.data import storage
from tfspark_cnn.errors import SourceError

MARK = "saved_model.pb"
"""The file by which TensorFlow knows a SavedModel."""

_CURE = "pass a path in a folder that this user may write to"
_NOTHING, _FOLDER = pafs.FileType.NotFound, pafs.FileType.Directory


class Target:
    """A place for an export.

    Args:
        uri: a local path or a URI.
        folder: whether a folder comes there, else a file.
        overwrite: whether an export of the same kind that is there is replaced.
        filesystem: where `uri` is a path, if it is open already.

    Raises:
        SourceError: something else is there, or it cannot be written. It is known before anything is converted.
    """

    def __init__(
        self, uri: str | os.PathLike[str], *, folder: bool, overwrite: bool = False, filesystem: Any = None
    ) -> None:
        self.uri = os.fspath(uri)
        found = storage.located(uri) if filesystem is None else (filesystem, self.uri)
        self._system, self._path = found[0], found[1].rstrip("/")
        self._folder = folder
        self._uploads = puts_are_atomic(self._system)
        parent = self._path[: self._path.rfind("/") + 1]
        self._hidden = f"{parent}.{self._path.removeprefix(parent)}.{secrets.token_hex(4)}"
        self._refuse(overwrite=overwrite)
        self._probe(parent)

    def put(self, made: Path) -> int:
        """Brings a local file, or a folder of files, there; gives its bytes.

        Raises:
            SourceError: that is not possible; then what was there before is there, but for object stores.
        """
        files = sorted((one for one in made.rglob("*") if one.is_file()), key=lambda one: one.name == MARK)
        place = self._path if self._uploads else self._hidden
        with self._writing(place):
            if self._uploads and self._folder:
                self._remove(place)
            self._copy(made, files, to=place)
            if not self._uploads:
                self._take_place()
        return sum(one.stat().st_size for one in files or [made])

    def _refuse(self, *, overwrite: bool) -> None:
        with storage.translated(self.uri):
            kind = self._kind()
            empty = kind is _FOLDER and not self._system.get_file_info(pafs.FileSelector(self._path))
            replaced = _FOLDER if self._folder else pafs.FileType.File
            ours = kind is replaced and (not self._folder or self._kind(f"{self._path}/{MARK}") is not _NOTHING)
        if kind is _NOTHING or (self._folder and empty) or (overwrite and ours):
            return
        there = "a folder" if kind is _FOLDER else "a file"
        if ours:
            cure = "pass another path, or overwrite=True (--overwrite)"
            raise SourceError(f"expected nothing at {self.uri}, received {there}", hint=cure)
        what = "SavedModel" if self._folder else "file"
        raise SourceError(
            f"expected nothing or a {what} at {self.uri}, received {there}",
            hint="pass another path: nothing but an export of the same kind is ever replaced",
        )

    def _probe(self, parent: str) -> None:
        with self._writing(self._hidden):
            if parent and not self._uploads:
                self._system.create_dir(parent, recursive=True)
            with self._system.open_output_stream(self._hidden, compression=None) as probe:
                probe.write(b"exports can be written here")
            self._system.delete_file(self._hidden)

    def _copy(self, made: Path, files: list[Path], *, to: str) -> None:
        for one in files:
            place = f"{to}/{one.relative_to(made).as_posix()}"
            if not self._uploads:
                self._system.create_dir(place.rpartition("/")[0], recursive=True)
            self._stream(one, place)
        if not files:
            self._stream(made, to)

    def _stream(self, one: Path, place: str) -> None:
        with one.open("rb") as file, self._system.open_output_stream(place, compression=None) as stream:
            shutil.copyfileobj(file, stream, 1 << 20)

    def _take_place(self) -> None:
        """Renames what was written. A folder with files in it gives its name up first: no file system swaps two."""
        if self._kind() is _NOTHING or isinstance(self._system, pafs.LocalFileSystem) and not self._folder:
            self._system.move(self._hidden, self._path)
            return
        before = f"{self._hidden}.before"
        self._system.move(self._path, before)
        try:
            self._system.move(self._hidden, self._path)
        except BaseException:
            self._system.move(before, self._path)
            raise
        self._remove(before)

    @contextlib.contextmanager
    def _writing(self, place: str) -> Iterator[None]:
        with storage.translated(self.uri, doing="write", hint=_CURE):
            try:
                yield
            except BaseException:
                with contextlib.suppress(Exception):
                    self._remove(place)
                raise

    def _kind(self, path: str | None = None) -> pafs.FileType:
        return self._system.get_file_info(path or self._path).type

    def _remove(self, path: str) -> None:
        if self._kind(path) is _FOLDER:
            self._system.delete_dir(path)
        elif self._kind(path) is pafs.FileType.File:
            self._system.delete_file(path)
