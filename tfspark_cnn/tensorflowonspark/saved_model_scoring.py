"""What Spark's Python workers run to call a signature of a SavedModel: columns in, its outputs as columns out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tfspark_cnn import worker_reuse
from tfspark_cnn.cluster import worker_tensorflow
from tfspark_cnn.errors import SchemaError
from tfspark_cnn.tensorflowonspark.input_columns import InputColumn, tensor_of
from tfspark_cnn.tensorflowonspark.output_columns import column_of, output_type
from tfspark_cnn.tensorflowonspark.signatures import Signature, Tensor

Call = Callable[..., list[NDArray[Any]]]


@dataclass(frozen=True)
class SignatureScorer:
    """The function of an Arrow UDF: a struct of the input columns to one of the output columns, row by row.

    Attributes:
        uri: of the SavedModel, which every executor reaches.
        version: of its files.
        signature: what is called.
        inputs: the fields of the struct, in their order.
        outputs: name of each output column, and the tensor that it is of.
        batch_rows: rows of a call; the last one has fewer, filled up only where the signature takes no other number.
    """

    uri: str
    version: str
    signature: Signature
    inputs: tuple[InputColumn, ...]
    outputs: tuple[tuple[str, Tensor], ...]
    batch_rows: int

    def type(self) -> pa.DataType:
        """Gives the Arrow type of what it gives.

        Raises:
            ConfigError: an output cannot be a column.
        """
        return pa.struct([pa.field(name, output_type(tensor)) for name, tensor in self.outputs])

    def __call__(self, arrays: Iterable[pa.Array]) -> Iterator[pa.Array]:
        """Gives an array of outputs for each array of inputs.

        Raises:
            SchemaError: a row is null, of another shape, or refused by the graph.
        """
        partition, row = _partition(), 0
        call: Call | None = None
        for array in arrays:
            parts = []
            for start in range(0, len(array), self._step):
                some = array.slice(start, self._step)
                tensors = [
                    tensor_of(values, column, partition=partition, first_row=row + start)
                    for values, column in zip(some.flatten(), self.inputs, strict=True)
                ]
                call = call or self._loaded()  # rows that cannot be read need no TensorFlow
                where = f"partition {partition}, rows {row + start} to {row + start + len(some) - 1}"
                parts.append(self._columns(self._called(call, tensors, where=where, rows=len(some))))
            yield pa.concat_arrays(parts) if parts else pa.array([], self.type())
            row += len(array)
        worker_reuse.spare("scoring")

    @property
    def _fixed_rows(self) -> int | None:
        """How many rows the signature takes, if it takes no other number."""
        lengths = [column.tensor.shape[0] for column in self.inputs if column.tensor.shape]
        return next((length for length in lengths if length), None)

    @property
    def _step(self) -> int:
        return self._fixed_rows or self.batch_rows

    def _called(self, call: Call, tensors: Sequence[NDArray[Any]], *, where: str, rows: int) -> list[NDArray[Any]]:
        missing = (self._fixed_rows or rows) - rows
        filled = [np.concatenate([one, np.repeat(one[-1:], missing, axis=0)]) if missing else one for one in tensors]
        inputs = {column.tensor.name: values for column, values in zip(self.inputs, filled, strict=True)}
        found = call(inputs, [tensor.name for _, tensor in self.outputs], where=where)
        for (_, tensor), values in zip(self.outputs, found, strict=True):
            if values.ndim and len(values) != rows + missing:
                raise SchemaError(
                    f"{where}: expected {rows + missing} rows of output {tensor.name!r}, one for each of the input, "
                    f"received {len(values)}",
                    hint="map an output that has a row for each row of the input",
                )
        return [values[:rows] for values in found]

    def _columns(self, found: Sequence[NDArray[Any]]) -> pa.StructArray:
        columns = [column_of(values, tensor) for values, (_, tensor) in zip(found, self.outputs, strict=True)]
        return pa.StructArray.from_arrays(columns, fields=list(self.type()))

    def _loaded(self) -> Call:
        """Imports TensorFlow, when it is known what it may use, and loads the signature."""
        cores = worker_tensorflow.prepare()
        from tfspark_cnn.training.saved_model import Wanted, signature

        wanted = Wanted(self.uri, self.version, self.signature.tags, self.signature.key)
        return signature(wanted, cores=cores)


def function(scorer: SignatureScorer) -> Callable[[Iterator[pa.Array]], Iterator[pa.Array]]:
    """Gives what Spark's `arrow_udf` takes: it wants a function, and reads its type hints."""

    def score(rows: Iterator[pa.Array]) -> Iterator[pa.Array]:
        return scorer(rows)

    return score


def _partition() -> int:
    from pyspark import TaskContext

    task = TaskContext.get()
    return task.partitionId() if task else 0
