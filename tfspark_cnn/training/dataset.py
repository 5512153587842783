"""From the feed into TensorFlow: batches of a reader as a `tf.data.Dataset`.

Whole batches go in, as views of the Arrow buffers where they can be: TensorFlow takes aligned arrays without a copy
(`Dataset.from_generator` with plain `TensorSpec`s is a `numpy_function`; row by row it is 40 times slower).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tfspark_cnn.errors import ConfigError, TFSparkError
from tfspark_cnn.feed.columns import Column, OnBadImage
from tfspark_cnn.feed.reader import EpochReader
from tfspark_cnn.feed.stream_reader import StreamReader
from tfspark_cnn.training.augment_call import Augment, AugmentCall
from tfspark_cnn.training.sample_images import FirstBatch

PREFETCH_BATCHES = 2
"""One being taken and one ready: the next batch is cut while a step runs. More only adds memory."""

Names = str | Column | Sequence[str | Column]

@dataclass(frozen=True)
class Layout:
    """How the columns of a batch become the elements of a dataset.

    Attributes:
        features: the columns of `x`; several come as a dict by name.
        labels: the columns of `y`; none: elements are `x` alone.
        single_feature: whether `features` was one column, not a list.
        single_label: likewise.
    """

    features: tuple[Column, ...]
    labels: tuple[Column, ...]
    single_feature: bool
    single_label: bool

    @classmethod
    def of(cls, features: Names, label: Names | None) -> Layout:
        """Gives the layout that `ctx.dataset(features, label)` means.

        Raises:
            ConfigError: no features.
        """
        xs, single_x = _columns(features)
        ys, single_y = _columns(label if label is not None else ())
        if not xs:
            raise ConfigError("ctx.dataset got no feature columns", hint='name one: ctx.dataset("image", "label", ...)')
        return cls(xs, ys, single_x, single_y)

    @property
    def columns(self) -> tuple[Column, ...]:
        """All columns, features first."""
        return self.features + self.labels

    def arrange(self, values: Sequence[Any]) -> Any:
        """Gives the element that the values of all columns make."""
        x = _arranged(values[: len(self.features)], self.features, self.single_feature)
        if not self.labels:
            return x
        return x, _arranged(values[len(self.features) :], self.labels, self.single_label)

    def values(self, element: Sequence[Any]) -> tuple[Any, ...]:
        """Gives the values of all columns, features first, of an element as `dataset.map` gives it to a function."""
        x, y = (element[0], element[1]) if self.labels else (element[0], None)
        return _values(x, self.features, self.single_feature) + (
            _values(y, self.labels, self.single_label) if self.labels else ()
        )


def _columns(names: Names) -> tuple[tuple[Column, ...], bool]:
    if isinstance(names, str | Column):
        return (_column(names),), True
    return tuple(_column(name) for name in names), False


def _column(name: str | Column) -> Column:
    return name if isinstance(name, Column) else Column(name)


def _arranged(values: Sequence[Any], columns: Sequence[Column], single: bool) -> Any:
    return values[0] if single else {column.name: value for column, value in zip(columns, values, strict=True)}


def _values(arranged: Any, columns: Sequence[Column], single: bool) -> tuple[Any, ...]:
    return (arranged,) if single else tuple(arranged[column.name] for column in columns)


def dataset(
    reader: EpochReader | StreamReader,
    layout: Layout,
    *,
    failed: Callable[[TFSparkError], TFSparkError],
    on_bad_image: OnBadImage = OnBadImage.RAISE,
    augment: Augment | None = None,
    first: FirstBatch | None = None,
) -> Any:
    """Gives the dataset over a reader; each iteration of it is the reader's next epoch.

    Its options say `AutoShardPolicy.OFF`: it is this node's own share, which Keras must neither shard nor rebatch.

    Args:
        reader: gives the batches.
        layout: of the elements.
        failed: told of errors of the feed, which TensorFlow would only show as text.
        on_bad_image: what becomes of rows whose images cannot be decoded.
        augment: makes other features of a batch's, or features and labels, drawn by a seed; None leaves them.
        first: is offered each block, and keeps of the first one what TensorBoard is to show.

    Returns:
        A `tf.data.Dataset` of `(x, y)` or `x`, with shapes `[rows, ...]`.

    Raises:
        ConfigError: augment gives nothing, or wants labels that are not there.
        SchemaError: an encoded column has no shape.
    """
    import tensorflow as tf

    from tfspark_cnn.training import images, keras_fit

    columns, decode = layout.columns, None
    drawing = AugmentCall(augment, labelled=bool(layout.labels)) if augment is not None else None
    if any(column.encoded for column in columns):
        images.check(columns)
        decode = images.ImageDecoder(columns, reader, on_bad_image=on_bad_image, failed=failed)

    def element(*values: Any) -> Any:
        held, place = values[: len(columns)], values[len(columns) :]
        found = held if decode is None else decode(held, rows=place[0], feed=place[1])
        arranged = layout.arrange([images.cast(value, column) for value, column in zip(found, columns, strict=True)])
        return arranged if drawing is None else drawing(arranged, place[2])

    placed = decode is not None or drawing is not None
    work = placed or any(column.scale is not None for column in columns)
    # In parallel only where there is something to do; the order of the steps stays.
    how = {"num_parallel_calls": tf.data.AUTOTUNE, "deterministic": True} if work else {}
    keep = (lambda block: None) if first is None else (lambda block: first.offer(block, element))
    blocks = tf.data.Dataset.from_generator(
        lambda: _epoch(reader, failed, placed=placed, seen=keep), output_signature=_signature(reader, placed=placed)
    )
    elements = blocks.unbatch().map(element, **how)
    if drawing is not None:
        drawing.check()
    return keras_fit.own_share(elements.prefetch(PREFETCH_BATCHES))


def stream(
    reader: StreamReader,
    layout: Layout,
    *,
    failed: Callable[[TFSparkError], TFSparkError],
    left: Callable[[], None],
    **how: Any,
) -> Iterator[Any]:
    """Gives the dataset of each `train` call, until the cluster is shut down.

    It is one and the same as long as rows look the same: Keras then goes on with the function it has traced, and
    TensorFlow, which keeps the Python functions of datasets, does not grow.

    Args:
        reader: gives the batches.
        layout: of the elements.
        failed: told of errors of the feed.
        left: called when the iterator is closed before its end, as by a `break`.
        how: on_bad_image and augment, as of `dataset`.
    """
    spec, same = None, None
    try:
        while reader.go_on():
            if reader.spec() != spec:
                spec, same = reader.spec(), dataset(reader, layout, failed=failed, **how)
            yield same
    except GeneratorExit:
        left()
        raise


def _signature(reader: EpochReader | StreamReader, *, placed: bool) -> tuple[Any, ...]:
    """Gives the specs of what `_epoch` gives."""
    import tensorflow as tf

    columns = [tf.TensorSpec((None, None, *one.shape), _tf_dtype(one.dtype), name=one.name) for one in reader.spec()]
    rows, feed = tf.TensorSpec((None, None), tf.int64), tf.TensorSpec((None,), tf.int64)
    return (*columns, rows, feed, tf.TensorSpec((None, 2), tf.int32)) if placed else tuple(columns)


def _epoch(
    reader: EpochReader | StreamReader,
    failed: Callable[[TFSparkError], TFSparkError],
    *,
    placed: bool,
    seen: Callable[[tuple[Any, ...]], None],
) -> Iterator[tuple[Any, ...]]:
    """Gives the batches of some steps at a time, `[steps, rows, ...]`."""
    try:
        for block in reader.blocks(seeded=placed):
            feeds = np.full(len(block.rows), block.feed)
            values = (*block.columns, block.rows, feeds, block.seeds) if placed else tuple(block.columns)
            seen(values)
            yield values
    except TFSparkError as error:
        raise failed(error) from error


def _tf_dtype(name: str) -> Any:
    import tensorflow as tf

    return tf.string if name == "object" else tf.as_dtype(name)
