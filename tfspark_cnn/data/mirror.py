"""A folder of event files kept alike on two file systems: what was added is copied again and again, within bounds.

TensorBoard reads local files, and TensorFlow writes to few file systems; what `pyarrow.fs` reaches goes through this.
"""

from __future__ import annotations

import logging
import os
import tempfile
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, NamedTuple

import pyarrow.fs as pafs

from tfspark_cnn.data.storage import located, translated
from tfspark_cnn.errors import SourceError

log = logging.getLogger(__name__)

LIMIT_BYTES = 2 << 30
"""Of a copy: months of scalars, but not every trace of a profiler that ever was."""

EVERY_S = 10.0
"""Storage tells nobody that a file has grown. TensorBoard itself looks every 5 s."""

_CHUNK_BYTES = 4 << 20
_APPENDED = ".tfevents."  # in the names of files that only ever grow at their end


class Seen(NamedTuple):
    """A file as a listing has it: its path in the folder, its size, and when it was changed."""

    path: str
    size_bytes: int
    changed_ns: int


@dataclass(frozen=True)
class Plan:
    """What is to be copied, and what has no room."""

    copied: tuple[Seen, ...]
    left_out: tuple[Seen, ...]


def planned(found: Iterable[Seen], copied: Mapping[str, Seen], *, limit_bytes: int = LIMIT_BYTES) -> Plan:
    """Says what is to be copied: the newest files that have room, as far as they are not there as they are.

    Example:
        >>> old, new = Seen("a", 6, 1), Seen("b", 6, 2)
        >>> [one.path for one in planned([old, new], {}, limit_bytes=10).left_out]
        ['a']
    """
    wanted, left_out, room = [], [], limit_bytes
    for one in sorted(found, key=lambda seen: (-seen.changed_ns, seen.path)):
        if one.size_bytes > room:
            left_out.append(one)
            continue
        room -= one.size_bytes
        if copied.get(one.path) != one:
            wanted.append(one)
    return Plan(tuple(wanted), tuple(left_out))


@dataclass
class Mirror:
    """Copies a folder, and later what has changed in it.

    Args:
        source: a path or URI; what is not there has no files.
        target: likewise; it is made.
        limit_bytes: of all files together; the newest are kept.
    """

    source: str
    target: str
    limit_bytes: int = LIMIT_BYTES
    _copied: dict[str, Seen] = field(default_factory=dict)
    _told: int = 0

    def refresh(self) -> int:
        """Copies what has changed, and gives how many files that were.

        Raises:
            SourceError: one of the two cannot be reached.
        """
        plan = planned(self._found(), self._copied, limit_bytes=self.limit_bytes)
        for one in plan.copied:
            self._copy(one)
            self._copied[one.path] = one
        if len(plan.left_out) > self._told:
            self._told = len(plan.left_out)
            limit_mib = self.limit_bytes >> 20
            log.warning("%d older files of %s are left out: over %d MiB", self._told, self.source, limit_mib)
        return len(plan.copied)

    def _found(self) -> list[Seen]:
        system, path = located(self.source)
        with translated(self.source):
            listed = system.get_file_info(pafs.FileSelector(path, recursive=True, allow_not_found=True))
        return [
            Seen(os.path.relpath(one.path, path), one.size or 0, one.mtime_ns or 0) for one in listed if one.is_file
        ]

    def _copy(self, one: Seen) -> None:
        (source, begin), (target, end) = located(self.source), located(self.target)
        start = self._kept_bytes(one, target)
        with translated(self.target, doing="write"):
            target.create_dir(f"{end}/{os.path.dirname(one.path)}".rstrip("/"))
            with translated(f"{self.source}/{one.path}"), source.open_input_file(f"{begin}/{one.path}") as read:
                read.seek(start)
                opened = target.open_append_stream if start else target.open_output_stream
                with opened(f"{end}/{one.path}") as write:
                    _pour(read, write, one.size_bytes - start)

    def _kept_bytes(self, one: Seen, target: Any) -> int:
        """Gives how much of a file is there, and stays: nothing where its end cannot be added to."""
        before = self._copied.get(one.path)
        grows = before is not None and _APPENDED in one.path and one.size_bytes >= before.size_bytes
        return before.size_bytes if before and grows and isinstance(target, pafs.LocalFileSystem) else 0


def _make(uri: str) -> None:
    system, path = located(uri)
    with translated(uri, doing="write"):
        system.create_dir(path)


def _pour(read: Any, write: Any, nbytes: int) -> None:
    while nbytes > 0 and (chunk := read.read(min(nbytes, _CHUNK_BYTES))):
        write.write(chunk)
        nbytes -= len(chunk)


class Mirroring:
    """A mirror that is refreshed in the background, in a temporary folder; a context manager.

    Attributes:
        folder: the local one.

    Args:
        uri: of the folder elsewhere.
        outward: whether the local folder is the one that is written, and the other one follows.
        every_s: seconds between looks.
        within: the local folder in which its own is made; None: that of temporary files.

    Raises:
        SourceError: it cannot be reached.
    """

    def __init__(self, uri: str, *, outward: bool = False, every_s: float = EVERY_S, within: str | None = None) -> None:
        self._holder = tempfile.TemporaryDirectory(prefix="tfspark-mirror-", dir=within, ignore_cleanup_errors=True)
        self.folder = self._holder.name
        self._mirror = Mirror(self.folder, uri) if outward else Mirror(uri, self.folder)
        self._outward, self._every_s, self._uri = outward, every_s, uri
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="tfspark-mirror", daemon=True)
        try:
            if outward:
                _make(uri)
            self._mirror.refresh()
        except BaseException:
            self._holder.cleanup()
            raise
        self._thread.start()

    def close(self) -> None:
        """Ends it, outward with a last look, and removes the local folder."""
        self._over.set()
        self._thread.join()
        self._holder.cleanup()

    def __enter__(self) -> Mirroring:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _follow(self) -> None:
        told = ""
        while not self._over.wait(self._every_s):
            told = self._look(told)
        if self._outward:
            self._look(told)

    def _look(self, told: str) -> str:
        """Refreshes it, and gives what went wrong; it is said once, and tried again."""
        try:
            self._mirror.refresh()
        except SourceError as error:
            if error.message != told:
                log.warning("event files could not be copied, it is tried again: %s", error.message)
            return error.message
        return ""
