"""`DataFeed`: rows of the feed as Python objects, for programs that want them. TensorFlowOnSpark's class, its meaning.

Reference: `tensorflowonspark/TFNode.py`, class DataFeed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import pyarrow as pa

from tfspark_cnn.errors import ConfigError, SchemaError
from tfspark_cnn.feed import rows

AsRows = Callable[[pa.RecordBatch], list[Any]]


class RowSource(Protocol):
    """Where a `DataFeed` takes its rows from."""

    done: bool
    """Whether no further row will come."""

    def take(self, rows: int, as_rows: AsRows) -> list[Any]:
        """Gives the next rows, waiting for them; fewer where they end."""

    def answer(self, results: Sequence[Any]) -> None:
        """Takes the results of the oldest rows that have none yet."""

    def stop(self) -> None:
        """Says that no further row is wanted."""


class DataFeed:
    """The rows that Spark feeds to this node, batch by batch. Made by `ctx.get_data_feed`.

    Attributes:
        train_mode: whether the rows are those of `cluster.train`; else those of `cluster.inference`.
        done_feeding: whether no further row will come.
        input_tensors: the names of the tensors, by sorted column name, or None without `input_mapping`.

    Example:
        >>> feed = ctx.get_data_feed(train_mode=False)                    # doctest: +SKIP
        >>> while not feed.should_stop():
        ...     batch = feed.next_batch(100)
        ...     feed.batch_results(model.predict_on_batch(np.stack(batch)))
    """

    def __init__(
        self, source: RowSource, *, train_mode: bool = True, input_mapping: Mapping[str, str] | None = None
    ) -> None:
        self.train_mode = train_mode
        self._source = source
        self._mapping = dict(sorted(input_mapping.items())) if input_mapping else {}
        self.input_tensors = list(self._mapping.values()) if input_mapping else None

    @property
    def done_feeding(self) -> bool:
        """Whether no further row will come."""
        return self._source.done

    def next_batch(self, batch_size: int) -> Any:
        """Gives the next rows, waiting for them.

        In training, batches span partitions and epochs, and the last one, when the cluster shuts down, may have fewer
        rows or none. In inference, a batch has rows of one partition.

        Args:
            batch_size: rows wanted, at least 1.

        Returns:
            A list of rows; with `input_mapping` a dict of tensor name -> list of values.

        Raises:
            ConfigError: batch_size is not a positive number.
            SchemaError: the rows do not have the columns of `input_mapping`.
        """
        if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1:
            raise ConfigError(f"batch_size is {batch_size!r}, expected a whole number of at least 1", hint="pass 64")
        taken = self._source.take(batch_size, self._mapped if self._mapping else rows.to_rows)
        if not self._mapping:
            return taken
        columns = zip(*taken, strict=True) if taken else ([] for _ in self._mapping)
        return dict(zip(self._mapping.values(), map(list, columns), strict=True))

    def should_stop(self) -> bool:
        """Tells whether no further row will come."""
        return self.done_feeding

    def batch_results(self, results: Sequence[Any]) -> None:
        """Gives the results of a batch: one for each of its rows, in order. They go to the task that sent the rows.

        Args:
            results: as many as `next_batch` gave; the oldest batch without results is meant.

        Raises:
            ConfigError: the feed is for training.
            FeedError: another number of results.
        """
        self._source.answer(results)

    def terminate(self) -> None:
        """Says that this node wants no more rows; `cluster.train` returns when all nodes have said so."""
        self._source.stop()

    def _mapped(self, batch: pa.RecordBatch) -> list[Any]:
        """Gives of each row the values of the mapped columns, in the order of the tensors."""
        if rows.kind_of(batch.schema) is rows.RowKind.OPAQUE:
            return [self._picked(row) for row in rows.to_rows(batch)]
        columns = list(self._mapping)
        if not rows.is_named(batch.schema):  # as TensorFlowOnSpark: rows hold the sorted columns
            if batch.num_columns < len(columns):
                raise _missing(columns, f"rows of {batch.num_columns} values")
            columns = batch.schema.names[: len(columns)]
        missing = [column for column in columns if batch.schema.get_field_index(column) < 0]
        if missing:
            raise _missing(missing, ", ".join(batch.schema.names))
        return rows.to_rows(rows.as_tuples(batch.select(columns)))

    def _picked(self, row: Any) -> tuple[Any, ...]:
        try:
            keys = list(self._mapping) if isinstance(row, Mapping) else range(len(self._mapping))
            return tuple(row[key] for key in keys)
        except (KeyError, IndexError, TypeError) as error:
            raise _missing(list(self._mapping), f"a {type(row).__name__}") from error


def _missing(columns: Sequence[str], received: str) -> SchemaError:
    return SchemaError(
        f"input_mapping: expected the columns {', '.join(columns)}, received {received}",
        hint="map the names of the columns, or feed tuples in the order of the sorted column names",
    )
