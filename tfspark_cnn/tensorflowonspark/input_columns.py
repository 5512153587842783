"""Columns of a DataFrame as inputs of a signature. Pure.

| column | input |
|---|---|
| numbers, booleans, arrays of them (flat or nested), vectors | numbers of any type, reshaped to the shape of a row |
| `binary` | numbers: their bytes, as `numpy.frombuffer` reads them |
| `binary`, `string`, arrays of them | `string` |

Example:
    >>> image = InputColumn("image", Tensor("x", "float32", (None, 2, 2)))
    >>> tensor_of(pa.array([[1.0, 2.0, 3.0, 4.0]]), image, partition=0, first_row=0).shape
    (1, 2, 2)
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pat
from numpy.typing import NDArray

from tfspark_cnn.errors import ConfigError, SchemaError
from tfspark_cnn.feed import schema
from tfspark_cnn.feed.columns import DTYPES, Column
from tfspark_cnn.tensorflowonspark.signatures import Tensor

LAID_OUT = {"bfloat16": "float32"}
"""What NumPy has instead; TensorFlow casts it."""


@dataclass(frozen=True)
class InputColumn:
    """A column, and the input of a signature that it becomes."""

    name: str
    tensor: Tensor

    @property
    def row(self) -> tuple[int | None, ...] | None:
        """Shape of a row, None where the first row is to tell."""
        return None if self.tensor.shape is None else self.tensor.shape[1:]

    def column(self) -> Column:
        """Gives the column as the feed has it, of numbers; integers are cast by `tensor_of`, which looks at each."""
        row = self.row
        shape = row if row is not None and None not in row and 0 not in row else None
        dtype = LAID_OUT.get(self.tensor.dtype, self.tensor.dtype)
        return Column(self.name, shape=shape, dtype=dtype)  # type: ignore[arg-type]  # no None among them


def check(found: pa.DataType, wanted: InputColumn) -> None:
    """Refuses a column whose type can never become the input.

    Raises:
        SchemaError: it cannot.
        ConfigError: no column can.
    """
    tensor = wanted.tensor
    if tensor.dtype == "string":
        if not _is_text(_element(found)):
            raise SchemaError(
                f"column {wanted.name!r}: expected string or binary, or arrays of these, for input {tensor.name!r} of "
                f"strings, received {found}",
                hint=f'cast it: df.withColumn("{wanted.name}", df["{wanted.name}"].cast("string"))',
            )
        return
    if LAID_OUT.get(tensor.dtype, tensor.dtype) not in DTYPES:
        raise ConfigError(
            f"input {tensor.name!r} is a tensor of {tensor.dtype}, which no column can be",
            hint="save a signature that makes it of numbers or strings",
        )
    if tensor.shape == ():
        raise ConfigError(
            f"input {tensor.name!r} is a single value, expected one with an axis of rows",
            hint="save a signature whose inputs have shape (None, ...)",
        )
    schema.resolve(pa.schema([(wanted.name, found)]), wanted.column())


def tensor_of(array: pa.Array, wanted: InputColumn, *, partition: int, first_row: int) -> NDArray[Any]:
    """Gives values of a column as an input: `dtype[rows, *shape]`, `object` of bytes for strings.

    Args:
        array: the values.
        wanted: what they become.
        partition: of the rows, for errors.
        first_row: number of the first one in it, for errors.

    Raises:
        SchemaError: a row is null, of another shape, or has a number that the type does not hold.
    """

    def origin(row: int) -> tuple[int, int]:
        return partition, row

    if wanted.tensor.dtype == "string":
        found = _texts(array, f"column {wanted.name!r}, partition {partition}", first_row)
    else:
        resolved = schema.resolve(pa.schema([(wanted.name, array.type)]), wanted.column())
        _refuse_overflow(array, wanted, f"column {wanted.name!r}, partition {partition}", first_row)
        found = schema.decode(array, resolved, first_row=first_row, origin=origin)
    return _fitted(found, wanted, f"column {wanted.name!r}, partition {partition}, rows from {first_row} on")


def _texts(array: pa.Array, where: str, first_row: int) -> NDArray[Any]:
    values, lengths, per_row = array, [len(array)], 1
    while True:
        if values.null_count:
            row = values.is_null().to_pylist().index(True) // max(1, per_row)
            raise SchemaError(
                f"{where}, row {first_row + row}: expected a value, received a null",
                hint="drop or fill nulls: df.dropna(), df.fillna(...)",
            )
        if not _is_list(values.type):
            break
        sizes = pc.list_value_length(values).to_pylist()
        if len(set(sizes)) > 1:
            other = next(place for place, size in enumerate(sizes) if size != sizes[0])
            raise SchemaError(
                f"{where}, row {first_row + other // per_row}: expected {sizes[0]} values, received {sizes[other]}",
                hint="bring all rows to one shape before: pad, crop or filter them",
            )
        lengths.append(sizes[0] if sizes else 0)
        values, per_row = values.flatten(), per_row * lengths[-1]
    found: NDArray[Any] = values.cast(pa.large_binary()).to_numpy(zero_copy_only=False)
    return found.reshape(lengths)


def _refuse_overflow(array: pa.Array, wanted: InputColumn, where: str, first_row: int) -> None:
    """Refuses integers that the type of the input does not hold; a plain cast wraps them."""
    values, depth = array, 0
    while _is_list(values.type):
        values, depth = values.flatten(), depth + 1
    dtype = np.dtype(LAID_OUT.get(wanted.tensor.dtype, wanted.tensor.dtype))
    if dtype.kind not in "iu" or not pat.is_integer(values.type) or not len(values):
        return
    has, info = pc.min_max(values).as_py(), np.iinfo(dtype)
    for value in (has["min"], has["max"]):
        if value is not None and not info.min <= value <= info.max:
            row = pc.index(values, value).as_py() * len(array) // len(values)
            raise SchemaError(
                f"{where}, row {first_row + row}: expected {dtype} for input {wanted.tensor.name!r}, received {value}",
                hint="save a signature with a larger type, or mend the values",
            )


def _fitted(values: NDArray[Any], wanted: InputColumn, where: str) -> NDArray[Any]:
    """Reshapes rows to those of the input, whose open axis, if it has one, takes what is left."""
    row = wanted.row
    if row is None or _same(values.shape[1:], row):
        return values
    known = math.prod(axis for axis in row if axis is not None)
    size = math.prod(values.shape[1:])
    opened = row.count(None)
    if opened > 1 or (size % known if known and opened else size != known):
        shape = ", ".join("?" if axis is None else str(axis) for axis in row)
        raise SchemaError(
            f"{where}: expected rows of shape ({shape}) for input {wanted.tensor.name!r}, received rows of shape "
            f"{tuple(values.shape[1:])}",
            hint="bring the rows to that size, or map another column to the input",
        )
    return values.reshape(len(values), *(-1 if axis is None else axis for axis in row))


def _same(has: tuple[int, ...], row: tuple[int | None, ...]) -> bool:
    return len(has) == len(row) and all(axis in (None, found) for found, axis in zip(has, row, strict=True))


def _element(found: pa.DataType) -> pa.DataType:
    while _is_list(found):
        found = found.value_type
    return found


def _is_list(found: pa.DataType) -> bool:
    return bool(pat.is_list(found) or pat.is_large_list(found) or pat.is_fixed_size_list(found))


def _is_text(found: pa.DataType) -> bool:
    return bool(
        pat.is_string(found) or pat.is_large_string(found) or pat.is_binary(found) or pat.is_large_binary(found)
    )
