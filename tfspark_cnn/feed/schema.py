"""From Arrow columns to tensors: what a column can become, and the arrays themselves.

`resolve` decides from the schema alone, so that a column that cannot become a tensor is refused before a row moves;
`infer_shape` fills in from the first row what the schema does not say; `decode` turns record batches into arrays.

Numbers, lists of numbers and bytes are decoded as views of the Arrow buffers wherever these are laid out like the
tensor. Such arrays are read-only and keep the buffers alive.

Example:
    >>> batch = pa.record_batch({"image": [[1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 8.0]]})
    >>> image = resolve(batch.schema, Column("image", shape=(2, 2, 1), dtype="float32"))
    >>> decode(batch.column("image"), image).shape
    (2, 2, 2, 1)
    >>> spec(image)
    TensorSpec(name='image', shape=(2, 2, 1), dtype='float32')
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tfspark_cnn.errors import SchemaError, did_you_mean
from tfspark_cnn.feed.columns import Column as Column
from tfspark_cnn.feed.columns import Encoding as Encoding
from tfspark_cnn.feed.rows import why_opaque

Array = NDArray[Any]

Origin = Callable[[int], tuple[int, int]]
"""Gives partition and row in it of a row of the arrays, which are numbered from `first_row`."""

_VECTOR_FIELDS = ("type", "size", "indices", "values")  # pyspark.ml.linalg.VectorUDT.sqlType
_IMAGE_FIELDS = ("origin", "height", "width", "nChannels", "mode", "data")  # pyspark.ml.image.ImageSchema
_OPENCV_DEPTH = 7  # the bits of an OpenCV type that tell the values' type; 0 is uint8
_DENSE = 1  # VectorUDT's `type`; 0 is sparse


class Kind(StrEnum):
    """How a column's values are laid out in Arrow."""

    NUMBERS = "numbers"
    BYTES = "bytes"
    ENCODED = "encoded"
    VECTOR = "vector"
    IMAGE = "image"


@dataclass(frozen=True)
class TensorSpec:
    """Shape and type of one row of a tensor; `dtype` is numpy's name, `object` for bytes still to be decoded."""

    name: str
    shape: tuple[int, ...]
    dtype: str


@dataclass(frozen=True)
class ResolvedColumn:
    """A column that is known to become a tensor; made by `resolve`.

    Attributes:
        column: what was asked for.
        type: Arrow type of the column.
        kind: how its values are laid out.
        dtype: numpy name of the arrays' type; a column with a scale is cast in TensorFlow, from what it holds.
        lengths: of one row in Arrow, level by level: of lists, of bytes, of a vector, or height, width and channels of
            an image. None where the first row is to tell.
        shape: of one row of the tensor, or None where the first row is to tell.
    """

    column: Column
    type: pa.DataType
    kind: Kind
    dtype: str
    lengths: tuple[int | None, ...]
    shape: tuple[int, ...] | None

    @property
    def name(self) -> str:
        """Name of the column."""
        return self.column.name

    @property
    def concrete(self) -> bool:
        """Whether the shape is known."""
        return self.shape is not None and None not in self.lengths


def resolve(schema: pa.Schema, column: Column | str) -> ResolvedColumn:
    """Finds a column in a schema and checks that it can become a tensor.

    Args:
        schema: of the record batches.
        column: what is asked for; a string is the name of a column taken as it is.

    Raises:
        SchemaError: the column is missing, there are two of that name, its type cannot become a tensor, or not one of
            the shape or dtype asked for, or it has classes and is not of integers.

    Example:
        >>> resolve(pa.schema({"x": pa.list_(pa.float32(), 784)}), Column("x", shape=(28, 28, 1))).shape
        (28, 28, 1)
    """
    wanted = Column(column) if isinstance(column, str) else column
    resolved = _resolved(_find(schema, wanted.name), wanted)
    if wanted.classes is not None and np.dtype(resolved.dtype).kind not in "iu":
        raise SchemaError(
            f"column {wanted.name!r}: expected integers for classes={wanted.classes}, received {resolved.type}",
            hint=f'cast it: df.withColumn("{wanted.name}", df["{wanted.name}"].cast("bigint"))',
        )
    return resolved


def _resolved(found: pa.DataType, wanted: Column) -> ResolvedColumn:
    if wanted.encoding != Encoding.RAW:
        return _resolve_encoded(found, wanted)
    if _is_binary(found):
        return _resolve_bytes(found, wanted)
    if _field_names(found) == _VECTOR_FIELDS:
        return _resolve_numbers(found, wanted, Kind.VECTOR, "float64", (None,))
    if _field_names(found) == _IMAGE_FIELDS:
        return _resolve_numbers(found, wanted, Kind.IMAGE, "uint8", (None, None, None))
    lengths, value = _levels(found)
    if not (_is_number(value) or pa.types.is_boolean(value)):
        raise _no_tensor(wanted.name, found, value)
    return _resolve_numbers(found, wanted, Kind.NUMBERS, np.dtype(value.to_pandas_dtype()).name, lengths)


def infer_shape(
    array: pa.Array | pa.ChunkedArray, column: ResolvedColumn, *, first_row: int = 0, origin: Origin | None = None
) -> ResolvedColumn:
    """Fills in from the first row of an array what the schema does not say; gives a concrete column as it is.

    Args:
        array: values of the column, at least one unless the column is concrete.
        column: as `resolve` made it.
        first_row: number of the array's first row, for errors.
        origin: tells partition and row of such a number, for errors; None: there is one partition.

    Raises:
        SchemaError: no rows to tell from, the first one is null or empty, or does not have the shape asked for.
    """
    if column.concrete:
        return column
    if len(array) == 0:
        raise SchemaError(
            f"column {column.name!r}: expected a row to tell the shape from, received none",
            hint=f"pass the shape: Column({column.name!r}, shape=...)",
        )
    first = _Rows(_one_array(array).slice(0, 1), column, first_row, origin)
    first.refuse_nulls(first.array)
    lengths = _FIRST_LENGTHS[column.kind](first)
    if min(lengths) < 1:  # Spark gives images that it cannot read a height of -1
        raise first.error(0, "values to tell the shape from", "none", "drop rows that are empty or invalid")
    return replace(column, lengths=lengths, shape=_shape_of(column, lengths))


def decode(
    array: pa.Array | pa.ChunkedArray, column: ResolvedColumn, *, first_row: int = 0, origin: Origin | None = None
) -> Array:
    """Turns values of a column into a tensor.

    Args:
        array: values of the column.
        column: as `resolve` or `infer_shape` made it; use the latter's for all arrays of a column, so that all have to
            have the same shape.
        first_row: number of the array's first row, for errors.
        origin: tells partition and row of such a number, for errors; None: there is one partition.

    Returns:
        dtype[rows, *shape], contiguous; a read-only view of the Arrow buffers where they allow it. Values of `jpeg` and
        `png` come as object[rows] of bytes, none for a null. Spark's images are uint8[rows, height, width, channels],
        blue first, as Spark keeps them.

    Raises:
        SchemaError: a null, a row of another shape than the first one or than the one asked for, or a value that the
            column was asked to refuse (`classes`, `finite`).
    """
    array = _as_type(array, column, "" if origin is None else f", partition {origin(first_row)[0]}")
    column = infer_shape(array, column, first_row=first_row, origin=origin)
    assert column.shape is not None  # of a concrete column
    if len(array) == 0:
        return np.empty((0, *column.shape), column.dtype)
    rows = _Rows(_one_array(array), column, first_row, origin)
    if column.kind is not Kind.ENCODED:
        rows.refuse_nulls(rows.array)
    found = _VALUES[column.kind](rows)
    rows.refuse_other_classes(found)  # before the cast, which would wrap them
    values = found.astype(column.dtype, copy=False)
    rows.refuse_unbounded(values)
    return values.reshape(len(array), *column.shape)


def pick(batch: pa.RecordBatch, column: ResolvedColumn) -> pa.Array:
    """Gives the values of a column.

    Raises:
        SchemaError: the record batch does not have it: partitions of an RDD may differ.
    """
    _find(batch.schema, column.name)
    return batch.column(column.name)


def spec(column: ResolvedColumn) -> TensorSpec:
    """Gives shape and type of one row of the tensor.

    Raises:
        SchemaError: the shape is not known yet.
    """
    if column.shape is None:
        raise SchemaError(
            f"column {column.name!r}: expected a known shape, received {column.type}",
            hint=f"pass the shape: Column({column.name!r}, shape=...), or use infer_shape on its first rows",
        )
    return TensorSpec(column.name, column.shape, column.dtype)


# --- from the Arrow type --------------------------------------------------------------------------------------------


def _find(schema: pa.Schema, name: str) -> pa.DataType:
    at = schema.get_all_field_indices(name)
    if len(at) == 1:
        return schema.field(at[0]).type
    why = why_opaque(schema)
    if why is not None:
        raise SchemaError(
            f"expected a column {name!r}, received pickled rows: {why}",
            hint="make rows tuples or dicts of numbers, bytes, or arrays of one shape; get_data_feed takes any row",
        )
    there = ", ".join(f"{field.name}: {field.type}" for field in schema) or "no columns"
    if at:
        raise SchemaError(
            f"expected one column {name!r}, received {len(at)} of that name ({there})",
            hint="rename them: df.toDF(...)",
        )
    raise SchemaError(
        f"expected a column {name!r}, received {there}",
        hint=did_you_mean(name, schema.names, "name one of these columns, or add it to the select before train"),
    )


def _levels(found: pa.DataType) -> tuple[tuple[int | None, ...], pa.DataType]:
    """Gives the lengths of nested lists, None where they vary, and the type of the innermost values."""
    lengths: list[int | None] = []
    while _is_list(found):
        lengths.append(found.list_size if pa.types.is_fixed_size_list(found) else None)
        found = found.value_type
    return tuple(lengths), found


def _is_list(found: pa.DataType) -> bool:
    return bool(pa.types.is_list(found) or pa.types.is_large_list(found) or pa.types.is_fixed_size_list(found))


def _is_number(found: pa.DataType) -> bool:
    return bool(pa.types.is_integer(found) or pa.types.is_floating(found))


def _is_binary(found: pa.DataType) -> bool:
    return bool(pa.types.is_binary(found) or pa.types.is_large_binary(found) or pa.types.is_fixed_size_binary(found))


def _field_names(found: pa.DataType) -> tuple[str, ...]:
    return tuple(field.name for field in found) if pa.types.is_struct(found) else ()


def _resolve_encoded(found: pa.DataType, column: Column) -> ResolvedColumn:
    if not _is_binary(found):
        raise SchemaError(
            f"column {column.name!r}: expected binary for {column.encoding}, received {found}",
            hint="leave out encoding, or read the files with spark.read.format('binaryFile')",
        )
    return ResolvedColumn(column, found, Kind.ENCODED, "object", (), ())


def _resolve_bytes(found: pa.DataType, column: Column) -> ResolvedColumn:
    dtype = "uint8" if column.scale is not None else column.dtype or "uint8"
    size = found.byte_width if pa.types.is_fixed_size_binary(found) else None
    if size is None and column.shape is not None:
        size = math.prod(column.shape) * np.dtype(dtype).itemsize
    return _with_lengths(ResolvedColumn(column, found, Kind.BYTES, dtype, (size,), column.shape))


def _resolve_numbers(
    found: pa.DataType, column: Column, kind: Kind, has: str, lengths: tuple[int | None, ...]
) -> ResolvedColumn:
    dtype = has if column.scale is not None else column.dtype or has
    if np.dtype(has).kind == "f" and np.dtype(dtype).kind != "f":  # a scale has a float dtype
        raise SchemaError(
            f"column {column.name!r}: expected a float dtype for {found}, received {dtype!r}: it cuts fractions",
            hint=f'round it: df.withColumn("{column.name}", ...cast("int")), or leave out dtype',
        )
    lengths = _told_by_shape(lengths, column.shape)
    return _with_lengths(ResolvedColumn(column, found, kind, dtype, lengths, column.shape))


def _told_by_shape(lengths: tuple[int | None, ...], shape: tuple[int, ...] | None) -> tuple[int | None, ...]:
    """Fills in lengths that the shape leaves no choice about: of a flat list, or of as many levels as it has axes."""
    if shape is None:
        return lengths
    if lengths == (None,):
        return (math.prod(shape),)
    same = len(lengths) == len(shape) and all(has in (None, axis) for has, axis in zip(lengths, shape, strict=True))
    return shape if same else lengths


def _with_lengths(column: ResolvedColumn) -> ResolvedColumn:
    known = tuple(length for length in column.lengths if length is not None)
    if len(known) < len(column.lengths):
        return column
    if 0 in known:
        raise SchemaError(
            f"column {column.name!r}: expected rows that hold values, received {column.type}", hint="leave it out"
        )
    return replace(column, shape=_shape_of(column, known))


def _shape_of(column: ResolvedColumn, lengths: tuple[int, ...]) -> tuple[int, ...]:
    """Gives the shape of rows that have these lengths in Arrow."""
    asked, has = column.column.shape, lengths
    if column.kind is Kind.BYTES:
        count, rest = divmod(lengths[0], np.dtype(column.dtype).itemsize)
        has = (count,)
        if rest or (asked is not None and math.prod(asked) != count):
            raise _other_size(column, asked, f"{lengths[0]} bytes")
    elif asked is not None and math.prod(asked) != math.prod(lengths):
        raise _other_size(column, asked, f"{' x '.join(map(str, lengths)) or 'single'} values")
    return has if asked is None else asked


def _other_size(column: ResolvedColumn, asked: tuple[int, ...] | None, received: str) -> SchemaError:
    wanted = f"{column.dtype} of shape {asked}" if asked else f"a whole number of {column.dtype}"
    return SchemaError(
        f"column {column.name!r} ({column.type}): expected {wanted}, received rows of {received}",
        hint="give the shape and dtype that the column holds, without the batch axis",
    )


def _no_tensor(name: str, found: pa.DataType, value: pa.DataType) -> SchemaError:
    hint = next((hint for matches, hint in _CURES if matches(value)), "select columns of numbers, lists or bytes")
    return SchemaError(
        f"column {name!r}: expected numbers, lists of numbers or bytes, received {found}", hint=hint.format(name=name)
    )


_CURES: tuple[tuple[Callable[[pa.DataType], bool], str], ...] = (
    (pa.types.is_decimal, 'cast it: df.withColumn("{name}", df["{name}"].cast("double"))'),
    (pa.types.is_date, 'turn it into days: df.withColumn("{name}", F.unix_date("{name}"))'),
    (pa.types.is_timestamp, 'turn it into microseconds: df.withColumn("{name}", F.unix_micros("{name}"))'),
    (
        pa.types.is_string,
        'index it: StringIndexer(inputCol="{name}", outputCol="{name}_index"), or cast it to a number',
    ),
    (pa.types.is_large_string, 'index it: StringIndexer(inputCol="{name}", outputCol="{name}_index")'),
    (pa.types.is_struct, 'select its fields: df.select("{name}.*")'),
    (pa.types.is_map, 'select the values of its keys: df["{name}"][key]'),
    (pa.types.is_null, 'it holds nothing but nulls: fill or leave out "{name}"'),
    (_is_binary, "give one row one binary value, not a list of them"),
)


# --- from the Arrow buffers -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Rows:
    """Values of a column, with what errors about them need."""

    array: pa.Array
    column: ResolvedColumn
    first_row: int
    origin: Origin | None = None

    @property
    def lengths(self) -> tuple[int, ...]:
        """Lengths of the column, which is concrete."""
        return tuple(length for length in self.column.lengths if length is not None)

    def refuse_nulls(self, values: pa.Array, *, per_row: int = 1) -> None:
        """Refuses the first null among the values, of which each row has `per_row`."""
        if values.null_count:
            at = int(np.flatnonzero(values.is_null().to_numpy(zero_copy_only=False))[0])
            raise self.error(at // per_row, "a value", "a null", "drop or fill nulls: df.dropna(), df.fillna(...)")

    def refuse_others(self, lengths: Array, expected: int, unit: str, *, per_row: int = 1) -> None:
        """Refuses the first of the lengths that is not the expected one."""
        others = np.flatnonzero(lengths != expected)
        if len(others):
            received = f"{lengths[others[0]]} {unit}"
            row = int(others[0]) // per_row
            raise self.error(row, f"{expected} {unit}", received, self._encoding_of(row) or _SAME_SHAPE)

    def _encoding_of(self, row: int) -> str | None:
        """Says how to read a row whose bytes are those of an image file."""
        value = self.array[row].as_py() if self.column.kind is Kind.BYTES else b""
        found = next((name for start, name in _STARTS.items() if value.startswith(start)), None)
        return f'these are {found} files: set encoding="{found}"' if found else None

    def refuse_other_classes(self, values: Array) -> None:
        """Refuses the first integer that is no class, if the column has classes."""
        classes = self.column.column.classes
        if classes is None or (values.min() >= 0 and values.max() < classes):
            return
        flat = values.reshape(-1)
        at = int(np.flatnonzero((flat < 0) | (flat >= classes))[0])
        hint = f"classes are numbered from 0: pass classes={int(values.max()) + 1}, or mend the labels before train"
        raise self.error(
            at * len(self.array) // len(flat), f"a class of 0 to {classes - 1}", str(flat[at]),
            hint if values.min() >= 0 else "classes are numbered from 0: filter or mend the labels before train",
        )  # fmt: skip

    def refuse_unbounded(self, values: Array) -> None:
        """Refuses the first NaN or infinity, if the column is to be finite."""
        if not self.column.column.finite or values.dtype.kind != "f":
            return
        if np.isfinite(values.min()) and np.isfinite(values.max()):  # which NaN makes NaN; nothing is allocated
            return
        flat = values.reshape(-1)
        at = int(np.flatnonzero(~np.isfinite(flat))[0])
        hint = "filter them before train, as with F.isnan, or leave out finite=True"
        raise self.error(at * len(self.array) // len(flat), "finite values", str(flat[at]), hint)

    def error(self, row: int, expected: str, received: str, hint: str) -> SchemaError:
        number = self.first_row + row
        place = f"row {number}" if self.origin is None else "partition {}, row {}".format(*self.origin(number))
        return SchemaError(f"column {self.column.name!r}, {place}: expected {expected}, received {received}", hint=hint)


_SAME_SHAPE = "bring all rows to one shape: pad, crop or filter them"
_STARTS = {b"\x89PNG": "png", b"\xff\xd8\xff": "jpeg"}


def _as_type(array: pa.Array | pa.ChunkedArray, column: ResolvedColumn, place: str) -> pa.Array | pa.ChunkedArray:
    """Casts values to the column's type: partitions of an RDD have the types of their own first rows."""
    same_layout = column.kind is not Kind.NUMBERS and array.type.id == column.type.id
    if array.type == column.type or same_layout:
        return array
    try:
        return array.cast(column.type)
    except pa.ArrowException as error:
        raise SchemaError(
            f"column {column.name!r}{place}: expected {column.type} as in the first partition, "
            f"received {array.type}: {error}",
            hint="bring all rows to one type before train: rdd.map(lambda row: ...), or use a DataFrame",
        ) from error


def _one_array(array: pa.Array | pa.ChunkedArray) -> pa.Array:
    if not isinstance(array, pa.ChunkedArray):
        return array
    return array.chunk(0) if array.num_chunks == 1 else pa.concat_arrays(array.chunks)


def _offsets(array: pa.Array) -> Array:
    """Gives where the values of each row of lists or bytes start, and where the last one ends: int[rows + 1]."""
    large = pa.types.is_large_list(array.type) or pa.types.is_large_binary(array.type)
    dtype = np.dtype("int64" if large else "int32")
    return np.frombuffer(array.buffers()[1], dtype, len(array) + 1, array.offset * dtype.itemsize)


def _first_list_lengths(rows: _Rows) -> tuple[int, ...]:
    lengths, values = [], rows.array
    # Below an empty list everything is empty, so the loop needs no stop for it.
    while _is_list(values.type):
        rows.refuse_nulls(values, per_row=max(1, len(values)))
        values = values.slice(0, 1).flatten()
        lengths.append(len(values))
    return tuple(lengths)


def _first_byte_lengths(rows: _Rows) -> tuple[int, ...]:
    return (len(rows.array[0].as_py()),)


def _first_vector_lengths(rows: _Rows) -> tuple[int, ...]:
    return (int(_vector_sizes(rows.array)[0]),)


def _first_image_lengths(rows: _Rows) -> tuple[int, ...]:
    first = rows.array[0].as_py()
    return first["height"] or 0, first["width"] or 0, first["nChannels"] or 0


def _numbers(rows: _Rows) -> Array:
    values, per_row = rows.array, 1
    for expected in rows.lengths:
        if not pa.types.is_fixed_size_list(values.type):
            rows.refuse_others(np.diff(_offsets(values)), expected, "values", per_row=per_row)
        values, per_row = values.flatten(), per_row * expected
        rows.refuse_nulls(values, per_row=per_row)
    # Arrow packs booleans as bits; all else is laid out as numpy has it.
    found: Array = values.to_numpy(zero_copy_only=not pa.types.is_boolean(values.type))
    return found


def _bytes(rows: _Rows) -> Array:
    dtype = np.dtype(rows.column.dtype)
    flat = _views(rows, rows.array, rows.lengths[0])
    # A slice may start where numbers of this type must not; TensorFlow would copy each batch of it.
    aligned = flat if flat.ctypes.data % dtype.alignment == 0 else flat.copy()
    return aligned.view(dtype)


def _views(rows: _Rows, array: pa.Array, size: int) -> Array:
    """Gives the bytes of all rows one after the other: uint8[rows * size], each row of `size` bytes."""
    if pa.types.is_fixed_size_binary(array.type):
        data, start = array.buffers()[1], array.offset * size
    else:
        offsets = _offsets(array)
        rows.refuse_others(np.diff(offsets), size, "bytes")
        data, start = array.buffers()[2], int(offsets[0])
    flat = np.frombuffer(data, np.uint8, len(array) * size, start)
    flat.flags.writeable = False  # some buffers could be written to, and all of them are shared
    return flat


def _encoded(rows: _Rows) -> Array:
    # A null is an image that cannot be decoded, like any other bytes that are none: the dataset decides on both.
    held = rows.array.cast(pa.large_binary()).fill_null(b"") if rows.array.null_count else rows.array
    found: Array = held.to_numpy(zero_copy_only=False)
    return found


def _vector_sizes(vectors: pa.StructArray) -> Array:
    sizes = vectors.field("size").fill_null(-1).to_numpy()  # null, so absent, for dense ones
    return np.where(_is_dense(vectors), _counts(vectors), sizes)


def _is_dense(vectors: pa.StructArray) -> NDArray[np.bool_]:
    dense: NDArray[np.bool_] = vectors.field("type").to_numpy() == _DENSE
    return dense


def _counts(vectors: pa.StructArray) -> Array:
    counts: Array = vectors.field("values").value_lengths().fill_null(0).to_numpy()
    return counts


def _vectors(rows: _Rows) -> Array:
    vectors, size = rows.array, rows.lengths[0]
    rows.refuse_others(_vector_sizes(vectors), size, "values")
    flat: Array = vectors.field("values").flatten().to_numpy()
    return flat if _is_dense(vectors).all() else _spread(vectors, flat, size)


def _spread(vectors: pa.StructArray, flat: Array, size: int) -> Array:
    """Puts the values of dense and sparse vectors where they belong: float64[rows, size]."""
    counts, dense = _counts(vectors), _is_dense(vectors)
    of_dense = np.repeat(dense, counts)
    at = np.empty(len(flat), np.int64)
    at[of_dense] = np.tile(np.arange(size), int(dense.sum()))
    at[~of_dense] = vectors.field("indices").flatten().to_numpy()
    spread = np.zeros((len(vectors), size))
    spread[np.repeat(np.arange(len(vectors)), counts), at] = flat
    return spread


def _images(rows: _Rows) -> Array:
    images = rows.array
    for field, expected in zip(("height", "width", "nChannels"), rows.lengths, strict=True):
        rows.refuse_others(images.field(field).fill_null(-1).to_numpy(), expected, f"as {field}")
    modes = images.field("mode").fill_null(-1).to_numpy()
    others = np.flatnonzero(modes & _OPENCV_DEPTH)
    if len(others):
        received = f"mode {modes[others[0]]}"
        raise rows.error(int(others[0]), "an image of 8 bits a channel", received, "convert it, or drop invalid images")
    data = images.field("data")
    rows.refuse_nulls(data)
    return _views(rows, data, math.prod(rows.lengths))


_FIRST_LENGTHS: dict[Kind, Callable[[_Rows], tuple[int, ...]]] = {
    Kind.NUMBERS: _first_list_lengths,
    Kind.BYTES: _first_byte_lengths,
    Kind.VECTOR: _first_vector_lengths,
    Kind.IMAGE: _first_image_lengths,
}

_VALUES: dict[Kind, Callable[[_Rows], Array]] = {
    Kind.NUMBERS: _numbers,
    Kind.BYTES: _bytes,
    Kind.ENCODED: _encoded,
    Kind.VECTOR: _vectors,
    Kind.IMAGE: _images,
}
