"""Outputs of a signature as columns of a DataFrame. Pure.

| output | column |
|---|---|
| floats | `double` |
| integers | `bigint` |
| `bool` | `boolean` |
| `string` | `binary` |
| more than one value a row | an array of these, nested by axis |

Example:
    >>> column_of(np.zeros((2, 3), np.float32), Tensor("y", "float32", (None, 3))).type
    ListType(list<item: double>)
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tfspark_cnn.errors import ConfigError, SchemaError
from tfspark_cnn.feed.columns import DTYPES
from tfspark_cnn.tensorflowonspark.input_columns import LAID_OUT
from tfspark_cnn.tensorflowonspark.signatures import Tensor

_ARROW = {"f": pa.float64(), "i": pa.int64(), "u": pa.int64(), "b": pa.bool_(), "O": pa.binary()}


def output_type(tensor: Tensor) -> pa.DataType:
    """Gives the Arrow type of the column that an output becomes.

    Raises:
        ConfigError: it has no axis of rows, not even a known rank, or values that no column has.
    """
    kind = _kind(tensor.dtype)
    if kind is None:
        raise ConfigError(
            f"output {tensor.name!r} is a tensor of {tensor.dtype}, which no column can be",
            hint="save a signature that makes it of numbers or strings",
        )
    if not tensor.shape:
        what = "of no known rank" if tensor.shape is None else "a single value"
        raise ConfigError(
            f"output {tensor.name!r} is {what}, expected one with an axis of rows",
            hint="save a signature that knows it: tf.ensure_shape(output, [None, ...])",
        )
    found = _ARROW[kind]
    for _ in tensor.shape[1:]:
        found = pa.list_(found)
    return found


def column_of(values: NDArray[Any], tensor: Tensor) -> pa.Array:
    """Gives an output as a column of `output_type`.

    Raises:
        SchemaError: a number is too large for a bigint, or the output has another rank than its signature says.
    """
    shape = values.shape
    if len(shape) != len(tensor.shape or ()):
        raise SchemaError(
            f"output {tensor.name!r}: expected {len(tensor.shape or ())} axes by its signature, received {len(shape)}",
            hint="save the model anew, with the shapes that it gives",
        )
    flat = values.reshape(-1)
    if flat.dtype.name == "bfloat16":
        flat = flat.astype(np.float32)
    try:
        column = pa.array(flat).cast(_ARROW[str(_kind(tensor.dtype))])
    except pa.ArrowException as error:
        raise SchemaError(f"output {tensor.name!r}: {error}", hint="cast it in the signature") from error
    for axis in range(len(shape) - 1, 0, -1):
        rows = math.prod(shape[:axis])
        column = pa.ListArray.from_arrays(np.arange(rows + 1, dtype=np.int32) * shape[axis], column)
    return column


def _kind(dtype: str) -> str | None:
    if dtype == "string":
        return "O"
    laid_out = LAID_OUT.get(dtype, dtype)
    return np.dtype(laid_out).kind if laid_out in DTYPES else None
