"""The framing of TFRecord files: checksums, and every way in which a file can be cut or changed."""

from __future__ import annotations

import io
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfspark_cnn.data.record_file import HEADER_BYTES, framed, is_header, masked_crc, records_in
from tfspark_cnn.errors import CorruptFileError

RECORDS = [b"one", b"", bytes(range(256)) * 3]
FILE = b"".join(map(framed, RECORDS))
ENDS = {0, 19, 35, len(FILE)}


def read(data: bytes) -> list[tuple[int, bytes]]:
    return list(records_in(io.BytesIO(data), where="a.tfrecord"))


def test_a_record_is_what_tensorflow_writes() -> None:
    # The file that tf.io.TFRecordWriter of TensorFlow 2.21 wrote for b"one".
    assert framed(b"one").hex() == "0300000000000000b099490e6f6e6501405508"
    assert masked_crc(b"123456789") == ((0xE3069283 >> 15 | 0xE3069283 << 17) + 0xA282EAD8) & 0xFFFFFFFF


@given(st.lists(st.binary(max_size=100), max_size=10))
def test_records_come_back_with_their_offsets(records: list[bytes]) -> None:
    data = b"".join(map(framed, records))
    found = read(data)
    assert [record for _, record in found] == records
    assert all(data[offset:].startswith(framed(record)) for offset, record in found)


@given(st.integers(0, len(FILE)))
def test_a_file_that_is_cut_between_records_is_whole_and_one_cut_within_is_refused(end: int) -> None:
    if end in ENDS:
        assert [record for _, record in read(FILE[:end])] == RECORDS[: sorted(ENDS).index(end)]
        return
    begun = max(offset for offset in ENDS if offset < end)
    with pytest.raises(CorruptFileError, match=rf"a\.tfrecord, record at byte {begun}: expected .*the last \d+ of"):
        read(FILE[:end])


@given(st.integers(0, len(FILE) * 8 - 1))
def test_any_bit_that_changed_is_found_and_its_record_named(bit: int) -> None:
    changed = bytearray(FILE)
    changed[bit // 8] ^= 1 << bit % 8
    begun = max(offset for offset in ENDS if offset <= bit // 8)
    with pytest.raises(CorruptFileError, match=rf"record at byte {begun}: expected .*checksum, received others"):
        read(bytes(changed))


def test_the_error_says_how_much_is_missing() -> None:
    words = "record at byte 19: expected a header of 12 bytes, received the last 5 of the file"
    with pytest.raises(CorruptFileError, match=words):
        read(FILE[:24])
    with pytest.raises(CorruptFileError, match="record at byte 0: expected 7 more bytes, received the last 3 of the"):
        read(FILE[:15])


def test_what_is_no_record_file_is_refused_without_reading_what_it_calls_a_length() -> None:
    with pytest.raises(CorruptFileError, match=re.escape("record at byte 0: expected a length with its checksum")):
        read(b"PNG" + bytes(200))


def test_a_header_is_known_by_its_checksum() -> None:
    assert is_header(FILE[:HEADER_BYTES]) and not is_header(b"\x1f\x8b" + bytes(10)) and not is_header(b"")
