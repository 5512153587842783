"""The worker's end of the data of parameter server training: what steps that the chief sends ask in this process.

The chief traces a step once, and TensorFlow's server of each worker runs it there. Python generators do not travel
with it, but an operation of the kind PyFunc is only a token, and the process that runs it looks the function up by
that. So each worker registers functions of its own under tokens that all agree on, and the steps get their rows from
the inbox of the process that they run in, without a file in between.
"""

from __future__ import annotations

import dataclasses
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.python.ops import script_ops

from tfspark_cnn.errors import ClusterError
from tfspark_cnn.feed.columns import Column
from tfspark_cnn.training.dataset import Layout

OPEN, BEGIN, NEXT = "tfspark_cnn_open", "tfspark_cnn_begin", "tfspark_cnn_next"
INDEX, IDLE = "tfspark_cnn_index", "tfspark_cnn_idle"

IDLE_S = 0.02
"""A worker without rows holds on to a step for so long, unless a pass begins: others get those that come after."""


@dataclass(frozen=True)
class RowRequest:
    """Which rows steps take, and how: what `servers.dataset` was called with.

    Attributes:
        layout: of the elements.
        batch_size: rows per step.
        name: of the feed.
        shuffle: whether rows come in a seeded random order.
        on_bad_image: what happens to rows whose images cannot be decoded.
        first_pass: how many passes over them were taken by a run before.
    """

    layout: Layout
    batch_size: int
    name: str = "train"
    shuffle: bool = True
    on_bad_image: str = "raise"
    first_pass: int = 0

    def encode(self) -> str:
        """Gives it as JSON; equal requests give equal texts."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True)

    @classmethod
    def decode(cls, text: str) -> RowRequest:
        """Reads what `encode` gave."""
        fields = json.loads(text)
        layout = fields.pop("layout")
        features, labels = (tuple(Column(**one) for one in layout.pop(key)) for key in ("features", "labels"))
        return cls(Layout(features, labels, **layout), **fields)


@dataclass
class _Opened:
    """A dataset of this process, with elements of one value for each column."""

    dataset: Any
    spec: tuple[Any, ...]


class RowServer:
    """Answers the steps that run in this process.

    Args:
        index: of this worker.
        open_dataset: gives the dataset of a request; may wait for the feed.
        failed: told of the first error, which the chief would only see as text.
    """

    def __init__(
        self, index: int, *, open_dataset: Callable[[RowRequest], Any], failed: Callable[[Exception], None]
    ) -> None:
        self._index, self._open_dataset, self._failed = index, open_dataset, failed
        self._opened: dict[str, _Opened] = {}
        self._passes: dict[int, tuple[_Opened, Iterator[Any]]] = {}
        self._begun = threading.Condition()
        self._begun_passes = 0
        self._functions = {
            OPEN: self._guarded(self.open),
            BEGIN: self._guarded(self.begin),
            NEXT: self._guarded(self.next),
            INDEX: self._guarded(self.index),
            IDLE: self._guarded(self.idle),
        }

    def install(self) -> None:
        """Lets steps find this server. TensorFlow refers to it weakly: keep it until `uninstall`.

        Raises:
            ClusterError: TensorFlow keeps its functions elsewhere.
        """
        registry = _registry()
        if registry is None:
            raise ClusterError(
                f"TensorFlow {tf.__version__} keeps the functions of PyFunc elsewhere than 2.21 does",
                hint="pip install 'tensorflow>=2.21,<2.22'",
            )
        registry.update(self._functions)

    def uninstall(self) -> None:
        """Lets steps find it no more."""
        for token in self._functions:
            _registry().pop(token, None)

    def open(self, request: bytes) -> bytes:
        """Gives dtype and shape of each column of a batch, as JSON."""
        spec = self._of(request).spec
        return json.dumps([[one.dtype.name, one.shape.as_list()] for one in spec]).encode()

    def begin(self, request: bytes) -> np.int64:
        """Begins a pass over the rows, and gives its number."""
        opened = self._of(request)
        with tf.device("/cpu:0"):
            rows = iter(opened.dataset)
        with self._begun:
            before = self._passes
            self._begun_passes += 1
            self._passes = {number: one for number, one in before.items() if one[0] is not opened}
            self._passes[self._begun_passes] = opened, rows
            self._begun.notify_all()
            return np.int64(self._begun_passes)  # `before` goes outside of the lock: its pass may not have ended

    def next(self, number: np.int64) -> list[Any]:
        """Gives the columns of the next batch of a pass; of no rows when there is none."""
        opened, rows = self._passes[int(number)]
        with tf.device("/cpu:0"):
            found = next(rows, None)
        if found is not None:
            return [value.numpy() for value in found]
        return [np.zeros([size or 0 for size in one.shape], one.dtype.as_numpy_dtype) for one in opened.spec]

    def index(self) -> np.int64:
        """Gives the index of this worker."""
        return np.int64(self._index)

    def idle(self) -> np.int64:
        """Waits a moment for another pass to begin. Gives the index of this worker."""
        with self._begun:
            before = self._begun_passes
            self._begun.wait_for(lambda: self._begun_passes > before, IDLE_S)
        return self.index()

    def _of(self, request: bytes) -> _Opened:
        text = request.decode()
        if text not in self._opened:
            wanted = RowRequest.decode(text)
            dataset = self._open_dataset(wanted).map(lambda *element: wanted.layout.values(element))
            self._opened[text] = _Opened(dataset, tuple(dataset.element_spec))
        return self._opened[text]

    def _guarded(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*values: Any) -> Any:
            try:
                return function(*values)
            except Exception as error:  # of the feed or of TensorFlow; this process tells it by itself
                self._failed(error)
                raise

        return call


def _registry() -> Any:
    return getattr(getattr(script_ops, "_py_funcs", None), "_funcs", None)


def served(token: str, values: list[Any], types: list[Any]) -> list[Any]:
    """Asks the server of the process that the operation runs in; for steps and datasets that are being traced."""
    return list(tf.raw_ops.PyFunc(input=values, token=token, Tout=types))
