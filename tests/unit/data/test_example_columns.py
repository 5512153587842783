"""Features as Arrow columns and back, and what does not fit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from tfspark_cnn.data.example import decoded
from tfspark_cnn.data.example_columns import WrongFeature, batch_of, check_schema, encoded_rows, schema_of
from tfspark_cnn.errors import ConfigError

SCHEMA = pa.schema(
    {
        "raw": pa.binary(),
        "text": pa.string(),
        "float": pa.float32(),
        "double": pa.float64(),
        "long": pa.int64(),
        "int": pa.int32(),
        "byte": pa.int8(),
        "flag": pa.bool_(),
        "floats": pa.list_(pa.float32()),
        "longs": pa.list_(pa.int64()),
        "shorts": pa.list_(pa.int16()),
        "flags": pa.list_(pa.bool_()),
        "texts": pa.list_(pa.string()),
    }
)
FULL = {
    "raw": b"\xff\0", "text": "Käse", "float": 0.1, "double": 0.25, "long": -(1 << 62), "int": -5, "byte": 7,
    "flag": True, "floats": [1.5, -0.5], "longs": [1, 1 << 40, -1], "shorts": [300], "flags": [True, False],
    "texts": ["a", "ß"],
}  # fmt: skip
EMPTY = {name: [] if name.endswith("s") else None for name in FULL}
NULL = dict.fromkeys(FULL)


def batch(*rows: dict[str, Any]) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist(list(rows), schema=SCHEMA)


def test_rows_of_every_type_come_back_with_their_nulls_and_empty_arrays() -> None:
    rows = batch(FULL, EMPTY, NULL, FULL)
    assert batch_of([decoded(data) for data in encoded_rows(rows)], SCHEMA).equals(rows)


def test_a_part_of_a_batch_is_encoded_as_that_part() -> None:
    rows = batch(FULL, NULL, {**FULL, "longs": [9]}, EMPTY)
    assert encoded_rows(rows.slice(1, 2)) == encoded_rows(rows)[1:3]


def test_features_without_a_column_are_left_out_and_columns_without_a_feature_are_null() -> None:
    found = batch_of([{"x": np.array([1]), "y": [b"a"]}], pa.schema({"y": pa.binary(), "z": pa.int64()}))
    assert found.to_pylist() == [{"y": b"a", "z": None}]


def test_the_schema_of_examples_is_an_array_where_one_has_not_one_value() -> None:
    first = {
        "label": np.array([1]),
        "image": [b"a"],
        "box": np.array([1, 2], np.float32),
        "tag": np.array([4]),
        "u": None,
    }
    second = {"label": np.array([2]), "tag": np.array([], np.int64), "late": np.array([0.5], np.float32)}
    assert schema_of([first, second]) == pa.schema(
        {
            "box": pa.list_(pa.float32()), "image": pa.binary(), "label": pa.int64(), "late": pa.float32(),
            "tag": pa.list_(pa.int64()),
        }
    )  # fmt: skip


def test_a_feature_of_two_kinds_has_no_schema() -> None:
    with pytest.raises(WrongFeature, match="'x': expected int64_list as before, received bytes_list"):
        schema_of([{"x": np.array([1])}, {"x": [b"a"]}])


@pytest.mark.parametrize(
    ("kind", "values", "words"),
    [
        (pa.int64(), [b"a"], r"'x': expected a int64_list for a column of int64, received a bytes_list"),
        (pa.binary(), np.array([1.0], np.float32), "received a float_list, which is float or double"),
        (pa.int64(), np.array([1, 2]), "'x': expected one value, received 2; its column must be an array"),
        (pa.int8(), np.array([300]), "'x': expected values of int8, received .*300"),
        (pa.list_(pa.int8()), np.array([1, 300]), "300"),
        (pa.string(), [b"\xff"], "'x': expected values of string, received .*UTF"),
    ],
)
def test_a_feature_that_does_not_fit_its_column_is_refused(kind: Any, values: Any, words: str) -> None:
    with pytest.raises(WrongFeature, match=words):
        batch_of([{"x": values}], pa.schema({"x": kind}))


@pytest.mark.parametrize("kind", [pa.int64(), pa.string()])
def test_a_null_within_an_array_has_no_feature(kind: pa.DataType) -> None:
    rows = pa.record_batch({"x": pa.array([[None]], pa.list_(kind))})
    with pytest.raises(WrongFeature, match="expected no null within an array"):
        encoded_rows(rows)


@pytest.mark.parametrize("kind", [pa.timestamp("us"), pa.struct({"a": pa.int64()}), pa.list_(pa.list_(pa.int64()))])
def test_columns_that_no_feature_can_be_are_refused(kind: pa.DataType) -> None:
    check_schema(SCHEMA)
    with pytest.raises(ConfigError, match="expected column 'when' of numbers, texts, bytes, or arrays.*\n.*cast"):
        check_schema(pa.schema({"when": kind}))


def test_two_columns_of_a_name_are_refused() -> None:
    with pytest.raises(ConfigError, match="different names"):
        check_schema(pa.schema([("a", pa.int64()), ("a", pa.int64())]))
