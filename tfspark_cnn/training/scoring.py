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
from tfspark_cnn.training import images

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
        _use_threads(wanted.threads)
        self._column = wanted.column
        model = read(saved)
        check_shape(model, wanted.column)
        self._scores = _function(_part(model, wanted.output), wanted.column)
        self._decode = _decoder(wanted.column) if wanted.column.encoded else None

    def scores(self, values: npt.NDArray[Any], *, partition: int, first_row: int) -> npt.NDArray[np.float32]:
        """Gives `float32[rows, outputs]`.

        Args:
            values: `[rows, height, width, channels]`, of numbers as the column holds them, or `object[rows]` of the
                bytes of image files.
            partition: number of the rows' partition, for errors.
            first_row: number of the first row in it, for errors.

        Raises:
            SchemaError: an image cannot be decoded, or has another size.
        """
        if self._decode is None:
            pictures = values.astype(np.float32, copy=False)  # a column with a scale comes in the type it holds
        else:
            pictures = self._decoded(values, partition, first_row)
        found: npt.NDArray[np.float32] = self._scores(pictures).numpy()
        return found

    def _decoded(self, values: npt.NDArray[Any], partition: int, first_row: int) -> Any:
        assert self._decode is not None
        try:
            return self._decode(tf.constant([value or b"" for value in values], tf.string))
        except _UNDECODABLE as error:
            raise _bad_image(self._column, values, partition=partition, first_row=first_row) from error


def _use_threads(threads: int) -> None:
    """Gives each operation so many threads, unless TensorFlow has begun, when it is too late."""
    try:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(1)
    except RuntimeError:
        return


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


def check_shape(model: keras.Model, column: Column) -> None:
    """Refuses a network that takes images of another shape than the column's.

    Raises:
        ConfigError: it does.
    """
    shape = tuple(model.input_shape[1:])
    if any(axis not in (None, ours) for axis, ours in zip(shape, column.shape or (), strict=True)):
        raise ConfigError(
            f"the network takes images of {shape}, expected inputShape={column.shape}",
            hint="score with the inputShape it was trained with",
        )


def scored(model: keras.Model, pictures: Any, column: Column) -> Any:
    """Gives what a network makes of images, float32[rows, outputs].

    Args:
        model: the network.
        pictures: float32[rows, height, width, channels], as the column holds them: before its scale.
        column: of images.
    """
    taken = tf.cast(images.cast(pictures, column), tf.float32)
    scores = tf.cast(model(taken, training=False), tf.float32)
    return scores if scores.shape.rank == 2 else tf.reshape(scores, (tf.shape(scores)[0], -1))


def decoded(files: Any, column: Column) -> Any:
    """Gives the images that files hold, float32[rows, height, width, channels], before the scale of the column.

    Args:
        files: string[rows], of image files.
        column: with a shape and an encoding.
    """

    def picture(file: Any) -> Any:
        return tf.cast(images.fitted(images.opened(file, column), column), tf.float32)

    return tf.map_fn(picture, files, fn_output_signature=tf.TensorSpec(column.shape, tf.float32))


def _function(model: keras.Model, column: Column) -> Callable[[Any], Any]:
    """Gives the network as a graph for any number of rows: a short last batch compiles nothing."""
    spec = tf.TensorSpec((None, *(column.shape or ())), tf.float32)
    return tf.function(lambda pictures: scored(model, pictures, column), input_signature=[spec])


def _decoder(column: Column) -> Callable[[Any], Any]:
    return tf.function(lambda files: decoded(files, column), input_signature=[tf.TensorSpec((None,), tf.string)])


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
