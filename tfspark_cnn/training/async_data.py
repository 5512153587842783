"""Datasets that the chief describes and each worker runs: rows of Spark, or the caller's own."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from typing import Any

import tensorflow as tf

from tfspark_cnn.errors import ConfigError
from tfspark_cnn.training.row_server import BEGIN, INDEX, NEXT, OPEN, RowRequest, served

DatasetFn = Callable[[Any], Any]
"""Gives the batches of one worker for a `tf.distribute.InputContext`."""

ENDLESS = 1 << 60

_ASKED_WORKER = "row_server.py"  # stands in the traceback of what a worker's server raised

_PYTHON_OPS = ("PyFunc", "PyFuncStateless", "EagerPyFunc")


class WorkerData:
    """Makes datasets on the workers, each once.

    Args:
        coordinator: a `tf.distribute.coordinator.ClusterCoordinator`.
        workers: how many there are.
    """

    def __init__(self, coordinator: Any, workers: int) -> None:
        self._coordinator, self._workers = coordinator, workers
        self._made: dict[Any, Any] = {}
        self._kept: dict[Any, Any] = {}

    def element_spec(self, data: RowRequest | DatasetFn) -> Any:
        """Gives the `tf.TensorSpec`s of a batch."""
        return self._dataset(data).element_spec

    def begin(self, data: RowRequest | DatasetFn, *, go_on: bool = False) -> Any:
        """Gives an iterator over the workers' batches: of a new pass, or where `go_on`, the one given before."""
        dataset = self._dataset(data)
        if go_on and data in self._kept:
            return self._kept[data]
        iterator = iter(dataset)
        if go_on:
            self._kept[data] = iterator
        return iterator

    def _dataset(self, data: RowRequest | DatasetFn) -> Any:
        if data not in self._made:
            if isinstance(data, RowRequest):
                make = rows_of(data, element_specs(self._coordinator, data))
            else:
                make = own_data(data, self._workers)
                check_python(tf.function(make, autograph=False).get_concrete_function().graph.as_graph_def())
            self._made[data] = self._coordinator.create_per_worker_dataset(make)
        return self._made[data]


@contextlib.contextmanager
def worker_errors() -> Iterator[None]:
    """Tells errors of workers' data from others.

    Raises:
        tf.errors.AbortedError: in the place of an error that a worker tells the driver by itself.
    """
    try:
        yield
    except Exception as error:  # TensorFlow raises it as it came, or as one of its coordinator's
        if _ASKED_WORKER in str(error):
            raise tf.errors.AbortedError(None, None, "a worker could not give rows; it tells why by itself") from error
        raise


def check_python(graph: Any) -> None:
    """Refuses a dataset with Python functions of the chief: a worker would call one of its own under that token.

    Args:
        graph: the GraphDef of the function that makes the dataset.

    Raises:
        ConfigError: there is one.
    """
    nodes = [*graph.node, *(node for function in graph.library.function for node in function.node_def)]
    tokens = [node.attr["token"].s.decode() for node in nodes if node.op in _PYTHON_OPS]
    if any(token != INDEX for token in tokens):
        raise ConfigError(
            "dataset_fn gives a dataset with a Python function in it, which workers do not have",
            hint="make it of operations of TensorFlow: no from_generator, py_function or numpy_function",
        )


def element_specs(coordinator: Any, request: RowRequest) -> list[Any]:
    """Gives the `tf.TensorSpec` of each column of a batch, as a worker says; waits for its feed."""
    text = request.encode()

    @tf.function(autograph=False)
    def ask() -> Any:
        return served(OPEN, [tf.constant(text)], [tf.string])[0]

    answer = coordinator.fetch(coordinator.schedule(ask))
    return [tf.TensorSpec(shape, dtype) for dtype, shape in json.loads(answer)]


def rows_of(request: RowRequest, specs: list[Any]) -> Callable[[], Any]:
    """Gives the function that makes the dataset of a worker's share; each iteration of it is a pass."""
    text = request.encode()

    def begin(_: Any) -> Any:
        return tf.ensure_shape(served(BEGIN, [tf.constant(text)], [tf.int64])[0], ())

    def columns(number: Any) -> tuple[Any, ...]:
        values = served(NEXT, [number], [one.dtype for one in specs])
        return tuple(tf.ensure_shape(value, one.shape) for value, one in zip(values, specs, strict=True))

    def batches(number: Any) -> Any:
        return tf.data.Dataset.range(ENDLESS).map(lambda _: columns(number))

    def make() -> Any:
        found = tf.data.Dataset.from_tensors(0).map(begin).flat_map(batches)
        found = found.take_while(lambda *values: tf.shape(values[0])[0] > 0)
        # The worker cuts and decodes ahead of what it is asked for; here one batch is on its way into the step.
        return found.map(lambda *values: request.layout.arrange(values)).prefetch(1)

    return make


def own_data(dataset_fn: DatasetFn, workers: int) -> Callable[[], Any]:
    """Gives the function that makes the caller's dataset on a worker.

    The function is traced once for all workers, so the number of the worker is a tensor, which a worker fills in.

    Raises:
        ConfigError: (from the function) dataset_fn gives no dataset.
    """

    @tf.autograph.experimental.do_not_convert  # an error of ours would come as one of AutoGraph
    def make() -> Any:
        index = tf.ensure_shape(served(INDEX, [], [tf.int64])[0], ())
        context = tf.distribute.InputContext(num_input_pipelines=workers, input_pipeline_id=index)
        found = dataset_fn(context)
        if not isinstance(found, tf.data.Dataset):
            raise ConfigError(
                f"expected dataset_fn(input_context) to return a tf.data.Dataset, received a {type(found).__name__}",
                hint="return the batches of one worker: Dataset...shard(input_context.num_input_pipelines, "
                "input_context.input_pipeline_id).batch(64)",
            )
        return found

    return make
