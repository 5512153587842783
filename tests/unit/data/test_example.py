"""`tf.train.Example` by hand: what protobuf itself writes and reads, and bytes that are none."""

from __future__ import annotations

import contextlib
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from tfspark_cnn.data.example import NotAnExample, decoded, encoded, integers, varints

INT64 = st.integers(-(1 << 63), (1 << 63) - 1)
FEATURES = st.one_of(
    st.lists(st.binary(max_size=200), max_size=5),
    st.lists(INT64, max_size=20).map(lambda values: np.array(values, np.int64)),
    arrays.arrays(np.float32, st.integers(0, 20), elements=st.floats(width=32)),
)


def example_class() -> Any:
    """Gives the message as protobuf makes it from its description, without TensorFlow."""
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    file = descriptor_pb2.FileDescriptorProto(name="made.proto", package="made", syntax="proto3")

    def message(name: str, *fields: tuple[str, int, str, bool], within: Any = None) -> Any:
        made = (file.message_type if within is None else within.nested_type).add(name=name)
        for field, number, kind, repeated in fields:
            one = made.field.add(name=field, number=number, label=3 if repeated else 1)
            if kind.startswith("."):
                one.type, one.type_name = 11, kind
            else:
                one.type = {"bytes": 12, "float": 2, "int64": 3, "string": 9}[kind]
        return made

    message("BytesList", ("value", 1, "bytes", True))
    message("FloatList", ("value", 1, "float", True))
    message("Int64List", ("value", 1, "int64", True))
    lists = [
        ("bytes_list", 1, ".made.BytesList"),
        ("float_list", 2, ".made.FloatList"),
        ("int64_list", 3, ".made.Int64List"),
    ]
    feature = message("Feature", *((*one, False) for one in lists))
    feature.oneof_decl.add(name="kind")
    for field in feature.field:
        field.oneof_index = 0
    features = message("Features", ("feature", 1, ".made.Features.FeatureEntry", True))
    entry = message("FeatureEntry", ("key", 1, "string", False), ("value", 2, ".made.Feature", False), within=features)
    entry.options.map_entry = True
    message("Example", ("features", 1, ".made.Features", False))
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("made.Example"))


EXAMPLE = example_class()


def same(found: Any, expected: Any) -> bool:
    if isinstance(expected, np.ndarray):
        return found.dtype == expected.dtype and found.tobytes() == expected.tobytes()
    return bool(found == expected)


@given(st.dictionaries(st.text(max_size=10), FEATURES, max_size=5))
def test_what_is_encoded_comes_back_and_protobuf_reads_the_same(features: dict[str, Any]) -> None:
    data = encoded(features)
    found = decoded(data)
    assert found.keys() == features.keys() and all(same(found[name], features[name]) for name in features)
    message = EXAMPLE.FromString(data)
    assert set(message.features.feature) == set(features)
    for name, values in features.items():
        read = message.features.feature[name]
        kind = read.WhichOneof("kind")
        assert kind == ("bytes_list" if isinstance(values, list) else f"{values.dtype}_list".replace("32", ""))
        there = list(getattr(read, kind).value)
        assert same(there if isinstance(values, list) else np.array(there, values.dtype), values)


@given(st.dictionaries(st.text(max_size=10), FEATURES, max_size=5))
def test_what_protobuf_writes_is_decoded(features: dict[str, Any]) -> None:
    message = EXAMPLE()
    for name, values in features.items():
        feature = message.features.feature[name]
        kind = "bytes_list" if isinstance(values, list) else f"{values.dtype}_list".replace("32", "")
        getattr(feature, kind).SetInParent()
        getattr(feature, kind).value.extend(values if isinstance(values, list) else values.tolist())
    found = decoded(message.SerializeToString())
    assert found.keys() == features.keys() and all(same(found[name], features[name]) for name in features)


@given(st.lists(INT64, max_size=50))
def test_integers_of_any_size_come_back(values: list[int]) -> None:
    assert integers(varints(np.array(values, np.int64))).tolist() == values


def field(number: int, body: bytes, kind: int = 2) -> bytes:
    return bytes([number << 3 | kind]) + (bytes([len(body)]) if kind == 2 else b"") + body


def example(feature: bytes, name: bytes = b"x") -> bytes:
    return field(1, field(1, field(1, name) + field(2, feature)))


def test_numbers_that_are_not_packed_are_read_too() -> None:
    one_by_one = b"".join(field(1, struct.pack("<f", value), 5) for value in (1.5, -2.0))
    assert decoded(example(field(2, one_by_one)))["x"].tolist() == [1.5, -2.0]
    assert decoded(example(field(3, field(1, b"\x07", 0) + field(1, b"\xac\x02", 0))))["x"].tolist() == [7, 300]


def test_fields_that_are_not_known_are_left_out_and_a_feature_without_values_is_none() -> None:
    data = field(9, b"later") + field(7, bytes(8), 1) + example(b"")
    assert decoded(data) == {"x": None}
    assert decoded(b"") == {}


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"\x0a\x7fshort", "a field of 127 bytes, of which 5 are there"),
        (b"\x0b\x01", "a field of the unknown kind 3"),
        (b"\xff" * 12, "an integer is cut, or too long"),
        (b"\x0a", "an integer is cut"),
        (field(1, b"\x05", 0), "an integer where a message belongs"),
        (example(field(3, field(1, b"\xff"))), "an integer is cut"),
        (example(field(3, field(1, b"\xff" * 11 + b"\x01"))), "an integer has 12 bytes"),
        (example(field(2, field(1, b"abc"))), "floats of 3 bytes"),
        (example(b"", name=b"\xff"), "no UTF-8 text"),
    ],
)
def test_bytes_that_are_no_example_are_refused(data: bytes, words: str) -> None:
    with pytest.raises(NotAnExample, match=words):
        decoded(data)


@given(st.binary(max_size=60))
def test_any_bytes_are_an_example_or_refused(data: bytes) -> None:
    for form in (data, example(data), example(field(3, field(1, data[:40]))), example(field(2, data[:40]))):
        with contextlib.suppress(NotAnExample):
            decoded(form)
