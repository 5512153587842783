"""Files of data on any file system of `pyarrow.fs`: what there is, and their bytes, gzip or not, in a Spark task.

A path is local, and then the same on all executors, or a URI as `file:///data`, `hdfs://host/data`, `s3://bucket/data`
or `gs://bucket/data`.

Example:
    >>> [one.size_bytes for one in files_at("/data/mnist", suffixes=(".gz",))]
    [1648877, 4542, 9912422, 28881]
"""

from __future__ import annotations

import contextlib
import gzip
import io
import os
import re
import urllib.parse
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import pyarrow as pa
import pyarrow.fs as pafs

from tfspark_cnn.errors import ConfigError, CorruptFileError, SourceError

_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://|file:")
_HIDDEN = ("_", ".")  # what Spark writes beside data, as _SUCCESS and .crc
_GZIP = b"\x1f\x8b"
_HEAD_BYTES = 12  # of a file, by which its format is known
_REACH = "see that the driver and every executor reach it, with the credentials for it"
COPY_AGAIN = "copy or download the file again"


class Readable(Protocol):
    """What bytes come from."""

    def read(self, size: int = -1, /) -> bytes:
        """Gives the next bytes: fewer than asked for at the end alone."""


class DataFile(NamedTuple):
    """A file, and how large it is."""

    uri: str
    size_bytes: int

    @property
    def name(self) -> str:
        """Its last part, as its file system has it."""
        last = self.uri.rstrip("/").rpartition("/")[2]
        return urllib.parse.unquote(last) if _URI.match(self.uri) else last


def located(uri: str | os.PathLike[str]) -> tuple[Any, str]:
    """Gives the file system of a path or URI, and the path in it.

    Raises:
        SourceError: no file system of pyarrow's is for it, or it cannot be reached.
    """
    name = os.fspath(uri)
    if not _URI.match(name):
        return pafs.LocalFileSystem(), os.path.abspath(os.path.expanduser(name))
    with translated(name):
        found, path = pafs.FileSystem.from_uri(re.sub("^s3[an]:", "s3:", name))  # as Hadoop calls it
        return found, path


def local_path(uri: str | os.PathLike[str]) -> str | None:
    """Gives the path of what lies on a local file system, by a path or a `file:` URI; None for other URIs.

    Example:
        >>> local_path("file:///data/logs"), local_path("hdfs://nn/logs")
        ('/data/logs', None)
    """
    name = os.fspath(uri)
    if _URI.match(name) and not name.startswith("file:"):
        return None
    return str(located(name)[1])


@contextlib.contextmanager
def translated(uri: str, *, doing: str = "read", hint: str = _REACH) -> Iterator[None]:
    """Turns what storage and decompression raise into errors that name the file.

    Raises:
        CorruptFileError: it is compressed, and cut or changed.
        SourceError: it cannot be read or written.
    """
    try:
        yield
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise CorruptFileError(f"{uri}: expected a whole gzip file, received: {error}", hint=COPY_AGAIN) from error
    except (OSError, pa.ArrowException) as error:
        raise SourceError(f"could not {doing} {uri}: {error}", hint=hint) from error


def kind_at(uri: str | os.PathLike[str]) -> pafs.FileType:
    """Tells whether a file, a folder or nothing is there.

    Raises:
        SourceError: that cannot be told.
    """
    system, path = located(uri)
    with translated(os.fspath(uri)):
        return system.get_file_info(path).type


def files_at(uri: str | os.PathLike[str], *, suffixes: Sequence[str] = ("",)) -> tuple[DataFile, ...]:
    """Gives a file, or those that lie directly in a folder and end on one of the suffixes, by name; no hidden ones.

    Raises:
        SourceError: there is no such file or folder.
    """
    name = os.fspath(uri)
    system, path = located(name)
    with translated(name):
        found = system.get_file_info(path)
        if found.type == pafs.FileType.File:
            return (DataFile(name, found.size),)
        if found.type == pafs.FileType.NotFound:
            raise SourceError(f"expected a file or folder at {name}, received nothing", hint=_REACH)
        inside = system.get_file_info(pafs.FileSelector(path))
    quoted = urllib.parse.quote if _URI.match(name) else str  # in a URI a space or a % is written otherwise
    files = (DataFile(f"{name.rstrip('/')}/{quoted(one.base_name)}", one.size) for one in inside if one.is_file)
    wanted = (one for one in files if one.name.endswith(tuple(suffixes)) and not one.name.startswith(_HIDDEN))
    return tuple(sorted(wanted))


class OpenFile:
    """A file that is open to read, decompressed. What goes wrong is an error that names it, whatever else is open.

    Attributes:
        uri: of the file.
        compressed: whether it is a gzip file.
    """

    def __init__(self, uri: str, stream: io.BufferedIOBase) -> None:
        self.uri = uri
        self.compressed = isinstance(stream, gzip.GzipFile)
        self._stream = stream

    def read(self, size: int = -1, /) -> bytes:
        """Gives the next bytes: fewer than asked for at the end alone, where the checksum of a gzip file is looked at.

        Raises:
            CorruptFileError: it is compressed, and cut or changed.
            SourceError: it cannot be read.
        """
        with translated(self.uri):
            return self._stream.read(size)

    def seek(self, offset: int) -> None:
        """Goes to an offset, decompressed; errors as of `read`."""
        with translated(self.uri):
            self._stream.seek(offset)


def is_gzip(head: bytes) -> bool:
    """Tells whether a file that begins so is a gzip file."""
    return head.startswith(_GZIP)


@contextlib.contextmanager
def opened(uri: str, *, zipped: Callable[[bytes], bool] = is_gzip) -> Iterator[OpenFile]:
    """Opens a file to read.

    Args:
        uri: of the file.
        zipped: tells by its first bytes whether it is to be decompressed; its name does not matter.

    Raises:
        SourceError: it cannot be read.
    """
    system, path = located(uri)
    with contextlib.ExitStack() as stack:
        with translated(uri):
            file = stack.enter_context(io.BufferedReader(system.open_input_file(path), buffer_size=1 << 20))
            head = file.peek(_HEAD_BYTES)[:_HEAD_BYTES]
        yield OpenFile(uri, gzip.GzipFile(fileobj=file) if zipped(head) else file)


def make_folder(path: str | os.PathLike[str], *, setting: str) -> None:
    """Makes a local folder to write to, with those above it. Harmless if it is there.

    Args:
        path: of the folder.
        setting: that named it, for errors.

    Raises:
        ConfigError: it cannot be made, or written to.
    """
    why = ""
    try:
        os.makedirs(path, exist_ok=True)
        if not os.access(path, os.W_OK | os.X_OK):
            why = "no permission"
    except OSError as error:
        why = error.strerror or str(error)
    if why:
        file = next(filter(os.path.isfile, [Path(path), *Path(path).parents]), None)
        raise ConfigError(
            f"{setting}: expected a folder to write to, received {os.fspath(path)}: {why}",
            hint=f"{file} is a file: move it away, or set {setting} to another folder"
            if file
            else f"set {setting} to a folder that you may write to",
        )
