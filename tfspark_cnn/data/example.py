"""`tf.train.Example` as bytes and as values, without TensorFlow or protobuf. Pure.

The message (tensorflow/core/example/feature.proto) is `Example {1: Features {1: map entries {1: name, 2: Feature}}}`,
and a Feature is one of `{1: BytesList, 2: FloatList, 3: Int64List}`, each `{1: repeated}`. Numbers may be packed or
not; here they are written packed.

Example:
    >>> decoded(encoded({"label": np.array([3]), "name": [b"cat"]}))
    {'label': array([3]), 'name': [b'cat']}
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Values: TypeAlias = "Sequence[bytes] | npt.NDArray[np.int64] | npt.NDArray[np.float32]"
Feature: TypeAlias = "list[bytes] | npt.NDArray[np.int64] | npt.NDArray[np.float32] | None"

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_BYTES_LIST, _FLOAT_LIST, _INT64_LIST = 1, 2, 3
_LONGEST_VARINT = 10


class NotAnExample(ValueError):
    """The bytes are none of a `tf.train.Example`; the message says what is wrong with them."""


def encoded(features: Mapping[str, Values]) -> bytes:
    """Gives the bytes of an Example with these features, in their order.

    Args:
        features: by name: a list of bytes, or an array of integers or of floats, which become int64 and float32.
    """
    entries = (_field(1, _field(1, name.encode()) + _field(2, feature(values))) for name, values in features.items())
    return _field(1, b"".join(entries))


def feature(values: Values) -> bytes:
    """Gives the bytes of a Feature: which list it is, and its values."""
    if not isinstance(values, np.ndarray):
        return _field(_BYTES_LIST, b"".join(_field(1, value) for value in values))
    is_float = values.dtype.kind == "f"
    packed = values.astype("<f4").tobytes() if is_float else varints(values)
    return _field(_FLOAT_LIST if is_float else _INT64_LIST, _field(1, packed) if len(values) else b"")


def decoded(data: bytes) -> dict[str, Feature]:
    """Gives the features of an Example: lists of bytes, `int64[values]` or `float32[values]`; None where none is set.

    Raises:
        NotAnExample: the bytes are none.
    """
    features: dict[str, Feature] = {}
    for number, entries in fields(data):
        for inner, entry in fields(message(entries)) if number == 1 else ():
            if inner == 1:
                name, value = _entry(message(entry))
                features[name] = value
    return features


def varints(values: npt.NDArray[Any]) -> bytes:
    """Gives integers as protobuf packs them: seven bits a byte, the least significant first."""
    unsigned = values.astype(np.int64).view(np.uint64)
    if (unsigned < 0x80).all():
        return unsigned.astype(np.uint8).tobytes()
    groups = unsigned[:, None] >> np.arange(0, 7 * _LONGEST_VARINT, 7, dtype=np.uint64)
    needed = groups != 0
    needed[:, 0] = True
    more = np.zeros_like(needed)
    more[:, :-1] = needed[:, 1:]
    octets = (groups & np.uint64(0x7F)).astype(np.uint8) | (more.astype(np.uint8) << 7)
    return bytes(octets[needed])


def integers(packed: bytes) -> npt.NDArray[np.int64]:
    """Gives the integers that protobuf packed; the inverse of `varints`.

    Raises:
        NotAnExample: the last one is cut, or one is too long.
    """
    octets = np.frombuffer(packed, np.uint8)
    ends = np.flatnonzero(octets < 0x80)
    if len(ends) == len(octets):
        return octets.astype(np.int64)
    if octets[-1] >= 0x80:
        raise NotAnExample("an integer is cut")
    starts = np.concatenate([[0], ends[:-1] + 1])
    lengths = ends - starts + 1
    if lengths.max() > _LONGEST_VARINT:
        raise NotAnExample(f"an integer has {lengths.max()} bytes")
    places = np.arange(len(octets)) - np.repeat(starts, lengths)
    shifted = (octets & 0x7F).astype(np.uint64) << (7 * places).astype(np.uint64)
    return np.add.reduceat(shifted, starts).view(np.int64)


def _field(number: int, body: bytes) -> bytes:
    return bytes([number << 3 | _BYTES]) + _varint(len(body)) + body


def _varint(value: int) -> bytes:
    octets = bytearray()
    while value > 0x7F:
        octets.append(value & 0x7F | 0x80)
        value >>= 7
    octets.append(value)
    return bytes(octets)


def _entry(data: bytes) -> tuple[str, Feature]:
    name, value = "", None
    for number, body in fields(data):
        if number == 1:
            name = _text(message(body))
        elif number == 2:
            value = _feature(message(body))
    return name, value


def _feature(data: bytes) -> Feature:
    value: Feature = None
    for number, body in fields(data):
        # Of a oneof that is there several times, the last counts.
        if number == _BYTES_LIST:
            value = [message(one) for place, one in fields(message(body)) if place == 1]
        elif number == _FLOAT_LIST:
            value = _floats(b"".join(_repeated(message(body))))
        elif number == _INT64_LIST:
            value = integers(b"".join(_repeated(message(body))))
    return value


def _floats(packed: bytes) -> npt.NDArray[np.float32]:
    if len(packed) % 4:
        raise NotAnExample(f"floats of {len(packed)} bytes, which is no multiple of 4")
    return np.frombuffer(packed, "<f4")


def _repeated(data: bytes) -> Iterator[bytes]:
    """Gives the bytes of the values of a list of numbers, whether packed or each a field of its own."""
    for number, body in fields(data):
        if number == 1:
            yield _varint(body) if isinstance(body, int) else body


def fields(data: bytes) -> Iterator[tuple[int, bytes | int]]:
    """Gives number and body of each field of a protobuf message: an integer for a varint, else bytes.

    Raises:
        NotAnExample: the bytes are no message.
    """
    at, end = 0, len(data)
    while at < end:
        tag, at = _varint_at(data, at)
        kind = tag & 7
        if kind == _VARINT:
            value, at = _varint_at(data, at)
            yield tag >> 3, value
            continue
        if kind == _BYTES:
            length, at = _varint_at(data, at)
        elif kind in (_FIXED32, _FIXED64):
            length = 4 if kind == _FIXED32 else 8
        else:
            raise NotAnExample(f"a field of the unknown kind {kind}")
        if at + length > end:
            raise NotAnExample(f"a field of {length} bytes, of which {end - at} are there")
        yield tag >> 3, data[at : at + length]
        at += length


def _varint_at(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for place, octet in enumerate(data[at : at + _LONGEST_VARINT]):
        value |= (octet & 0x7F) << 7 * place
        if octet < 0x80:
            return value, at + place + 1
    raise NotAnExample("an integer is cut, or too long")


def message(body: bytes | int) -> bytes:
    """Gives the bytes of a field that holds a message or a text.

    Raises:
        NotAnExample: it holds an integer.
    """
    if isinstance(body, int):
        raise NotAnExample("an integer where a message belongs")
    return body


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise NotAnExample("a name of a feature that is no UTF-8 text") from error
