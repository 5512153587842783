"""Record batches on disk: written once, read back as memory-mapped views, gone with the process.

Batches are appended to segment files as Arrow IPC messages
(https://arrow.apache.org/docs/format/Columnar.html#encapsulated-message-format). A full segment is mapped, and its file
has no name from the beginning, so the kernel frees the space when this process ends, however it ends.
"""

from __future__ import annotations

import contextlib
import mmap
import tempfile
from dataclasses import dataclass, field
from typing import IO

import pyarrow as pa

from tfspark_cnn.errors import FeedError
from tfspark_cnn.feed.allocators import give_back

SEGMENT_BYTES = 64 << 20
"""Batches of the segment being written stay in memory, so this bounds what a spill adds to it."""


@dataclass
class Chunk:
    """One record batch of a feed, in memory or mapped from disk. `batch` may be replaced by an equal one.

    Attributes:
        partition: that its rows are of.
        start: its first row in this node's share of the partition.
    """

    batch: pa.RecordBatch
    rows: int
    nbytes: int
    on_disk: bool = False
    partition: int = 0
    start: int = 0

    @classmethod
    def of(cls, batch: pa.RecordBatch, *, partition: int = 0, start: int = 0) -> Chunk:
        """Gives a chunk in memory."""
        return cls(batch, batch.num_rows, batch.nbytes, partition=partition, start=start)


@dataclass
class Spill:
    """Moves chunks to disk. Not to be shared between threads without a lock.

    Attributes:
        directory: where the segments are.
        written_bytes: of all segments so far.
    """

    directory: str
    segment_bytes: int = SEGMENT_BYTES
    written_bytes: int = 0
    _file: IO[bytes] | None = None
    _offsets: list[tuple[Chunk, int, int]] = field(default_factory=list)
    _filled: int = 0

    def move(self, chunk: Chunk) -> None:
        """Writes a chunk; its memory is given back when the segment is full.

        Raises:
            FeedError: the disk is full or cannot be written.
        """
        message = chunk.batch.serialize()
        try:
            if self._file is None:
                self._open()
            self._write(message)
        except OSError as error:
            raise FeedError(
                f"the cache of rows on disk, in {self.directory}, failed after {self.written_bytes >> 20} MiB: {error}",
                hint="free space there, point spark.local.dir (SPARK_LOCAL_DIRS) elsewhere, or raise cache_bytes",
            ) from error
        self._offsets.append((chunk, self._filled, message.size))
        self._filled += message.size
        self.written_bytes += message.size
        if self._filled >= self.segment_bytes:
            self._map()

    def close(self) -> None:
        """Gives up the segment being written; its chunks stay in memory."""
        if self._file is not None:
            self._file.close()
        self._file, self._offsets = None, []

    def _open(self) -> None:
        # Closed when it is full, or with the spill.
        self._file, self._filled = tempfile.TemporaryFile(dir=self.directory, buffering=0), 0  # noqa: SIM115

    def _write(self, message: pa.Buffer) -> None:
        assert self._file is not None
        view = memoryview(message)
        while view:
            view = view[self._file.write(view) :]

    def _map(self) -> None:
        """Replaces the batches of the segment by views of its file."""
        assert self._file is not None
        with contextlib.closing(self._file) as file:
            whole = pa.py_buffer(mmap.mmap(file.fileno(), self._filled, prot=mmap.PROT_READ))
        for chunk, offset, size in self._offsets:
            chunk.batch = pa.ipc.read_record_batch(whole.slice(offset, size), chunk.batch.schema)
            chunk.on_disk = True
        self._file, self._offsets = None, []
        give_back()
