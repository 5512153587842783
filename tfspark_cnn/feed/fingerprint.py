"""A checksum of rows that does not depend on how they are cut into record batches. Pure."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tfspark_cnn.errors import FeedError


@dataclass
class Fingerprint:
    """Runs a CRC-32 over the values of each column, and over the lengths of lists, in the order of rows.

    It tells apart two tries of a partition that hold other rows; it is not meant to withstand an adversary.

    Example:
        >>> batch = pa.record_batch({"x": [1, 2, 3]})
        >>> whole, parts = Fingerprint(), Fingerprint()
        >>> whole.update(batch)
        >>> parts.update(batch.slice(0, 1))
        >>> parts.update(batch.slice(1))
        >>> whole.value() == parts.value()
        True
    """

    rows: int = 0
    _crcs: dict[str, int] = field(default_factory=dict)
    _lengths: dict[str, int] = field(default_factory=dict)

    def update(self, batch: pa.RecordBatch) -> None:
        """Adds the rows of a record batch."""
        self.rows += batch.num_rows
        for number, column in enumerate(batch.columns):
            self._add(f"{number}", column)

    def copy(self) -> Fingerprint:
        """Gives one that goes on from here by itself."""
        return Fingerprint(self.rows, dict(self._crcs), dict(self._lengths))

    def value(self) -> int:
        """Gives the checksum of all rows so far, 32 bits."""
        crc = zlib.crc32(str(self.rows).encode())
        for leaf in sorted(self._crcs):
            crc = zlib.crc32(f"{leaf}:{self._crcs[leaf]}".encode(), crc)
        return crc

    def _add(self, leaf: str, array: pa.Array) -> None:
        begin = self._lengths.get(leaf, 0)
        self._lengths[leaf] = begin + len(array)
        if array.null_count:  # where the nulls are, counted from the first row of all: the same however rows are cut
            self._run(f"{leaf}.null", (np.flatnonzero(np.asarray(array.is_null())) + begin).astype(np.int64).tobytes())
        kind = array.type
        if pa.types.is_list(kind) or pa.types.is_large_list(kind):
            self._run(f"{leaf}.len", np.asarray(pc.fill_null(pc.list_value_length(array), -1), np.int64).tobytes())
            self._add(f"{leaf}.item", array.flatten())
        elif pa.types.is_fixed_size_list(kind):
            self._add(f"{leaf}.item", array.flatten())
        elif pa.types.is_struct(kind):
            for number, child in enumerate(array.flatten()):
                self._add(f"{leaf}.{number}", child)
        else:
            self._values(leaf, array)

    def _values(self, leaf: str, array: pa.Array) -> None:
        kind = array.type
        if pa.types.is_binary(kind) or pa.types.is_string(kind) or pa.types.is_large_binary(kind):
            self._run(f"{leaf}.len", np.asarray(pc.fill_null(pc.binary_length(array), -1), np.int64).tobytes())
            self._run(leaf, b"".join(value for value in array.drop_null().cast(pa.large_binary()).to_pylist()))
        elif pa.types.is_null(kind):
            return
        else:
            values = array.drop_null()
            if pa.types.is_boolean(kind):
                values = values.cast(pa.uint8())
            self._run(leaf, _bytes(values))

    def _run(self, leaf: str, data: bytes | memoryview) -> None:
        self._crcs[leaf] = zlib.crc32(data, self._crcs.get(leaf, 0))


def _bytes(values: pa.Array) -> memoryview | bytes:
    """The bytes of an array of fixed width without nulls, its own and no others."""
    try:
        width = values.type.bit_width // 8
    except ValueError as error:
        raise FeedError(f"rows of type {values.type} cannot be checked for changes between tries") from error
    data = values.buffers()[1]
    if data is None:
        return b""
    return memoryview(data)[values.offset * width : (values.offset + len(values)) * width]
