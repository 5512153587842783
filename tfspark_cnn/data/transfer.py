"""One file from one URL: its bytes go to a `.part` file, which a later try goes on with. HTTP, HTTPS and `file:`.

A server that breaks off is asked for the rest (`Range`), a few times as long as something comes; one that does not know
`Range` sends the file anew.

Example:
    >>> with Part(Path("/data/x.gz")) as part:
    ...     transfer("https://host/x.gz", part, size_bytes=28881, timeout_s=30, received=print)
    ...     part.sha256()
"""

from __future__ import annotations

import fcntl
import hashlib
import http.client
import logging
import os
import socket
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Self

from tfspark_cnn.errors import SourceError

log = logging.getLogger(__name__)

TRIES = 4  # of one URL, the first and three for the rest
_BLOCK_BYTES = 1 << 18
_HEADERS = {"User-Agent": "tfspark_cnn"}  # some servers refuse that of urllib


class Broken(Exception):  # noqa: N818  it is what happened, and not yet an error: there may be another place
    """A URL did not give the file; the text says why, the bytes that came are in the `.part` file."""


class OtherFile(Broken):
    """A URL gives a file, and it is another."""


class Part:
    """The `.part` file beside a file: what has come of it so far. Used by one process at a time.

    Args:
        target: the file that it will be.

    Raises:
        SourceError: it cannot be written, or another process is writing it.
    """

    def __init__(self, target: Path) -> None:
        self.target = target
        self.path = target.with_name(f"{target.name}.part")
        self._file: IO[bytes] | None = None

    def __enter__(self) -> Self:
        with _writing(self.path):
            self._file = self.path.open("ab")
        try:
            fcntl.flock(self._open, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self._open.close()
            raise SourceError(
                f"{self.path} is being written by another process", hint="wait for it, or choose another folder"
            ) from error
        except OSError:  # a file system without locks: whoever starts two downloads at once gets a wrong sum
            log.debug("%s cannot be locked", self.path)
        return self

    def __exit__(self, *_: object) -> None:
        with _writing(self.path):
            self._open.close()

    @property
    def size_bytes(self) -> int:
        """What is there."""
        return self._open.tell()

    def write(self, data: bytes) -> None:
        """Adds bytes."""
        with _writing(self.path):
            self._open.write(data)

    def empty(self) -> None:
        """Takes away what is there."""
        with _writing(self.path):
            if self.size_bytes:
                self._open.truncate(0)
                self._open.seek(0)

    def sha256(self) -> str:
        """Gives the sum of what is there."""
        with _writing(self.path):
            self._open.flush()
        return sha256(self.path)

    def remove(self) -> None:
        """Takes the file away."""
        self.path.unlink(missing_ok=True)

    def finish(self) -> None:
        """Gives the file its name, at once and whole, in the place of any other."""
        with _writing(self.target):
            self._open.flush()
            os.fsync(self._open.fileno())
            self.path.replace(self.target)

    @property
    def _open(self) -> IO[bytes]:
        assert self._file is not None, "used in a with statement"
        return self._file


def sha256(path: Path) -> str:
    """Gives the sum of a file, in hexadecimal digits.

    Raises:
        SourceError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise SourceError(f"could not read {path}: {error.strerror}", hint="see who may read it") from error


def transfer(url: str, part: Part, *, size_bytes: int, timeout_s: float, received: Callable[[int], None]) -> None:
    """Brings the `.part` file to its size.

    Args:
        url: of the file.
        part: what is there already.
        size_bytes: that the file has.
        timeout_s: without an answer, or without a byte.
        received: told how many bytes there are.

    Raises:
        Broken: the URL does not give the file; `OtherFile`: it gives one of another size.
        SourceError: the bytes cannot be written.
    """
    for _ in range(TRIES):
        before = part.size_bytes
        try:
            with _reasons(part, timeout_s):
                _pour(url, part, size_bytes=size_bytes, timeout_s=timeout_s, received=received)
            return
        except Broken:
            if part.size_bytes == before:  # nothing came: it will not go better at once
                raise
    raise Broken(f"it broke off {TRIES} times, at last after {part.size_bytes:,} of {size_bytes:,} bytes")


def _pour(url: str, part: Part, *, size_bytes: int, timeout_s: float, received: Callable[[int], None]) -> None:
    if part.size_bytes > size_bytes:
        part.empty()
    rest = {"Range": f"bytes={part.size_bytes}-"} if part.size_bytes else {}
    with urllib.request.urlopen(urllib.request.Request(url, headers=_HEADERS | rest), timeout=timeout_s) as answer:
        start = part.size_bytes if rest and _goes_on(answer, part.size_bytes) else 0
        _check_length(answer.headers.get("Content-Length"), start, size_bytes)
        if start == 0:
            part.empty()
        received(part.size_bytes)
        while data := answer.read(_BLOCK_BYTES):
            part.write(data)
            received(part.size_bytes)
            if part.size_bytes > size_bytes:
                return  # another file: its sum will tell
    if part.size_bytes < size_bytes:
        raise Broken(f"it broke off after {part.size_bytes:,} of {size_bytes:,} bytes")


def _goes_on(answer: Any, start: int) -> bool:
    """Tells whether an answer begins where the file ends: 206, and from that byte on."""
    return answer.status == http.HTTPStatus.PARTIAL_CONTENT and str(answer.headers.get("Content-Range")).startswith(
        f"bytes {start}-"
    )


def _check_length(announced: str | None, start: int, size_bytes: int) -> None:
    """Refuses another file before its bytes are taken, as the page of a network that wants a login."""
    if announced is not None and announced.isdigit() and start + int(announced) != size_bytes:
        raise OtherFile(f"expected a file of {size_bytes:,} bytes, received one of {start + int(announced):,}")


@contextmanager
def _reasons(part: Part, timeout_s: float) -> Iterator[None]:
    """Says in a few words why a URL does not give its file."""
    try:
        yield
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            part.empty()  # it has a shorter file than the one that was begun
        raise Broken(f"it answered HTTP {error.code} {error.reason}".rstrip()) from error
    except urllib.error.URLError as error:
        raise Broken(_reason(error.reason, timeout_s)) from error
    except (http.client.HTTPException, OSError, ValueError) as error:
        raise Broken(_reason(error, timeout_s)) from error


def _reason(error: object, timeout_s: float) -> str:
    match error:
        case TimeoutError():
            return f"no answer within {timeout_s:g} s"
        case socket.gaierror():
            return "its name was not found; is there a network?"
        case ssl.SSLError():
            return f"its certificate or encryption was refused: {error.reason or error}"
        case OSError() if error.strerror:
            return error.strerror
    return str(error) or type(error).__name__


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    """Names the file that cannot be written: such an error is none of the server's."""
    try:
        yield
    except OSError as error:
        raise SourceError(
            f"could not write {path}: {error.strerror or error}",
            hint="make room there, or choose another folder that you may write to; what has come is kept",
        ) from error
