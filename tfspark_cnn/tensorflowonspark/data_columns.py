"""The columns of a DataFrame that a mapping names: whether they are there, and how they are fed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tfspark_cnn.errors import ConfigError, SchemaError, did_you_mean

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


def quoted(name: str) -> str:
    """Gives the name of a column as Spark's functions take any, also with a dot in it."""
    return "`" + name.replace("`", "``") + "`"


def check_mapped(frame: DataFrame, mapping: Mapping[str, str], *, setter: str) -> None:
    """Refuses a mapping without columns, or with one that the DataFrame does not have.

    Args:
        frame: the data.
        mapping: column to tensor.
        setter: which sets the mapping, for errors.

    Raises:
        ConfigError: it is empty.
        SchemaError: a column is missing.
    """
    if not mapping:
        raise ConfigError("input_mapping is empty, expected columns", hint=f"{setter}({{'column': 'tensor', ...}})")
    for name in mapping:
        if name not in frame.columns:
            raise SchemaError(
                f"input_mapping: expected a column {name!r}, received {', '.join(frame.columns)}",
                hint=did_you_mean(name, frame.columns, "map one of these, or add it to the DataFrame"),
            )


def fed_alike(frame: DataFrame, columns: Sequence[str]) -> Any:
    """Gives the columns to feed, so that train_fn sees each value as its row has it.

    As a DataFrame, which is fastest, where Arrow gives back what a Row holds; else, as for vectors of Spark ML, as RDD.

    Args:
        frame: the data.
        columns: names, in the order of the values in a row.
    """
    selected = frame.select([quoted(name) for name in columns])
    return selected if all(_is_plain(field.dataType) for field in selected.schema.fields) else selected.rdd


def _is_plain(kind: Any) -> bool:
    from pyspark.sql import types

    if isinstance(kind, types.ArrayType):
        return _is_plain(kind.elementType)
    plain = (types.StringType, types.BinaryType, types.BooleanType, types.IntegralType, types.FractionalType)
    return isinstance(kind, plain) and not isinstance(kind, types.DecimalType)
