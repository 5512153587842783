"""Python rows into Arrow record batches, by column, and back.

| a row | its columns | its kind |
|---|---|---|
| tuple, list | `_1`, `_2`, ... as Spark names them | `tuple`, `list` |
| `pyspark.sql.Row`, named tuple | its fields | `tuple` |
| dict with strings as keys | its keys | `dict` |
| a NumPy array, a number, str, bytes | `_1` | `scalar` |
| anything else, or rows that differ | `rows`: each row pickled | `opaque` |

The first batch fixes kind, columns and types; a later row that does not fit is refused. Batches of different partitions
may differ: whoever reads them by column casts (`schema.decode`), and `to_rows` looks at each batch alone.

Example:
    >>> import numpy as np
    >>> batch, = record_batches([(np.zeros((2, 2), "float32"), 1), (np.ones((2, 2), "float32"), 0)])
    >>> batch.schema.names, batch.num_rows
    (['_1', '_2'], 2)
    >>> to_rows(batch)[1]
    (array([[1., 1.],
           [1., 1.]], dtype=float32), 0)
"""

from __future__ import annotations

import itertools
import pickle
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import pyarrow as pa

from tfspark_cnn.errors import FeedError
from tfspark_cnn.feed import values
from tfspark_cnn.feed.values import ColumnType, Misfit

MAX_ROWS = 1024
"""Rows of a batch: enough that the cost of a batch, about 100 us, is nothing beside that of its rows."""

FIRST_ROWS = 64
"""Rows of the first batch; each of the next may be twice as large: rows that are slow to compute arrive soon."""

MAX_BYTES = 1 << 19
"""Bytes of a batch, about: 170 rows of 28x28 floats. The Python objects of more rows fall out of the processor's cache:
lists of 784 floats took 17 us a row at 512 kB and 27 at 4 MB, of which unpickling is 11; arrays 1.5 and 1.9."""

_KIND = b"tfspark_rows"
_WHY = b"tfspark_why"
_OPAQUE_COLUMN = "rows"


UNKNOWN_SCHEMA = pa.schema([], {_KIND: b"unknown"})
"""Announced for an RDD: its columns are known when its first rows are."""


class RowKind(StrEnum):
    """What the rows of a batch are in Python."""

    TUPLE = "tuple"
    LIST = "list"
    DICT = "dict"
    SCALAR = "scalar"
    OPAQUE = "opaque"


def record_batches(
    rows: Iterable[Any], *, max_rows: int = MAX_ROWS, max_bytes: int = MAX_BYTES
) -> Iterator[pa.RecordBatch]:
    """Turns rows into record batches of one schema.

    NumPy arrays of one shape become (nested) lists of fixed size with their dtype kept; lists of numbers become lists
    of int64 or float64. Rows that Arrow has no type for are pickled, one by one.

    Args:
        rows: of one kind; see the top of this module.
        max_rows: of a batch.
        max_bytes: of a batch, about; one row may be more.

    Raises:
        FeedError: a row does not fit the first ones.

    Example:
        >>> [batch.num_rows for batch in record_batches(range(5), max_rows=2)]
        [2, 2, 1]
    """
    source = iter(rows)
    first = list(itertools.islice(source, 1))
    if not first:
        return
    limit = min(FIRST_ROWS, max_rows)
    size = _batch_rows(_nbytes(first[0]), 1, limit, max_bytes)
    block = first + list(itertools.islice(source, size - 1))
    layout, batch = _first_batch(block)
    yield batch
    done = len(block)
    while True:
        limit = min(2 * limit, max_rows)
        block = list(itertools.islice(source, _batch_rows(batch.nbytes, batch.num_rows, limit, max_bytes)))
        if not block:
            return
        batch = layout.batch(block, first_row=done)
        yield batch
        done += len(block)


def record_batch(rows: Sequence[Any]) -> pa.RecordBatch:
    """Turns some rows into one record batch, whose schema is theirs alone; rows that differ are pickled.

    Example:
        >>> to_rows(record_batch([1, "two"]))
        [1, 'two']
    """
    return _first_batch(rows)[1]


def _first_batch(rows: Sequence[Any]) -> tuple[RowLayout, pa.RecordBatch]:
    layout = RowLayout.of(rows)
    try:
        return layout, layout.batch(rows, first_row=0)
    except FeedError as error:  # a number too large for the type of the others
        layout = RowLayout(RowKind.OPAQUE, (), error.message)
        return layout, layout.batch(rows, first_row=0)


def to_rows(batch: pa.RecordBatch) -> list[Any]:
    """Gives the rows of a record batch as Python has them: those of `record_batches` as they were, others as tuples.

    NumPy arrays come as NumPy arrays of their own; lists of numbers as lists. A `Row` or named tuple comes as a tuple.

    Args:
        batch: of `record_batches`, or of a DataFrame. Pickled rows are unpickled: it must come from somebody trusted.
    """
    kind = kind_of(batch.schema)
    if kind is RowKind.OPAQUE:
        return [pickle.loads(body) for body in batch.column(0).to_pylist()]  # noqa: S301  a feeder with the secret
    columns = [values.to_values(batch.column(i), batch.schema.field(i)) for i in range(batch.num_columns)]
    if kind is RowKind.SCALAR:
        return columns[0]
    tuples = list(zip(*columns, strict=True)) if columns else [()] * batch.num_rows
    if kind is RowKind.LIST:
        return list(map(list, tuples))
    if kind is RowKind.DICT:
        return [dict(zip(batch.schema.names, row, strict=True)) for row in tuples]
    return tuples


def kind_of(schema: pa.Schema) -> RowKind:
    """Gives what the rows of record batches of that schema are; those of a DataFrame are tuples."""
    return RowKind((schema.metadata or {}).get(_KIND, b"tuple").decode())


def as_tuples(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Gives a record batch whose rows `to_rows` gives as tuples, whatever they were. Not for opaque ones."""
    return batch.replace_schema_metadata({_KIND: RowKind.TUPLE.value.encode()})


def why_opaque(schema: pa.Schema) -> str | None:
    """Gives why rows of that schema are pickled, or None if they are not."""
    if kind_of(schema) is not RowKind.OPAQUE:
        return None
    return str(schema.metadata.get(_WHY, b"Arrow has no type for them").decode())


def is_unknown(schema: pa.Schema) -> bool:
    """Tells whether the columns are still to be learned from the first record batch."""
    return bool((schema.metadata or {}).get(_KIND) == b"unknown")


def is_named(schema: pa.Schema) -> bool:
    """Tells whether the columns have names of their own, not Spark's `_1`, `_2`, ..."""
    return bool(schema.names != _numbered(len(schema.names)))


@dataclass(frozen=True)
class RowLayout:
    """How rows become columns.

    Attributes:
        kind: what a row is.
        columns: name and type of each; of opaque rows none.
        why: why the rows are opaque.
    """

    kind: RowKind
    columns: tuple[ColumnType, ...]
    why: str = ""

    @classmethod
    def of(cls, rows: Sequence[Any]) -> RowLayout:
        """Gives the layout that some rows, at least one, have in common; an opaque one if they have none."""
        try:
            kind, names = _kind_and_names(rows)
            columns = zip(names, _columns(rows, kind, names), strict=True)
            return cls(kind, tuple(ColumnType.of(name, column) for name, column in columns))
        except Misfit as misfit:
            return cls(RowKind.OPAQUE, (), str(misfit))

    @property
    def schema(self) -> pa.Schema:
        """The Arrow schema of the batches."""
        metadata = {_KIND: self.kind.value.encode()}
        if self.kind is RowKind.OPAQUE:
            field = pa.field(_OPAQUE_COLUMN, pa.binary(), metadata=values.marked("opaque"))
            return pa.schema([field], {**metadata, _WHY: self.why.encode()})
        return pa.schema([column.field for column in self.columns], metadata)

    def batch(self, rows: Sequence[Any], *, first_row: int) -> pa.RecordBatch:
        """Gives the record batch of some rows.

        Raises:
            FeedError: a row does not fit; `first_row` is the number of the first one.
        """
        try:
            return pa.record_batch(self._arrays(rows), schema=self.schema)
        except Misfit as misfit:
            raise self._refused(rows, first_row, misfit) from misfit

    def _arrays(self, rows: Sequence[Any]) -> list[pa.Array]:
        if self.kind is RowKind.OPAQUE:
            return [pa.array([_pickled(row) for row in rows], pa.binary())]
        names = [column.name for column in self.columns]
        kind, found = _kind_and_names(rows)
        if kind is not self.kind or found != names:
            same = kind is RowKind.DICT is self.kind and set(found) == set(names)
            if not same:
                raise Misfit(f"expected a {_described(self.kind, names)}, received a {_described(kind, found)}")
        columns = zip(self.columns, _columns(rows, self.kind, names), strict=True)
        return [column.array(given) for column, given in columns]

    def _refused(self, rows: Sequence[Any], first_row: int, misfit: Misfit) -> FeedError:
        """Finds the first row that does not fit."""
        row, reason = 0, str(misfit)
        for number, one in enumerate(rows):
            try:
                self._arrays([one])
            except Misfit as single:
                row, reason = number, str(single)
                break
        return FeedError(
            f"row {first_row + row}: {reason}, as the first rows have it",
            hint="bring all rows of the RDD to one type and shape before: rdd.map(...)",
        )


def _kind_and_names(rows: Sequence[Any]) -> tuple[RowKind, list[str]]:
    kinds = set(map(type, rows))
    if not any(issubclass(kind, (tuple, list, dict)) for kind in kinds):
        return RowKind.SCALAR, ["_1"]
    if len(kinds) > 1:
        raise Misfit(f"rows are of several types: {values.type_names(kinds)}")
    kind = kinds.pop()
    if issubclass(kind, dict):
        return RowKind.DICT, _keys(rows)
    if issubclass(kind, tuple):
        return RowKind.TUPLE, _fields(rows)
    return RowKind.LIST, _numbered(_width(rows))


def _fields(rows: Sequence[Any]) -> list[str]:
    """Gives the names of a Row's or named tuple's fields, or numbers."""
    width = _width(rows)
    names = {tuple(getattr(row, "__fields__", getattr(row, "_fields", ()))) for row in rows}
    if len(names) > 1:
        raise Misfit("rows have different fields")
    return list(names.pop()) or _numbered(width)


def _keys(rows: Sequence[Any]) -> list[str]:
    names = list(rows[0])
    if not names or not all(isinstance(name, str) for name in names):
        raise Misfit("dicts have no keys, or some that are not strings")
    keys = set(names)
    if any(row.keys() != keys for row in rows):
        raise Misfit("dicts have different keys")
    return names


def _width(rows: Sequence[Any]) -> int:
    widths = set(map(len, rows))
    if len(widths) > 1 or 0 in widths:
        raise Misfit(f"rows have {' and '.join(map(str, sorted(widths)[:3]))} values")
    return widths.pop()


def _numbered(width: int) -> list[str]:
    return [f"_{number}" for number in range(1, width + 1)]


def _columns(rows: Sequence[Any], kind: RowKind, names: Sequence[str]) -> list[Sequence[Any]]:
    if kind is RowKind.SCALAR:
        return [rows]
    if kind is RowKind.DICT:
        return [[row[name] for row in rows] for name in names]
    return list(zip(*rows, strict=True))


def _described(kind: RowKind, names: Sequence[str]) -> str:
    return "single value" if kind is RowKind.SCALAR else f"{kind.value} of {', '.join(names[:10])}"


def _pickled(row: Any) -> bytes:
    try:
        return pickle.dumps(row, pickle.HIGHEST_PROTOCOL)
    except Exception as error:  # pickling runs the user's code
        raise Misfit(f"expected a row that can be pickled, received {type(row).__name__}: {error}") from error


def _nbytes(row: Any) -> int:
    """Gives about how many bytes a row takes; 1 if it does not tell."""
    try:
        return len(_pickled(row))
    except Misfit:
        return 1


def _batch_rows(nbytes: int, rows: int, max_rows: int, max_bytes: int) -> int:
    """Gives how many rows of that size a batch may have."""
    return max(1, min(max_rows, max_bytes * rows // max(1, nbytes)))
