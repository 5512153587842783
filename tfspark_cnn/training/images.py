"""Images of files become tensors on the node, in parallel inside `tf.data`.

The images of a batch are a small dataset of their own, which leaves out those that fail: so it is known which, and no
Python runs while all are well. Only images that were left out are looked at again, for TensorFlow's words on them.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from tfspark_cnn.errors import FeedError, SchemaError, TFSparkError
from tfspark_cnn.feed.columns import Column, Encoding, OnBadImage, Resize
from tfspark_cnn.feed.reader import EpochReader
from tfspark_cnn.feed.stream_reader import StreamReader

log = logging.getLogger(__name__)

LOGGED = 5
"""So many images that are left out are named in the log; after them each doubling of their number is."""

_UNDECODABLE = (tf.errors.InvalidArgumentError, tf.errors.UnimplementedError, tf.errors.DataLossError)


def check(columns: Sequence[Column]) -> None:
    """Refuses encoded columns without a shape.

    Raises:
        SchemaError: there is one.
    """
    for column in columns:
        if column.encoded and column.shape is None:
            raise SchemaError(
                f"column {column.name!r} is {column.encoding}, its shape is {column.shape}",
                hint=f"pass Column({column.name!r}, shape=(height, width, channels), encoding={column.encoding!r})",
            )


def opened(data: Any, column: Column) -> Any:
    """Gives the image that bytes hold: `uint8[h, w, channels]` in its own size, uint16 if the column has that dtype.

    Args:
        data: string[], of a jpeg, a png or a gif of one picture, whatever the column says: TensorFlow tells by itself.
        column: with a shape.
    """
    assert column.shape is not None
    if column.encoding == Encoding.PNG:
        return tf.io.decode_png(data, channels=column.shape[2], dtype=_opened_dtype(column))
    return tf.io.decode_jpeg(data, channels=column.shape[2])


def fitted(image: Any, column: Column) -> Any:
    """Gives an image the size of the column, `[height, width, channels]`, as float32 if resizing made fractions."""
    assert column.shape is not None
    if column.resize is None:
        return tf.ensure_shape(image, column.shape)
    resized = tf.image.resize(image, column.shape[:2], method=str(column.resize))
    if resized.dtype != image.dtype and fitted_dtype(column) != resized.dtype:
        resized = tf.saturate_cast(tf.round(resized), image.dtype)
    return tf.ensure_shape(resized, column.shape)


def fitted_dtype(column: Column) -> Any:
    """Gives the type that `fitted` gives: what the file holds, unless fractions are wanted and there are some."""
    fractions = column.resize not in (None, Resize.NEAREST) and tf.as_dtype(column.dtype or "uint8").is_floating
    return tf.float32 if fractions else _opened_dtype(column)


def cast(values: Any, column: Column) -> Any:
    """Gives values in the column's dtype, times its scale; those of a raw column without a scale as they are."""
    if not column.encoded and column.scale is None:
        return values
    values = tf.cast(values, column.dtype or "uint8")
    return values if column.scale in (None, 1.0) else values * tf.constant(column.scale, values.dtype)


def _opened_dtype(column: Column) -> Any:
    return tf.uint16 if (column.encoding, column.dtype) == (Encoding.PNG, "uint16") else tf.uint8


class ImageDecoder:
    """Decodes the encoded columns of batches, and sees to rows whose images cannot be.

    Args:
        columns: of the batches, at least one of them encoded.
        reader: of the batches; it is told of rows that are left out.
        on_bad_image: what becomes of them.
        failed: told of the error, which TensorFlow would only show as text.
    """

    def __init__(
        self,
        columns: Sequence[Column],
        reader: EpochReader | StreamReader,
        *,
        on_bad_image: OnBadImage,
        failed: Callable[[TFSparkError], TFSparkError],
    ) -> None:
        self._columns = [column for column in columns if column.encoded]
        self._places = [place for place, column in enumerate(columns) if column.encoded]
        self._reader, self._on_bad_image, self._failed = reader, on_bad_image, failed

    def __call__(self, values: Sequence[Any], *, rows: Any, feed: Any) -> list[Any]:
        """Gives the values of all columns with images in the place of bytes; called inside of `Dataset.map`.

        Args:
            values: of the columns.
            rows: int64[rows], their numbers.
            feed: int64[], the feed they are of.

        Returns:
            Tensors of as many rows, or fewer where images are left out.
        """
        encoded = [values[place] for place in self._places]
        kept, decoded = self._decoded(encoded)
        whole = tf.size(kept) == tf.size(rows)
        kept = tf.cond(
            whole, lambda: kept, lambda: tf.py_function(self._see_to, [feed, rows, kept, *encoded], tf.int32)
        )
        kept.set_shape((None,))
        with tf.control_dependencies([kept]):
            images = [tf.identity(image) for image in decoded]
        found = [self._kept(value, kept, whole) for value in values]
        for place, image in zip(self._places, images, strict=True):
            found[place] = image
        return found

    def _decoded(self, encoded: Sequence[Any]) -> tuple[Any, tuple[Any, ...]]:
        """Gives the places in the batch, int32[kept], of the rows that can be decoded, and their images by column."""

        def images_of(place: Any, *files: Any) -> tuple[Any, ...]:
            pairs = zip(files, self._columns, strict=True)
            return place, tuple(fitted(opened(file, column), column) for file, column in pairs)

        rows = tf.size(encoded[0])
        each = tf.data.Dataset.from_tensor_slices((tf.range(rows), *encoded)).map(images_of).ignore_errors()
        none = tuple(tf.zeros((0, *(column.shape or ())), fitted_dtype(column)) for column in self._columns)
        # There is one batch, unless no image at all can be decoded.
        batches = each.batch(tf.cast(rows, tf.int64)).concatenate(
            tf.data.Dataset.from_tensors((tf.zeros((0,), tf.int32), none))
        )
        kept, images = batches.take(1).get_single_element()
        return kept, images

    def _kept(self, value: Any, kept: Any, whole: Any) -> Any:
        if self._on_bad_image is OnBadImage.RAISE:
            return value
        found = tf.cond(whole, lambda: value, lambda: tf.gather(value, kept))
        return tf.ensure_shape(found, (None, *value.shape[1:]))

    # --- eagerly, on a thread of tf.data -----------------------------------------------------------------------------

    @tf.autograph.experimental.do_not_convert  # AutoGraph would call each of the functions below
    def _see_to(self, feed: Any, rows: Any, kept: Any, *encoded: Any) -> Any:
        """Sees to the rows of a batch that are not kept. Gives the places that are."""
        places = set(range(len(rows))) - set(kept.numpy().tolist())
        try:
            with tf.device("/cpu:0"):
                for place in sorted(places):
                    self._leave_out(int(feed), int(rows[place]), [files[place].numpy() for files in encoded])
            self._refuse_too_few(len(kept), len(rows))
        except TFSparkError as error:
            raise self._failed(error) from error
        return kept

    def _leave_out(self, feed: int, row: int, files: Sequence[bytes]) -> None:
        if row in self._reader.skipped(feed):
            return
        partition, number = self._reader.origin(feed, row)
        column, what, cure = self._why(files)
        message = f"column {column.name!r}, partition {partition}, row {number}: {what}"
        if self._on_bad_image is OnBadImage.RAISE:
            leave_out = 'ctx.dataset(..., on_bad_image="skip") leaves such rows out'
            raise SchemaError(message, hint=f"{cure}; {leave_out}")
        so_far = self._reader.skip(feed, row)
        if 0 < so_far <= LOGGED:
            log.warning("left out a row: %s", message)
        elif so_far % LOGGED == 0 and (so_far // LOGGED).bit_count() == 1:
            log.warning("left out %d rows so far whose images cannot be decoded", so_far)

    def _why(self, files: Sequence[bytes]) -> tuple[Column, str, str]:
        for column, file in zip(self._columns, files, strict=True):
            why = why_not(file, column)
            if why is not None:
                return column, *why
        raise FeedError(
            "an image could not be decoded with its batch, and could be alone",
            hint="the node may be short of memory: look at spark.executor.memoryOverhead, or pass a smaller batch_size",
        )

    def _refuse_too_few(self, kept: int, rows: int) -> None:
        least = self._reader.options.replicas
        if kept < least:
            raise SchemaError(
                f"{rows - kept} of the {rows} rows of a step have images that cannot be decoded, "
                f"expected at least {least} to be left: all nodes take the step together",
                hint="pass a larger batch_size, or filter such images before train",
            )


def why_not(data: bytes, column: Column) -> tuple[str, str] | None:
    """Gives what is wrong with the image that bytes should hold, and what to do about it, or None. Eagerly."""
    assert column.shape is not None
    try:
        height, width, _ = opened(data, column).shape
    except _UNDECODABLE as error:
        held = f"{len(data)} bytes that TensorFlow cannot decode: {_reason(error)}" if data else "none, or a null"
        return f"expected a {column.encoding} image, received {held}", "drop or mend such rows before train"
    expected = column.shape[:2]
    if column.resize is not None or (height, width) == expected:
        return None
    received = f"received one of height {height} and width {width} in {len(data)} bytes"
    what = f"expected a {column.encoding} image of height {expected[0]} and width {expected[1]}, {received}"
    return what, f'Column({column.name!r}, resize="bilinear", ...) brings images to one size'


def _reason(error: Exception) -> str:
    """Gives TensorFlow's words without the names of its functions and operations."""
    text = getattr(error, "message", str(error)).partition("\n")[0]
    return re.sub(r"^\{\{.*?\}\}\s*|\s*\[Op:.*$", "", text).strip()
