"""The mistakes that a classifier was most certain of, as images."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from tfspark_cnn.errors import ConfigError, SchemaError
from tfspark_cnn.pictures.columns import check, class_names, key

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pyspark.sql import Column, DataFrame

COLUMNS = 4
_FILES = (b"\x89PNG", b"\xff\xd8\xff")


@dataclass(frozen=True, eq=False)
class Mistake:
    """A row that was predicted wrong.

    Attributes:
        label: its class.
        prediction: what it was taken for.
        confidence: the probability that the network gave to that.
        image: `[height, width]` or `[height, width, 3]`, of any numbers.
    """

    label: str
    prediction: str
    confidence: float
    image: npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class Mistakes:
    """The mistakes that a classifier was most certain of, the worst first."""

    found: tuple[Mistake, ...]

    def __len__(self) -> int:
        return len(self.found)

    def plot(self) -> Figure:
        """Gives them as a picture.

        Raises:
            ConfigError: matplotlib is not installed.
        """
        return _draw(self.found)


def worst_mistakes(
    scored: DataFrame,
    label: str = "label",
    prediction: str = "prediction",
    *,
    image: str = "image",
    probability: str = "probability",
    k: int = 12,
    shape: Sequence[int] | None = None,
    names: Sequence[str] | None = None,
) -> Mistakes:
    """Gives the `k` rows that are wrong with the greatest probability. Spark finds them, and sends no others.

    Args:
        scored: rows with their predictions, as `model.transform` gives.
        label: the column of true classes.
        prediction: the column of predicted classes.
        image: the column of images: numbers, flat or nested; raw bytes; or a jpeg or png.
        probability: the column of probabilities by class, a vector or an array.
        k: how many.
        shape: `[height, width]` or with channels, of flat images; None: square, grey or of three colours.
        names: of the classes 0, 1, ...; None: those that a StringIndexer made, or the values themselves.

    Raises:
        ConfigError: k is less than 1.
        SchemaError: there is no such column, or it holds no images.

    Example:
        >>> worst_mistakes(model.transform(test), image="image", k=8).plot()  # doctest: +SKIP
    """
    from pyspark.sql import functions as sf

    if isinstance(k, bool) or not isinstance(k, int) or k < 1:
        raise ConfigError(f"k is {k!r}, expected 1 or more", hint="as k=12")
    true, said, pixels, likely = check(scored, label, prediction, image, probability)
    confidence = sf.array_max(_array(scored, probability, likely))
    wrong = scored.where(true.cast("string").isNotNull() & ~true.eqNullSafe(said))
    rows = (
        wrong.select(true.alias("l"), said.alias("p"), confidence.alias("c"), pixels.alias("i"))
        .orderBy(sf.desc_nulls_last("c"))
        .limit(k)
        .collect()
    )
    known = names or class_names(scored, label, prediction)
    return Mistakes(
        tuple(
            Mistake(_name(row["l"], known), _name(row["p"], known), float(row["c"]), as_image(row["i"], shape=shape))
            for row in rows
        )
    )


def _array(scored: DataFrame, name: str, column: Column) -> Column:
    if scored.schema[name].dataType.typeName() in ("array",):
        return column
    from pyspark.ml.functions import vector_to_array

    return vector_to_array(column)


def _name(value: Any, names: Sequence[str] | None) -> str:
    number = key(value)
    known = names is not None and isinstance(number, int) and 0 <= number < len(names)
    return names[number] if known and names is not None else str(number)


def as_image(value: Any, *, shape: Sequence[int] | None = None) -> npt.NDArray[Any]:
    """Gives an image as an array that can be drawn: `[height, width]` or `[height, width, 3]`.

    Args:
        value: numbers, flat or nested; raw bytes; or those of a jpeg or png.
        shape: of flat ones; None: square.

    Raises:
        SchemaError: it is none.

    Example:
        >>> as_image([0.0] * 64).shape
        (8, 8)
    """
    if isinstance(value, bytes | bytearray) and bytes(value[:4]).startswith(_FILES):
        from PIL import Image

        with Image.open(io.BytesIO(bytes(value))) as file:
            return np.asarray(file.convert("RGB"))
    raw = isinstance(value, bytes | bytearray)
    array = np.frombuffer(bytes(value), np.uint8) if raw else np.asarray(value, dtype=np.float32)
    array = array.reshape(_shape(array.size, shape)) if array.ndim == 1 else array
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    if array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (3, 4)):
        return array
    raise SchemaError(
        f"expected an image, received numbers of shape {list(array.shape)}", hint="pass shape=[height, width, channels]"
    )


def _shape(size: int, shape: Sequence[int] | None) -> tuple[int, ...]:
    if shape is not None and math.prod(shape) == size:
        return tuple(shape)
    for channels in (1, 3) if shape is None else ():
        side = math.isqrt(size // channels)
        if side * side * channels == size:
            return (side, side, channels)
    raise SchemaError(
        f"expected an image of {list(shape) if shape is not None else 'equal sides'}, received {size:,} numbers",
        hint="pass shape=[height, width, channels]",
    )


def _draw(found: Sequence[Mistake]) -> Figure:
    from tfspark_cnn.pictures.figure import picture

    columns = min(COLUMNS, max(1, len(found)))
    rows = max(1, -(-len(found) // columns))
    figure = picture(2.0 * columns + 0.4, 2.4 * rows + 0.3)
    if not found:
        figure.text(0.5, 0.5, "no mistakes", ha="center", va="center")
    for number, mistake in enumerate(found, 1):
        axes = figure.add_subplot(rows, columns, number)
        axes.imshow(_drawable(mistake.image), cmap="gray" if mistake.image.ndim == 2 else None)
        axes.set_title(
            f"{mistake.label}, taken for {mistake.prediction}\n{mistake.confidence:.1%} certain", fontsize="small"
        )
        axes.set_xticks([])
        axes.set_yticks([])
    return figure


def _drawable(image: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Brings colours of any range to 0 to 1; of grey images matplotlib does so."""
    if image.ndim == 2 or image.dtype == np.uint8:
        return image
    low, high = float(image.min()), float(image.max())
    if low >= 0 and high <= 1:
        return image
    low, high = (0.0, 255.0) if low >= 0 and high <= 255 else (low, high)
    return (image - low) / ((high - low) or 1.0)
