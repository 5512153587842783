"""A file in `model_dir` that the driver writes and nodes read: nothing of it is left behind."""

from __future__ import annotations

import contextlib
import posixpath
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.fs as pafs

from tfspark_cnn.checkpoints.folder import Folder, resolve
from tfspark_cnn.doctor.folders import NOT_SHARED, Problem
from tfspark_cnn.errors import CheckpointError

_OTHER = "pass another model_dir"


@contextlib.contextmanager
def marked(uri: str, token: str) -> Iterator[Problem | None]:
    """Leaves a mark in the folder, made for it if need be, while the block runs; gives what is wrong, or None."""
    made: list[tuple[Any, str]] = []
    try:
        yield _mark(uri, token, made)
    finally:
        with contextlib.suppress(CheckpointError):
            Folder(uri).delete(_mark_name(token))
        for system, path in made:
            _remove_if_empty(system, path)


def look(uri: str, token: str, number: int) -> Problem | None:
    """Looks for the driver's mark, and writes and deletes a file beside it; gives what is wrong, or None.

    Args:
        uri: of the folder.
        token: of the examination.
        number: of this node.
    """
    own = f"{_mark_name(token)}-{number}"
    try:
        folder = Folder(uri)
        if folder.get(_mark_name(token)) != token.encode():
            return NOT_SHARED
        try:
            folder.put(own, token.encode())
        finally:
            folder.delete(own)
    except CheckpointError as error:
        return error.message, error.hint or _OTHER
    return None


def _mark(uri: str, token: str, made: list[tuple[Any, str]]) -> Problem | None:
    try:
        made.extend(_missing(uri))
        Folder(uri).put(_mark_name(token), token.encode())
    except CheckpointError as error:
        return error.message, error.hint or _OTHER
    except (OSError, pa.ArrowException) as error:
        return f"could not look at {uri}: {error}", _OTHER
    return None


def _mark_name(token: str) -> str:
    return f".tfspark-doctor-{token[:12]}"


def _missing(uri: str) -> Iterator[tuple[Any, str]]:
    """Gives the folders that writing to this one will make, the innermost first."""
    system, path = resolve(uri)
    path = path.rstrip("/")
    while path and system.get_file_info(path).type == pafs.FileType.NotFound:
        yield system, path
        path = posixpath.dirname(path)


def _remove_if_empty(system: Any, path: str) -> None:
    with contextlib.suppress(OSError, pa.ArrowException):
        if not system.get_file_info(pafs.FileSelector(path)):
            system.delete_dir(path)
