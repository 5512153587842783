"""What Spark's Python workers run to score a column of images: record batches in, outputs of the network out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tfspark_cnn import env, worker_reuse
from tfspark_cnn.cluster import whole_imports
from tfspark_cnn.feed import schema
from tfspark_cnn.feed.columns import Column


@dataclass(frozen=True)
class Scorer:
    """The function of an Arrow UDF: `images` to `array<float>`, row by row.

    Attributes:
        network: a broadcast of the bytes of the `.keras` file.
        digest: of these bytes; a Python worker keeps the networks that it has read by it.
        column: of images.
        batch_rows: scored at once; a last batch may be shorter.
        output: the layer whose output is wanted; None: the network's.
    """

    network: Any
    digest: str
    column: Column
    batch_rows: int
    output: str | None = None

    def __call__(self, arrays: Iterable[pa.Array]) -> Iterator[pa.Array]:
        """Gives an array of outputs for each array of images.

        Raises:
            SchemaError: a row is null, of another shape, or no image.
        """
        partition, row = _partition(), 0
        score: Callable[..., npt.NDArray[np.float32]] | None = None
        for array in arrays:
            column = schema.resolve(pa.schema([(self.column.name, array.type)]), self.column)
            parts = []
            for start in range(0, len(array), self.batch_rows):
                images = schema.decode(array.slice(start, self.batch_rows), column, first_row=row + start)
                score = score or _network(self)  # rows that cannot be read need no TensorFlow
                parts.append(score(images, partition=partition, first_row=row + start))
            yield as_lists(parts)
            row += len(array)
        worker_reuse.spare("scoring")


def function(scorer: Scorer) -> Callable[[Iterator[pa.Array]], Iterator[pa.Array]]:
    """Gives what Spark's `arrow_udf` takes: it wants a function, and reads its type hints."""

    def score(images: Iterator[pa.Array]) -> Iterator[pa.Array]:
        return scorer(images)

    return score


def as_lists(parts: list[npt.NDArray[np.float32]]) -> pa.ListArray:
    """Gives `float32[rows, outputs]` as rows of an Arrow array of lists.

    Example:
        >>> as_lists([np.zeros((2, 3), np.float32)]).type
        ListType(list<item: float>)
    """
    if not parts:
        return pa.array([], pa.list_(pa.float32()))
    values = np.concatenate(parts) if len(parts) > 1 else parts[0]
    offsets = np.arange(0, values.size + 1, values.shape[1], dtype=np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(values.reshape(-1)))


def _network(scorer: Scorer) -> Any:
    """Loads TensorFlow, when it is known what it may use, and the network."""
    from pyspark import TaskContext

    task = TaskContext.get()
    use_assigned_gpus(task)
    whole_imports.install()
    from tfspark_cnn.training.scoring import Wanted, network

    wanted = Wanted(scorer.digest, scorer.column, scorer.output, threads=task.cpus() if task else 1)
    return network(wanted, lambda: bytes(scorer.network.value)).scores


def use_assigned_gpus(task: Any) -> None:
    """Shows TensorFlow the GPUs that Spark assigned to a task, to be shared: tasks may be assigned parts of one.

    A Python worker stays with those of its first task, as TensorFlow does.

    Args:
        task: Spark's TaskContext, or None.
    """
    gpus = task.resources().get("gpu") if task else None
    if gpus is not None:
        env.use_gpus(gpus.addresses, shared=True)


def _partition() -> int:
    from pyspark import TaskContext

    task = TaskContext.get()
    return task.partitionId() if task else 0
