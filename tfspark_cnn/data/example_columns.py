"""Which columns a `tf.train.Example` has, and its features as Arrow columns and back. Pure.

| Spark | feature |
|---|---|
| `binary`, `string` | bytes_list |
| `float`, `double` | float_list, of 32 bits: a double loses its lower digits |
| `bigint`, `int`, `smallint`, `tinyint`, `boolean` | int64_list |
| an array of one of these | the same list, of any length |
| null | no such feature |

Example:
    >>> batch = batch_of([{"label": np.array([3])}], pa.schema({"label": pa.int64()}))
    >>> batch.to_pydict()
    {'label': [3]}
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.types as pat

from tfspark_cnn.data.example import Feature, Values, encoded
from tfspark_cnn.errors import ConfigError

_KINDS = {"bytes_list": "binary or string", "float_list": "float or double", "int64_list": "an integer or boolean"}


class WrongFeature(ValueError):
    """A feature does not fit its column; the message names both."""


def check_schema(schema: pa.Schema) -> None:
    """Refuses columns that no feature can be.

    Raises:
        ConfigError: there is such a column, or two of a name.
    """
    if len(set(schema.names)) < len(schema.names):
        raise ConfigError(f"expected columns of different names, received {schema.names}", hint="rename one of them")
    for column in schema:
        if _kind(_element(column.type)) is None:
            raise ConfigError(
                f"expected column {column.name!r} of numbers, texts, bytes, or arrays of one of these, received "
                f"{column.type}",
                hint="cast it, as df.withColumn(name, col(name).cast('string')), or leave it out",
            )


def schema_of(examples: Iterable[Mapping[str, Feature]]) -> pa.Schema:
    """Gives the columns of examples, by name: bytes, bigint or float, an array where one has not exactly one value.

    Raises:
        WrongFeature: a feature is of one kind in one example, and of another in the next.
    """
    kinds: dict[str, str | None] = {}
    several: set[str] = set()
    for example in examples:
        for name, values in example.items():
            kind = kinds.get(name) or kind_of(values)
            if values is not None and kind != kind_of(values):
                raise WrongFeature(f"feature {name!r}: expected {kind} as before, received {kind_of(values)}")
            kinds[name] = kind
            if values is not None and len(values) != 1:
                several.add(name)
    types = {"bytes_list": pa.binary(), "float_list": pa.float32(), "int64_list": pa.int64()}
    found = {name: types[kind] for name, kind in sorted(kinds.items()) if kind is not None}
    return pa.schema({name: pa.list_(kind) if name in several else kind for name, kind in found.items()})


def batch_of(examples: Sequence[Mapping[str, Feature]], schema: pa.Schema) -> pa.RecordBatch:
    """Gives examples as rows of a schema; features that it does not have are left out.

    Raises:
        WrongFeature: a feature is of another kind than its column, has not one value, or one too large for it.
    """
    columns = [_column([example.get(one.name) for example in examples], one) for one in schema]
    return pa.record_batch(columns, schema=schema)


def encoded_rows(batch: pa.RecordBatch) -> list[bytes]:
    """Gives each row as the bytes of an Example."""
    columns = [_features(batch.column(place)) for place in range(batch.num_columns)]
    names = batch.schema.names
    return [
        encoded({name: values for name, values in zip(names, row, strict=True) if values is not None})
        for row in zip(*columns, strict=True)
    ]


def _features(column: pa.Array) -> list[Values | None]:
    element = _element(column.type)
    is_list = element is not column.type
    to_values = _to_values(element)
    if not is_list:
        return [None if value is None else to_values([value]) for value in column.to_pylist()]
    # A slice of the values of all rows is much cheaper than a Python object for each of them.
    flat, offsets = column.values, column.offsets.to_pylist()
    return [
        to_values(flat.slice(start, stop - start)) if valid else None
        for start, stop, valid in zip(offsets, offsets[1:], column.is_valid().to_pylist(), strict=False)
    ]


def _to_values(element: pa.DataType) -> Callable[[Any], Values]:
    kind = _kind(element)
    if kind == "bytes_list":
        return _bytes_of
    dtype = np.float32 if kind == "float_list" else np.int64
    return lambda values: _numbers_of(values, dtype)


def _bytes_of(values: Any) -> list[bytes]:
    plain = values.to_pylist() if isinstance(values, pa.Array) else values
    if None in plain:
        raise WrongFeature("expected no null within an array, received one: a feature has no place for it")
    return [value.encode() if isinstance(value, str) else bytes(value) for value in plain]


def _numbers_of(values: Any, dtype: Any) -> Any:
    if not isinstance(values, pa.Array):
        return np.asarray(values, dtype)
    if values.null_count:
        raise WrongFeature("expected no null within an array, received one: a feature has no place for it")
    return values.to_numpy(zero_copy_only=False).astype(dtype)


def _column(features: list[Feature], column: pa.Field) -> pa.Array:
    element = _element(column.type)
    expected = _kind(element)
    for values in features:
        if values is not None and kind_of(values) != expected:
            raise WrongFeature(
                f"feature {column.name!r}: expected a {expected} for a column of {column.type}, received a "
                f"{kind_of(values)}, which is {_KINDS[str(kind_of(values))]}"
            )
    try:
        if element is column.type:
            return pa.array([_single(values, column.name) for values in features], _wide(element)).cast(element)
        return pa.array(features, pa.list_(_wide(element))).cast(column.type)
    except pa.ArrowException as error:
        raise WrongFeature(f"feature {column.name!r}: expected values of {element}, received {error}") from error


def _single(values: Feature, name: str) -> Any:
    if values is None or len(values) == 0:
        return None
    if len(values) > 1:
        raise WrongFeature(
            f"feature {name!r}: expected one value, received {len(values)}; its column must be an array for that"
        )
    return values[0]


def _element(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if pat.is_list(kind) else kind


def _wide(element: pa.DataType) -> pa.DataType:
    """Gives the type of the feature's own values, from which a cast finds what does not fit."""
    return {"bytes_list": pa.binary(), "float_list": pa.float32(), "int64_list": pa.int64()}[str(_kind(element))]


def _kind(element: pa.DataType) -> str | None:
    if pat.is_binary(element) or pat.is_string(element):
        return "bytes_list"
    if pat.is_float32(element) or pat.is_float64(element):
        return "float_list"
    return "int64_list" if pat.is_signed_integer(element) or pat.is_boolean(element) else None


def kind_of(values: Feature) -> str | None:
    """Gives which list a feature is, as `int64_list`; None where none is set."""
    if values is None:
        return None
    if isinstance(values, np.ndarray):
        return "float_list" if values.dtype.kind == "f" else "int64_list"
    return "bytes_list"
