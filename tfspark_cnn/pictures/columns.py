"""Columns of scored DataFrames, as pictures need them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tfspark_cnn.errors import SchemaError, did_you_mean

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame


def check(scored: DataFrame, *names: str) -> list[Column]:
    """Gives columns by their names, dots and all.

    Raises:
        SchemaError: there is no such column.
    """
    from pyspark.sql import functions as sf

    for name in names:
        if name not in scored.columns:
            has = f"it has {', '.join(scored.columns)}"
            raise SchemaError(
                f"the DataFrame has no column {name!r}", hint=did_you_mean(name, scored.columns, has)
            )  # fmt: skip
    return [sf.col("`" + name.replace("`", "``") + "`") for name in names]


def class_names(scored: DataFrame, *names: str) -> Sequence[str] | None:
    """Gives the names of the classes that a StringIndexer left with one of some columns, or None."""
    for name in names:
        values = scored.schema[name].metadata.get("ml_attr", {}).get("vals")
        if values:
            return [str(value) for value in values]
    return None


def key(value: Any) -> Any:
    """Gives a class as a whole number where it is one: Spark's predictions are doubles, its labels often longs.

    Example:
        >>> key(3.0), key("cat"), key(None)
        (3, 'cat', None)
    """
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if value is None or isinstance(value, int | str) else str(value)
