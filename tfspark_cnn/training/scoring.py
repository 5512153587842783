"""A saved network scores images in a Spark task: loaded once in a Python worker, and used for all that comes there.

What it computes with is known before TensorFlow is: the GPUs that Spark assigned to the task, else as many threads as
the task has processors.
"""

from __future__ import annotations

import tempfile
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from tfspark_cnn.errors import ConfigError, SchemaError
from tfspark_cnn.feed.columns import Column
from tfspark_cnn.training import images, threads

KEPT = 4
"""So many networks stay in a Python worker: what a cross-validation scores with is used again and again."""

_UNDECODABLE = (tf.errors.InvalidArgumentError, tf.errors.UnimplementedError, tf.errors.DataLossError)


@dataclass(frozen=True)
class Wanted:
    """What a network is to give.

    Attributes:
        digest: of the saved network; tells networks apart.
        column: of images.
        output: the layer whose output is wanted, flattened; None: the last one's.
        threads: of one operation, where there are no GPUs.
    """

    digest: str
    column: Column
    output: str | None
    threads: int


_loaded: OrderedDict[Wanted, Network] = OrderedDict()


def network(wanted: Wanted, saved: Callable[[], bytes]) -> Network:
    """Gives the network, which is loaded if it is not there yet.

    Args:
        wanted: which, and what of it.
        saved: gives the bytes of the `.keras` file.
    """
    found = _loaded.pop(wanted, None) or Network(saved(), wanted)
    _loaded[wanted] = found
    while len(_loaded) > KEPT:
        _loaded.popitem(last=False)
    return found


class Network:
    """One saved network.

    Args:
        saved: the bytes of its `.keras` file.
        wanted: what of it.

    Raises:
        ConfigError: it has no layer of the name, or takes images of another shape.
    """

    def __init__(self, saved: bytes, wanted: Wanted) -> None:
        threads.use(wanted.threads)
        self._column = wanted.column
        model = read(saved)
        shape = tuple(model.input_shape[1:])
        if any(axis not in (None, ours) for axis, ours in zip(shape, wanted.column.shape or (), strict=True)):
            raise ConfigError(
                f"the network takes images of {shape}, expected inputShape={wanted.column.shape}",
                hint="score with the inputShape it was trained with",
            )
        self._scores = _function(_part(model, wanted.output), wanted.column)
        self._decode = _decoder(wanted.column) if wanted.column.encoded else None

    def scores(self, values: npt.NDArray[Any], *, partition: int, first_row: int) -> npt.NDArray[np.float32]:
        """Gives `float32[rows, outputs]`.

        Args:
            values: `float32[rows, height, width, channels]`, or `object[rows]` of the bytes of image files.
            partition: number of the rows' partition, for errors.
            first_row: number of the first row in it, for errors.

        Raises:
            SchemaError: an image cannot be decoded, or has another size.
        """
        pictures = values if self._decode is None else self._decoded(values, partition, first_row)
        found: npt.NDArray[np.float32] = self._scores(pictures).numpy()
        return found

    def _decoded(self, values: npt.NDArray[Any], partition: int, first_row: int) -> Any:
        assert self._decode is not None
        try:
            return self._decode(tf.constant([value or b"" for value in values], tf.string))
        except _UNDECODABLE as error:
            raise _bad_image(self._column, values, partition=partition, first_row=first_row) from error


def read(saved: bytes) -> keras.Model:
    """Gives the network of a `.keras` file, not compiled."""
    with tempfile.TemporaryDirectory(prefix="tfspark-network-") as folder:
        path = Path(folder, "model.keras")
        path.write_bytes(saved)
        return keras.models.load_model(path, compile=False)


def _part(model: keras.Model, output: str | None) -> keras.Model:
    if output is None:
        return model
    names = [layer.name for layer in model.layers]
    if output not in names:
        raise ConfigError(f"the network has no layer {output!r}", hint=f"it has {', '.join(names)}")
    return keras.Model(model.inputs, model.get_layer(output).output)


def _function(model: keras.Model, column: Column) -> Callable[[Any], Any]:
    """Gives the network as a graph for any number of rows: a short last batch compiles nothing."""

    def call(pictures: Any) -> Any:
        scores = tf.cast(model(pictures, training=False), tf.float32)
        return tf.reshape(scores, (tf.shape(scores)[0], -1))

    return tf.function(call, input_signature=[tf.TensorSpec((None, *(column.shape or ())), tf.float32)])


def _decoder(column: Column) -> Callable[[Any], Any]:
    def decode(values: Any) -> Any:
        spec = tf.TensorSpec(column.shape, tf.float32)
        return tf.map_fn(lambda one: tf.cast(_picture(one, column), tf.float32), values, fn_output_signature=spec)

    return tf.function(decode, input_signature=[tf.TensorSpec((None,), tf.string)])


def _picture(value: Any, column: Column) -> Any:
    return images.cast(images.fitted(images.opened(value, column), column), column)


def _bad_image(column: Column, values: Iterable[Any], *, partition: int, first_row: int) -> SchemaError:
    for row, value in enumerate(values, first_row):
        wrong = images.why_not(value or b"", column)
        if wrong is not None:
            said, cure = wrong
            return SchemaError(f"column {column.name!r}, partition {partition}, row {row}: {said}", hint=cure)
    return SchemaError(
        f"column {column.name!r}, partition {partition}, rows from {first_row} on: images could not be decoded",
        hint="look at the files",
    )
