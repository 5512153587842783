"""What the labels of a DataFrame are: how many classes, by which names, and whether every row has one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tfspark_cnn.errors import ConfigError, EmptyFeedError, SchemaError, did_you_mean

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

SHOWN = 10


@dataclass(frozen=True)
class Labels:
    """The classes that there are.

    Attributes:
        classes: labels are 0 to `classes - 1`.
        names: of the classes, where a StringIndexer gave them.
    """

    classes: int
    names: tuple[str, ...] | None = None


def quoted(name: str) -> str:
    """Gives the name of a column as Spark's functions take any, also with a dot in it."""
    return "`" + name.replace("`", "``") + "`"


def check_columns(frame: DataFrame, *names: str) -> None:
    """Refuses a DataFrame without one of the columns.

    Raises:
        SchemaError: one is not there.
    """
    for name in names:
        if name not in frame.columns:
            raise SchemaError(
                f"expected a column {name!r}, received {', '.join(frame.columns)}",
                hint=did_you_mean(name, frame.columns, "name one of these, as --features-col or --label-col"),
            )


def read_labels(frame: DataFrame, column: str, *, classes: int | None) -> Labels:
    """Looks at all labels, in one job that reads no other column.

    Args:
        frame: of the rows to train on.
        column: of labels, whole numbers of any type.
        classes: how many there are; None: as the metadata of a StringIndexer say, or one more than the largest label.

    Raises:
        SchemaError: labels are no numbers, or some are null, fractions, or out of range; without `classes` and
            metadata also if a number in between has no row.
        ConfigError: there is one class alone, or `classes` contradicts the metadata.
        EmptyFeedError: there are no rows.
    """
    from pyspark.sql import functions as sf
    from pyspark.sql.types import NumericType

    kind = frame.schema[column].dataType
    if not isinstance(kind, NumericType):
        raise SchemaError(
            f"column {column!r}: expected whole numbers as labels, received {kind.simpleString()}",
            hint="number them: StringIndexer(inputCol=..., outputCol=...) of pyspark.ml.feature",
        )
    names = _names(frame, column)
    label = sf.col(quoted(column))
    number = label.cast("double")
    bad = label.isNull() | sf.isnan(number) | (sf.floor(number) != number)
    found = frame.agg(
        sf.count(sf.lit(1)).alias("rows"), sf.count_if(bad).alias("bad"), sf.min(label).alias("least"),
        sf.max(label).alias("most"), sf.count_distinct(label).alias("different"),
    ).first()  # fmt: skip
    _refuse(found, column)
    return _labels(found, column, names=names, classes=classes)


def check_numbers(frame: DataFrame, column: str) -> None:
    """Looks at all numbers to learn from, in one job that reads no other column.

    Args:
        frame: of the rows to train on.
        column: of numbers of any type.

    Raises:
        SchemaError: they are none, or some are null, NaN or infinite.
        EmptyFeedError: there are no rows.
    """
    from pyspark.sql import functions as sf
    from pyspark.sql.types import NumericType

    kind = frame.schema[column].dataType
    if not isinstance(kind, NumericType):
        raise SchemaError(
            f"column {column!r}: expected numbers, received {kind.simpleString()}", hint="cast it to double"
        )
    number = sf.col(quoted(column)).cast("double")
    bad = number.isNull() | sf.isnan(number) | (sf.abs(number) == float("inf"))
    found = frame.agg(sf.count(sf.lit(1)).alias("rows"), sf.count_if(bad).alias("bad")).first()
    _refuse_missing(found, f"column {column!r}: expected numbers", cure=f"df.where(df[{column!r}].isNotNull())")


def _names(frame: DataFrame, column: str) -> tuple[str, ...] | None:
    attributes = frame.schema[column].metadata.get("ml_attr", {})
    return tuple(attributes["vals"]) if "vals" in attributes else None


def _refuse_missing(found: Any, expected: str, *, cure: str) -> None:
    if not found.rows:
        raise EmptyFeedError("the data has no rows", hint="look at the filters and joins that made it")
    if found.bad:
        raise SchemaError(
            f"{expected}, received {found.bad} of {found.rows} rows without", hint=f"filter them out: {cure}"
        )


def _refuse(found: Any, column: str) -> None:
    cure = f"df.where(df[{column!r}].isNotNull()), or number them with StringIndexer"
    _refuse_missing(found, f"column {column!r}: expected whole numbers as labels", cure=cure)
    if found.least < 0:
        raise SchemaError(
            f"column {column!r}: expected labels from 0 on, received {int(found.least)}",
            hint="number the classes 0, 1, 2, ...; StringIndexer does",
        )


def _labels(found: Any, column: str, *, names: tuple[str, ...] | None, classes: int | None) -> Labels:
    if names is not None and classes not in (None, len(names)):
        raise ConfigError(
            f"classes is {classes}, and the metadata of column {column!r} name {len(names)}: {names[:SHOWN]}",
            hint="leave classes out",
        )
    count = len(names) if names is not None else classes or int(found.most) + 1
    if found.most >= count:
        raise SchemaError(
            f"column {column!r}: expected labels of 0 to {count - 1}, received {int(found.most)}",
            hint=f"set classes={int(found.most) + 1}, or filter such rows out",
        )
    if names is None and classes is None and found.different < count:
        raise SchemaError(
            f"column {column!r}: labels go to {count - 1}, and only {found.different} of these {count} have a row",
            hint=f"set classes={count} if that is meant; else number them without gaps, as StringIndexer does",
        )
    if count < 2:
        raise ConfigError(f"column {column!r}: expected two classes or more, received {count}", hint="set classes")
    return Labels(count, names)
