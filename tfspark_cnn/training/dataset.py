"""From the feed into TensorFlow: batches of a reader as a `tf.data.Dataset`.

Whole batches go in, as views of the Arrow buffers where they can be: TensorFlow takes aligned arrays without a copy
(`Dataset.from_generator` with plain `TensorSpec`s is a `numpy_function`; row by row it is 40 times slower).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from tfspark_cnn.errors import ConfigError, TFSparkError
from tfspark_cnn.feed.reader import Batch, EpochReader
from tfspark_cnn.feed.schema import Column, Encoding
from tfspark_cnn.feed.stream_reader import StreamReader

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


def _columns(names: Names) -> tuple[tuple[Column, ...], bool]:
    if isinstance(names, str | Column):
        return (_column(names),), True
    return tuple(_column(name) for name in names), False


def _column(name: str | Column) -> Column:
    return name if isinstance(name, Column) else Column(name)


def _arranged(values: Sequence[Any], columns: Sequence[Column], single: bool) -> Any:
    return values[0] if single else {column.name: value for column, value in zip(columns, values, strict=True)}


def dataset(
    reader: EpochReader | StreamReader, layout: Layout, *, failed: Callable[[TFSparkError], TFSparkError]
) -> Any:
    """Gives the dataset over a reader; each iteration of it is the reader's next epoch.

    Its options say `AutoShardPolicy.OFF`: it is this node's own share, which Keras must neither shard nor rebatch.

    Args:
        reader: gives the batches.
        layout: of the elements.
        failed: told of errors of the feed, which TensorFlow would only show as text.

    Returns:
        A `tf.data.Dataset` of `(x, y)` or `x`, with shapes `[rows, ...]`.
    """
    import tensorflow as tf

    from tfspark_cnn.training import keras_fit

    specs = [tf.TensorSpec((None, *spec.shape), _tf_dtype(spec.dtype), name=spec.name) for spec in reader.spec()]
    signature = tuple(specs)
    batches = tf.data.Dataset.from_generator(lambda: _epoch(reader, failed), output_signature=signature)
    encoded = [column.encoding is not Encoding.RAW for column in layout.columns]
    if any(encoded):
        from tfspark_cnn.training.images import decoder

        batches = batches.map(decoder(layout.columns), num_parallel_calls=tf.data.AUTOTUNE)
    arranged = batches.map(lambda *values: layout.arrange(values))
    return keras_fit.own_share(arranged.prefetch(PREFETCH_BATCHES))


def stream(
    reader: StreamReader,
    layout: Layout,
    *,
    failed: Callable[[TFSparkError], TFSparkError],
    left: Callable[[], None],
) -> Iterator[Any]:
    """Gives the dataset of each `train` call, until the cluster is shut down.

    It is one and the same as long as rows look the same: Keras then goes on with the function it has traced, and
    TensorFlow, which keeps the Python functions of datasets, does not grow.

    Args:
        reader: gives the batches.
        layout: of the elements.
        failed: told of errors of the feed.
        left: called when the iterator is closed before its end, as by a `break`.
    """
    spec, same = None, None
    try:
        while reader.go_on():
            if reader.spec() != spec:
                spec, same = reader.spec(), dataset(reader, layout, failed=failed)
            yield same
    except GeneratorExit:
        left()
        raise


def _epoch(reader: EpochReader | StreamReader, failed: Callable[[TFSparkError], TFSparkError]) -> Iterator[Batch]:
    try:
        yield from reader.epoch()
    except TFSparkError as error:
        raise failed(error) from error


def _tf_dtype(name: str) -> Any:
    import tensorflow as tf

    return tf.string if name == "object" else tf.as_dtype(name)
