"""Columns as inputs of a signature, by tables."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from tfspark_cnn.errors import ConfigError, SchemaError
from tfspark_cnn.tensorflowonspark.input_columns import InputColumn, check, tensor_of
from tfspark_cnn.tensorflowonspark.signatures import Tensor

SQUARE = [[1.0, 2.0, 3.0, 4.0]]


def tensor(values: Any, dtype: str, shape: Any) -> Any:
    """As `TFModel.transform` does: looks at the type on the driver, at the values in a task."""
    array = values if isinstance(values, pa.Array) else pa.array(values)
    wanted = InputColumn("c", Tensor("x", dtype, shape))
    check(array.type, wanted)
    return tensor_of(array, wanted, partition=2, first_row=10)


@pytest.mark.parametrize(
    ("values", "dtype", "shape", "expected"),
    [
        ([1, 2], "float32", (None,), [1.0, 2.0]),
        ([1, 2], "float64", (None, 1), [[1.0], [2.0]]),
        ([[1], [2]], "int64", (None,), [1, 2]),
        ([1.5, 2.0], "bfloat16", (None,), [1.5, 2.0]),
        ([True, False], "bool", (None,), [True, False]),
        ([True, False], "float32", None, [1.0, 0.0]),
        (SQUARE, "float32", (None, 2, 2), [[[1.0, 2.0], [3.0, 4.0]]]),
        ([[[1, 2], [3, 4]]], "uint8", (None, 4), [[1, 2, 3, 4]]),
        ([[1, 2, 3, 4]], "int32", (None, None, 2), [[[1, 2], [3, 4]]]),
        ([[1, 2, 3]], "int16", (None, None), [[1, 2, 3]]),
        ([b"\1\2", b"\3\4"], "uint8", (None, 2), [[1, 2], [3, 4]]),
        ([np.float32([1, 2]).tobytes()], "float32", (None, 2), [[1.0, 2.0]]),
        (["a", "ü"], "string", (None,), [b"a", "ü".encode()]),
        ([b"a"], "string", (None, 1), [[b"a"]]),
        ([["a", "b"], ["c", "d"]], "string", (None, 2), [[b"a", b"b"], [b"c", b"d"]]),
        ([[["a"], ["b"]]], "string", (None, 2), [[b"a", b"b"]]),
    ],
)
def test_a_column_becomes_an_input_of_its_shape(values: Any, dtype: str, shape: Any, expected: Any) -> None:
    found = tensor(values, dtype, shape)
    assert found.tolist() == expected
    assert found.dtype == {"string": object, "bfloat16": np.float32}.get(dtype, dtype)


@pytest.mark.parametrize(
    ("values", "dtype", "shape", "words"),
    [
        ([[1.0, 2.0, 3.0]], "float32", (None, 2, 2), "column 'c', partition 2, row 10: expected 4 values, received 3"),
        ([1.5, None], "float32", (None,), "column 'c', partition 2, row 11: expected a value, received a null"),
        ([1, 1 << 40], "int32", (None,), "row 11: expected int32 for input 'x', received 1099511627776"),
        ([[1, 2], [2, -1]], "uint8", (None, 2), "row 11: expected uint8 for input 'x', received -1"),
        ([[1, 2]], "int8", (None, None, None), r"expected rows of shape \(\?, \?\) .* received rows of shape \(2,\)"),
        ([[1, 2, 3]], "int8", (None, None, 2), r"expected rows of shape \(\?, 2\)"),
        (["a", None], "string", (None,), "row 11: expected a value, received a null"),
        ([["a", "b"], ["c"]], "string", (None, 2), "row 11: expected 2 values, received 1"),
        ([["a", "b"], ["c", None]], "string", (None, 2), "row 11: expected a value, received a null"),
        ([["a", "b", "c"]], "string", (None, 2), r"expected rows of shape \(2\) .* received rows of shape \(3,\)"),
        ([1], "string", (None,), "expected string or binary, .* for input 'x' of strings, received int64"),
        (["1"], "float32", (None,), "expected numbers, lists of numbers or bytes, received string"),
        ([1.5], "int64", (None,), "expected a float dtype for double, received 'int64': it cuts fractions"),
        ([1.5], "float32", (None, 2), "expected float32 of shape .2,., received rows of single values"),
    ],
)
def test_what_does_not_fit_is_named(values: Any, dtype: str, shape: Any, words: str) -> None:
    with pytest.raises(SchemaError, match=words) as caught:
        tensor(values, dtype, shape)
    assert caught.value.hint


@pytest.mark.parametrize(
    ("dtype", "shape", "words"),
    [("complex64", (None,), "a tensor of complex64"), ("composite", (None,), "composite"), ("float32", (), "single")],
)
def test_some_inputs_no_column_can_be(dtype: str, shape: Any, words: str) -> None:
    with pytest.raises(ConfigError, match=f"input 'x' is .*{words}"):
        tensor([1.5], dtype, shape)
