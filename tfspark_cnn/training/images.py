"""Decoding of encoded images on the node, in parallel inside `tf.data`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tfspark_cnn.errors import SchemaError
from tfspark_cnn.feed.schema import Column, Encoding


def decoder(columns: Sequence[Column]) -> Callable[..., tuple[Any, ...]]:
    """Gives a function that turns the encoded columns of a batch into `uint8[rows, height, width, channels]`.

    Args:
        columns: of the batch; those with encoding `jpeg` or `png` need a shape of `(height, width, channels)`.

    Raises:
        SchemaError: an encoded column has no such shape.
    """
    import tensorflow as tf

    for column in columns:
        if column.encoding is not Encoding.RAW and (column.shape is None or len(column.shape) != 3):
            raise SchemaError(
                f"column {column.name!r} is {column.encoding}, its shape is {column.shape}",
                hint=f"pass Column({column.name!r}, shape=(height, width, channels), encoding={column.encoding!r})",
            )

    def decode(*values: Any) -> tuple[Any, ...]:
        return tuple(
            value if column.encoding is Encoding.RAW else _images(tf, value, column)
            for value, column in zip(values, columns, strict=True)
        )

    return decode


def _images(tf: Any, encoded: Any, column: Column) -> Any:
    assert column.shape is not None
    height, width, channels = column.shape
    decode = tf.io.decode_jpeg if column.encoding is Encoding.JPEG else tf.io.decode_png

    def one(data: Any) -> Any:
        return tf.ensure_shape(decode(data, channels=channels), (height, width, channels))

    images = tf.map_fn(one, encoded, fn_output_signature=tf.uint8)
    return images if column.dtype in (None, "uint8") else tf.cast(images, column.dtype)
