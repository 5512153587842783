"""Rows as `tf.train.Example` bytes and back, one by one, and the columns that examples have. No Spark job.

| Spark | feature |
|---|---|
| `float`, `double` | float_list, of 32 bits |
| `boolean`, `tinyint`, `smallint`, `int`, `bigint` | int64_list |
| `binary`, `string` | bytes_list |
| an array of one of these | the same list |
| null | no such feature |

Back, a list is `bigint`, `double` or `string`, or `binary` where the caller says so; an array where there are several.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tfspark_cnn.data.example import Feature, NotAnExample, Values, decoded, encoded
from tfspark_cnn.errors import ConfigError, CorruptFileError, SchemaError

if TYPE_CHECKING:
    from pyspark.sql import Row
    from pyspark.sql.types import DataType, StructType

FLOATS = frozenset(["float", "double"])
INTEGERS = frozenset(["boolean", "tinyint", "smallint", "int", "bigint", "long"])
BYTES = frozenset(["binary", "string"])


@dataclass(frozen=True)
class ToExamples:
    """Turns rows into records of a TFRecord file; a function for `rdd.mapPartitions`.

    Attributes:
        dtypes: name and type of each column, as `DataFrame.dtypes` has them.
    """

    dtypes: tuple[tuple[str, str], ...]

    def __post_init__(self) -> None:
        for name, dtype in self.dtypes:
            if _element(dtype) not in FLOATS | INTEGERS | BYTES:
                raise ConfigError(
                    f"expected column {name!r} of numbers, texts, bytes, or arrays of one of these, received {dtype}",
                    hint="cast it, as df.withColumn(name, col(name).cast('string')), or leave it out",
                )

    def __call__(self, rows: Iterable[Any]) -> Iterator[tuple[bytearray, None]]:
        """Gives a record for each row, with None beside it, as Hadoop's output formats want a value to a key."""
        return ((bytearray(self.example(row)), None) for row in rows)

    def example(self, row: Any) -> bytes:
        """Gives the bytes of a `tf.train.Example` with the values of a row.

        Raises:
            SchemaError: an array holds a null.
        """
        values = {name: _values(row[name], name, dtype) for name, dtype in self.dtypes if row[name] is not None}
        return encoded(values)


def _values(value: Any, name: str, dtype: str) -> Values:
    plain = value if dtype.startswith("array<") else [value]
    if any(one is None for one in plain):
        raise SchemaError(
            f"column {name!r}: expected no null within an array, received one: a feature has no place for it",
            hint="leave nulls out of arrays: array_compact(...)",
        )
    element = _element(dtype)
    if element in BYTES:
        return [bytes(one) if element == "binary" else str(one).encode() for one in plain]
    return np.asarray(plain, np.float32) if element in FLOATS else np.asarray(plain, np.int64)


def _element(dtype: str) -> str:
    return dtype.removeprefix("array<").removesuffix(">") if dtype.startswith("array<") else dtype


def parsed(record: Any) -> dict[str, Feature]:
    """Gives the features of a record: bytes, `(bytes, anything)`, or a `tf.train.Example` itself.

    Raises:
        CorruptFileError: the bytes are none of an Example.
    """
    one = record[0] if isinstance(record, tuple) else record
    data = one.SerializeToString() if hasattr(one, "SerializeToString") else bytes(one)
    try:
        return decoded(data)
    except NotAnExample as error:
        raise CorruptFileError(
            f"expected a tf.train.Example, received {error}", hint="read the records of a TFRecord file of Examples"
        ) from error


def row_of(features: Mapping[str, Feature], binary_features: Collection[str]) -> Row:
    """Gives features as a row, by name: one value alone, several as a list, none as None.

    Raises:
        SchemaError: bytes are no text, and not said to be binary.
    """
    from pyspark.sql import Row

    return Row(**{name: _value(name, features[name], name in binary_features) for name in sorted(features)})


def _value(name: str, feature: Feature, is_binary: bool) -> Any:
    if feature is None or len(feature) == 0:
        return None
    found = feature.tolist() if isinstance(feature, np.ndarray) else [_text(one, name, is_binary) for one in feature]
    return found if len(found) > 1 else found[0]


def _text(value: bytes, name: str, is_binary: bool) -> bytearray | str:
    if is_binary:
        return bytearray(value)
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        raise SchemaError(
            f"feature {name!r}: expected text in UTF-8, received {value[:20]!r}",
            hint=f"say that it is binary: binary_features=[{name!r}]",
        ) from error


def struct_of(kinds: Mapping[str, tuple[str | None, bool]], binary_features: Collection[str]) -> StructType:
    """Gives the columns for features.

    Args:
        kinds: by name: the kind of list (None where none is set), and whether there are several values.
        binary_features: names of those that are binary, and not text.
    """
    from pyspark.sql import types

    fields = []
    for name, (kind, several) in sorted(kinds.items()):
        element: DataType = types.StringType()
        if kind in ("float_list", "int64_list"):
            element = types.DoubleType() if kind == "float_list" else types.LongType()
        elif name in binary_features:
            element = types.BinaryType()
        fields.append(types.StructField(name, types.ArrayType(element) if several else element, True))
    return types.StructType(fields)
