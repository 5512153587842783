"""The framing of TFRecord files: records with their lengths and masked CRC-32C checksums. Pure.

A record is its length (8 bytes, least significant first), the length's checksum (4 bytes), the data, and the data's
checksum (tensorflow/core/lib/io/record_writer.h).

Example:
    >>> list(records_in(io.BytesIO(framed(b"one") + framed(b"two")), where="a.tfrecord"))
    [(0, b'one'), (19, b'two')]
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

import google_crc32c

from tfspark_cnn.data.storage import COPY_AGAIN, Readable
from tfspark_cnn.errors import CorruptFileError

HEADER_BYTES = 12
_MASK_DELTA = 0xA282EAD8
_LENGTH = struct.Struct("<Q")
_HEADER = struct.Struct("<QI")
_CRC = struct.Struct("<I")


def masked_crc(data: bytes) -> int:
    """Gives the CRC-32C of bytes as TensorFlow stores it: rotated and moved, so that it is no CRC of itself."""
    crc: int = google_crc32c.value(data)
    return ((crc >> 15 | crc << 17) + _MASK_DELTA) & 0xFFFFFFFF


def framed(data: bytes) -> bytes:
    """Gives a record with these bytes, as it stands in a file."""
    length = _LENGTH.pack(len(data))
    return b"".join((length, _CRC.pack(masked_crc(length)), data, _CRC.pack(masked_crc(data))))


def is_header(head: bytes) -> bool:
    """Tells whether bytes are the beginning of a record: its length, with the checksum that belongs to it."""
    return len(head) >= HEADER_BYTES and masked_crc(head[:8]) == _CRC.unpack_from(head, 8)[0]


def records_in(stream: Readable, *, where: str) -> Iterator[tuple[int, bytes]]:
    """Gives each record with its offset in the stream, in bytes after decompression.

    Args:
        stream: a file at its beginning.
        where: the file, for errors.

    Raises:
        CorruptFileError: a record is cut, or has another checksum.
    """
    offset = 0
    while head := stream.read(HEADER_BYTES):
        if len(head) < HEADER_BYTES:
            raise _corrupt(where, offset, f"a header of {HEADER_BYTES} bytes", f"the last {len(head)} of the file")
        # A changed length must not become a huge read.
        if not is_header(head):
            raise _corrupt(where, offset, "a length with its checksum", "others: no TFRecord, or changed")
        length, _ = _HEADER.unpack(head)
        body = stream.read(length + 4)
        if len(body) < length + 4:
            raise _corrupt(where, offset, f"{length + 4} more bytes", f"the last {len(body)} of the file")
        data = body[:length]
        if masked_crc(data) != _CRC.unpack_from(body, length)[0]:
            raise _corrupt(where, offset, f"{length} bytes of data with their checksum", "others: they were changed")
        yield offset, data
        offset += HEADER_BYTES + length + 4


def _corrupt(where: str, offset: int, expected: str, received: str) -> CorruptFileError:
    return CorruptFileError(
        f"{where}, record at byte {offset}: expected {expected}, received {received}", hint=COPY_AGAIN
    )
