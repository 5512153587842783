"""Outputs of a signature as columns, by tables."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from tfspark_cnn.errors import ConfigError, SchemaError
from tfspark_cnn.tensorflowonspark.output_columns import column_of, output_type
from tfspark_cnn.tensorflowonspark.signatures import Tensor


@pytest.mark.parametrize(
    ("values", "dtype", "kind", "expected"),
    [
        (np.float32([0.5, 1]), "float32", pa.float64(), [0.5, 1.0]),
        (np.float16([1.5]), "float16", pa.float64(), [1.5]),
        (np.empty((2, 0), object), "string", pa.list_(pa.binary()), [[], []]),
        (np.uint8([1, 255]), "uint8", pa.int64(), [1, 255]),
        (np.array([True, False]), "bool", pa.bool_(), [True, False]),
        (np.array([b"a", b"\xff"], object), "string", pa.binary(), [b"a", b"\xff"]),
        (np.arange(4).reshape(2, 1, 2), "int64", pa.list_(pa.list_(pa.int64())), [[[0, 1]], [[2, 3]]]),
        (np.zeros((2, 0)), "float64", pa.list_(pa.float64()), [[], []]),
        (np.array([[b"a"], [b"b"]], object), "string", pa.list_(pa.binary()), [[b"a"], [b"b"]]),
    ],
)
def test_an_output_becomes_a_column(values: Any, dtype: str, kind: pa.DataType, expected: Any) -> None:
    output = Tensor("y", dtype, (None,) * values.ndim)
    assert output_type(output) == column_of(values, output).type == kind
    assert column_of(values, output).to_pylist() == expected


@pytest.mark.parametrize(
    ("dtype", "shape", "words"),
    [("float32", None, "of no known rank"), ("float32", (), "a single value"), ("variant", (None,), "of variant")],
)
def test_some_outputs_no_column_can_be(dtype: str, shape: Any, words: str) -> None:
    with pytest.raises(ConfigError, match=f"output 'y' is .*{words}"):
        output_type(Tensor("y", dtype, shape))


def test_outputs_that_are_not_as_their_signature_says_are_refused() -> None:
    with pytest.raises(SchemaError, match="output 'y': expected 1 axes by its signature, received 2"):
        column_of(np.zeros((2, 2)), Tensor("y", "float64", (None,)))
    with pytest.raises(SchemaError, match="output 'y': .*9223372036854775808"):
        column_of(np.array([1 << 63], np.uint64), Tensor("y", "uint64", (None,)))
