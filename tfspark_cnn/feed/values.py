"""The values of one column, from Python to Arrow and back.

What is told apart in Python and not in Arrow (a NumPy array from a list, a NumPy number from a plain one) is kept in
the metadata of the field.

Example:
    >>> column = ColumnType.of("x", [[1.0, 2.0], [3.0]])
    >>> column.type
    ListType(list<item: double>)
    >>> to_values(column.array([[1.0, 2.0], [3.0]]), column.field)
    [[1.0, 2.0], [3.0]]
"""

from __future__ import annotations

import itertools
import struct
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
import pyarrow as pa

_VALUES = b"tfspark_values"

_CODES = {pa.float64(): "d", pa.int64(): "q"}
"""How `struct` packs lists of numbers: 3 us for 784 of them, where Arrow and NumPy take 8 to 13 (measured). It is also
stricter: Arrow turns 1.5 into the int64 1 without a word."""

_PLAIN: dict[frozenset[type], pa.DataType] = {
    frozenset([bool]): pa.bool_(),
    frozenset([int]): pa.int64(),
    frozenset([float]): pa.float64(),
    frozenset([int, float]): pa.float64(),
    frozenset([str]): pa.string(),
    frozenset([bytes]): pa.binary(),
}
_ALLOWED: dict[pa.DataType, set[type]] = {
    pa.bool_(): {bool},
    pa.int64(): {int},
    pa.float64(): {int, float},
    pa.string(): {str},
    pa.binary(): {bytes},
}


class Misfit(Exception):  # noqa: N818
    """Values that have no Arrow type in common, or not the one expected. Never leaves `feed`: see `rows`."""


class ValueKind(StrEnum):
    """What the values of a column are in Python, where the Arrow type does not tell."""

    PLAIN = "plain"
    TUPLE = "tuple"
    NUMPY = "numpy"
    NDARRAY = "ndarray"


@dataclass(frozen=True)
class ColumnType:
    """Name and type of a column of Python values; made by `of`.

    Attributes:
        name: of the column.
        type: Arrow's.
        kind: what the values are in Python.
        shape: of NumPy arrays; () for all else.
        dtype: of NumPy arrays and numbers.
    """

    name: str
    type: pa.DataType
    kind: ValueKind
    shape: tuple[int, ...] = ()
    dtype: Any = None

    @classmethod
    def of(cls, name: str, values: Sequence[Any]) -> ColumnType:
        """Gives the type that all values have in common; None among them is a null.

        Raises:
            Misfit: there is none.
        """
        present = [value for value in values if value is not None]
        kinds = set(map(type, present))
        first = present[0] if present else None
        try:
            if kinds == {np.ndarray}:
                return _ndarray(name, values)
            if len(kinds) == 1 and isinstance(first, np.generic):
                return cls(name, _arrow_dtype(first.dtype), ValueKind.NUMPY, dtype=first.dtype)
            kind = ValueKind.TUPLE if kinds == {tuple} else ValueKind.PLAIN
            return cls(name, _plain_type(present), kind)
        except Misfit as misfit:
            raise Misfit(f"column {name!r}: {misfit}") from misfit

    @property
    def field(self) -> pa.Field:
        """The Arrow field, with the kind in its metadata."""
        return pa.field(self.name, self.type, metadata=marked(self.kind))

    def array(self, values: Sequence[Any]) -> pa.Array:
        """Gives values as an Arrow array of this type.

        Raises:
            Misfit: some are of another type or shape.
        """
        try:
            return _ARRAYS[self.kind](self, values)
        except Misfit as misfit:
            raise Misfit(f"column {self.name!r}: {misfit}") from misfit
        except (pa.ArrowException, OverflowError, TypeError, struct.error) as error:
            raise Misfit(f"column {self.name!r}: expected {self.type}, received {error}") from error


def to_values(array: pa.Array, field: pa.Field) -> list[Any]:
    """Gives the values of a column as Python has them.

    NumPy arrays are copies, so that whoever gets them may write to them.
    """
    kind = ValueKind((field.metadata or {}).get(_VALUES, b"plain").decode())
    if kind is ValueKind.NDARRAY:
        return _to_ndarrays(array)
    if kind is ValueKind.NUMPY:
        return _to_numpy(array)
    if kind is ValueKind.TUPLE:
        return [None if value is None else tuple(value) for value in _to_plain(array)]
    return _to_plain(array)


def marked(kind: str) -> dict[bytes, bytes]:
    """Gives field metadata that tells what the values are."""
    return {_VALUES: kind.encode()}


def type_names(kinds: Iterable[type]) -> str:
    """Gives the names of types, for errors."""
    return ", ".join(sorted(kind.__name__ for kind in kinds)[:5]) or "nothing but None"


# --- to Arrow --------------------------------------------------------------------------------------------------------


def _plain_type(present: Sequence[Any]) -> pa.DataType:
    kinds = frozenset(map(type, present))
    if kinds in _PLAIN:
        return _PLAIN[kinds]
    if kinds not in (frozenset([list]), frozenset([tuple])):
        raise Misfit(f"values of {type_names(kinds)}")
    return pa.list_(_plain_type([item for item in itertools.chain.from_iterable(present) if item is not None]))


def _arrow_dtype(dtype: np.dtype[Any]) -> pa.DataType:
    if dtype.kind not in "biuf" or dtype.itemsize > 8 or not dtype.isnative:
        raise Misfit(f"values of NumPy's {dtype}")
    return pa.from_numpy_dtype(dtype)


def _ndarray(name: str, arrays: Sequence[Any]) -> ColumnType:
    shapes = {getattr(array, "shape", None) for array in arrays}
    dtypes = {getattr(array, "dtype", None) for array in arrays}
    if len(shapes) > 1 or len(dtypes) > 1:
        raise Misfit("arrays of several shapes or dtypes")
    shape, dtype = arrays[0].shape, arrays[0].dtype
    if 0 in shape or not shape:
        raise Misfit(f"arrays of shape {shape}")
    found = _arrow_dtype(dtype)
    for length in reversed(shape):
        found = pa.list_(found, length)
    return ColumnType(name, found, ValueKind.NDARRAY, shape, dtype)


def _plain_array(column: ColumnType, values: Sequence[Any]) -> pa.Array:
    outer: set[type] = {tuple} if column.kind is ValueKind.TUPLE else {list}
    return _typed(values, column.type, outer)


def _typed(values: Sequence[Any], wanted: pa.DataType, outer: set[type]) -> pa.Array:
    kinds = set(map(type, values))
    allowed = _ALLOWED.get(wanted, outer)
    if not kinds <= {*allowed, type(None)}:
        raise Misfit(f"expected {type_names(allowed)}, received {type_names(kinds - allowed - {type(None)})}")
    if pa.types.is_list(wanted) and type(None) not in kinds:
        return _lists(values, wanted)
    return pa.array(values, wanted)


def _lists(values: Sequence[Any], wanted: pa.DataType) -> pa.Array:
    lengths = np.fromiter(map(len, values), np.int32, len(values))
    offsets = np.zeros(len(values) + 1, np.int32)
    np.cumsum(lengths, out=offsets[1:])
    code = _CODES.get(wanted.value_type)
    items = _packed(values, int(offsets[-1]), code) if code else None
    if items is None:
        items = _typed(list(itertools.chain.from_iterable(values)), wanted.value_type, {list, tuple})
    return pa.ListArray.from_arrays(pa.array(offsets), items)


def _packed(values: Sequence[Any], count: int, code: str) -> pa.Array | None:
    """Packs the numbers of all lists; None where one is no number, so that the slow way may look at each."""
    packed, start = np.empty(count, code), 0
    try:
        for value in values:
            struct.pack_into(f"{len(value)}{code}", packed.data, start, *value)
            start += len(value) * packed.itemsize
    except (struct.error, TypeError):
        return None
    return pa.array(packed)


def _numpy_array(column: ColumnType, values: Sequence[Any]) -> pa.Array:
    kinds = set(map(type, values)) - {type(None)}
    if not kinds <= {column.dtype.type}:
        raise Misfit(f"expected {column.dtype}, received {type_names(kinds - {column.dtype.type})}")
    if any(value is None for value in values):
        return pa.array(values, column.type)
    return pa.array(np.array(values, column.dtype))


def _stacked(column: ColumnType, arrays: Sequence[Any]) -> pa.Array:
    shape, dtype = column.shape, column.dtype
    for array in arrays:
        if type(array) is not np.ndarray or array.shape != shape or array.dtype != dtype:
            received = f"{array.dtype}{list(array.shape)}" if isinstance(array, np.ndarray) else type(array).__name__
            raise Misfit(f"expected an array {dtype}{list(shape)}, received {received}")
    nested = pa.array(np.concatenate(arrays, axis=0).reshape(-1))
    for length in reversed(shape):
        nested = pa.FixedSizeListArray.from_arrays(nested, length)
    return nested


_ARRAYS: dict[ValueKind, Callable[[ColumnType, Sequence[Any]], pa.Array]] = {
    ValueKind.PLAIN: _plain_array,
    ValueKind.TUPLE: _plain_array,
    ValueKind.NUMPY: _numpy_array,
    ValueKind.NDARRAY: _stacked,
}


# --- from Arrow ------------------------------------------------------------------------------------------------------


def _to_ndarrays(array: pa.Array) -> list[Any]:
    shape, flat = [len(array)], array
    while pa.types.is_fixed_size_list(flat.type):
        shape.append(flat.type.list_size)
        flat = flat.flatten()
    return list(flat.to_numpy(zero_copy_only=False).copy().reshape(shape))


def _to_numpy(array: pa.Array) -> list[Any]:
    if array.null_count:
        dtype = np.dtype(array.type.to_pandas_dtype())
        return [None if value is None else dtype.type(value) for value in array.to_pylist()]
    return list(array.to_numpy(zero_copy_only=False))


def _to_plain(array: pa.Array) -> list[Any]:
    kind = array.type
    if array.null_count:
        return list(array.to_pylist())
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind):
        return list(array.to_numpy(zero_copy_only=False).tolist())
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return _sliced(_to_plain(array.flatten()), np.cumsum(array.value_lengths().to_numpy()).tolist())
    return list(array.to_pylist())


def _sliced(items: list[Any], ends: list[int]) -> list[Any]:
    return [items[start:end] for start, end in zip([0, *ends], ends, strict=False)]
