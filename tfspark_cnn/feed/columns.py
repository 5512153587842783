"""`Column`: what is asked of a column of the data, checked before anything is read."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeVar

import numpy as np

from tfspark_cnn.errors import ConfigError, did_you_mean

DTYPES = (
    "bool",
    *(f"{kind}{bits}" for kind in ("int", "uint") for bits in (8, 16, 32, 64)),
    "float16",
    "float32",
    "float64",
)
"""What a tensor may hold: the types that Arrow, NumPy and TensorFlow lay out alike."""


class Encoding(StrEnum):
    """How the bytes of a column hold a tensor."""

    RAW = "raw"
    JPEG = "jpeg"
    PNG = "png"


class Resize(StrEnum):
    """How an image of another size becomes one of the shape: the methods of `tf.image.resize`."""

    BILINEAR = "bilinear"
    NEAREST = "nearest"
    BICUBIC = "bicubic"
    AREA = "area"
    LANCZOS3 = "lanczos3"
    LANCZOS5 = "lanczos5"
    GAUSSIAN = "gaussian"
    MITCHELLCUBIC = "mitchellcubic"


class OnBadImage(StrEnum):
    """What happens when an image cannot be decoded."""

    RAISE = "raise"  # the run ends with an error that names it
    SKIP = "skip"  # its row is left out of its batch


_CHANNELS = {Encoding.JPEG: (1, 3), Encoding.PNG: (1, 3, 4)}


@dataclass(frozen=True)
class Column:
    """A column of the data that becomes a tensor.

    Args:
        name: of the column.
        shape: of one row, without the batch axis. None: as the Arrow type says, or as the first row has it. For jpeg
            and png the shape of the decoded image, `(height, width, channels)`: 1 channel is grey, 3 are red, green,
            blue, and 4, of a png, with alpha. Files of other channels are converted.
        dtype: numpy name of the type to cast numbers to, or that raw bytes hold. None: the Arrow type's, uint8 for
            bytes and images, float32 with a scale. A png keeps its 16 bits as `uint16`, and has 8 as anything else.
        encoding: `raw`, `jpeg` or `png`; the last two for binary columns only. TensorFlow goes by what the bytes say:
            a png in a jpeg column is decoded as well, and the other way round.
        resize: how images of another size become one of the shape, as `bilinear` or `nearest`; the sides are scaled
            each by its own factor. None: such an image is one that cannot be decoded.
        scale: what values are multiplied with after they were cast to dtype, a float one, as `1 / 255`. That happens in
            TensorFlow, so that they reach it as they are. Raw bytes then hold uint8.
        classes: how many there are; an integer outside of 0 to classes - 1 is refused.
        finite: whether NaN and infinities are refused.

    Raises:
        ConfigError: one of these cannot be, or not together with another.

    Example:
        >>> Column("image", shape=(28, 28, 1), dtype="float32").shape
        (28, 28, 1)
        >>> Column("image", shape=(224, 224, 3), encoding="jpeg", resize="bilinear", scale=1 / 255).dtype
        'float32'
    """

    name: str
    shape: tuple[int, ...] | None = None
    dtype: str | None = None
    encoding: str = Encoding.RAW
    resize: str | None = field(default=None, kw_only=True)
    scale: float | None = field(default=None, kw_only=True)
    classes: int | None = field(default=None, kw_only=True)
    finite: bool = field(default=False, kw_only=True)

    def __post_init__(self) -> None:
        object.__setattr__(self, "encoding", _encoding(self))
        object.__setattr__(self, "resize", _resize(self))
        object.__setattr__(self, "scale", _scale(self))
        object.__setattr__(self, "dtype", _dtype(self))
        object.__setattr__(self, "shape", _shape(self))
        object.__setattr__(self, "classes", _classes(self))
        _check_image(self)
        _check_together(self)

    @property
    def encoded(self) -> bool:
        """Whether the bytes are those of an image file."""
        return self.encoding != Encoding.RAW


Choice = TypeVar("Choice", bound=StrEnum)


def chosen(value: str, choices: type[Choice], *, what: str, otherwise: str) -> Choice:
    """Gives the choice that a string is.

    Args:
        value: what was asked for.
        choices: what there is.
        what: of whom and which, as `Column('image'): expected an encoding`.
        otherwise: the hint where nothing similar is there.

    Raises:
        ConfigError: it is none of them.
    """
    try:
        return choices(value)
    except ValueError:
        hint = did_you_mean(str(value), list(choices), otherwise)
        raise ConfigError(f"{what} of {', '.join(choices)}, received {value!r}", hint=hint) from None


def _encoding(column: Column) -> Encoding:
    what = f"Column({column.name!r}): expected an encoding"
    return chosen(column.encoding, Encoding, what=what, otherwise="raw is for values as they are")


def _resize(column: Column) -> Resize | None:
    if column.resize is None:
        return None
    what = f"Column({column.name!r}): expected a resize"
    return chosen(column.resize, Resize, what=what, otherwise="None, the default, takes images of one size alone")


def _scale(column: Column) -> float | None:
    if column.scale is None:
        return None
    number = isinstance(column.scale, (int, float, np.number)) and not isinstance(column.scale, bool)
    if number and math.isfinite(column.scale) and column.scale != 0:
        return float(column.scale)
    raise _refused(column, "a finite scale other than 0", f"{column.scale!r}", "1 / 255 brings bytes to 0..1")


def _dtype(column: Column) -> str | None:
    if column.dtype is None:
        return None if column.scale is None else "float32"
    if column.dtype in DTYPES:
        return str(column.dtype)  # a np.dtype equals its name
    keep = "keep float32 here, and set keras.mixed_precision for lower precision"
    raise ConfigError(
        f"Column({column.name!r}): expected a dtype of {', '.join(DTYPES)}, received {column.dtype!r}",
        hint=keep if column.dtype == "bfloat16" else did_you_mean(str(column.dtype), DTYPES, keep),
    )


def _shape(column: Column) -> tuple[int, ...] | None:
    if column.shape is None:
        return None
    if isinstance(column.shape, (tuple, list)) and all(_is_count(length) for length in column.shape):
        return tuple(int(length) for length in column.shape)
    raise ConfigError(
        f"Column({column.name!r}): expected a shape of positive integers, received {column.shape!r}",
        hint="give the shape of one row, without the batch axis, as (28, 28, 1)",
    )


def _classes(column: Column) -> int | None:
    if column.classes is None:
        return None
    if _is_count(column.classes):
        return int(column.classes)
    raise _refused(column, "a positive number of classes", f"{column.classes!r}", "pass how many there are, as 10")


def _is_count(value: Any) -> bool:
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool) and int(value) > 0


def _check_image(column: Column) -> None:
    """Refuses what no image file can be, or only one can."""
    if not column.encoded:
        if column.resize is not None:
            cure = "give an encoding, or bring the rows to one shape before train"
            raise _refused(column, "resize with encoding='jpeg' or 'png'", "'raw'", cure)
        return
    if column.shape is None:
        if column.resize is not None:
            raise _refused(column, "a shape to resize to", "None", "pass shape=(height, width, channels)")
        return
    channels = _CHANNELS[Encoding(column.encoding)]
    if len(column.shape) != 3 or column.shape[2] not in channels:
        expected = f"a shape of (height, width, channels) with {', '.join(map(str, channels))} channels for a"
        png = len(column.shape) == 3 and column.shape[2] == 4
        cure = "alpha is what encoding='png' has" if png else "1 is grey, 3 are red, green and blue"
        raise _refused(column, f"{expected} {column.encoding}", f"{column.shape}", cure)


def _check_together(column: Column) -> None:
    """Refuses what means nothing beside the dtype or the encoding."""
    integer = column.dtype is not None and np.dtype(column.dtype).kind != "f"
    if column.scale is not None and integer:
        cure = "leave out dtype for float32, or multiply in the model"
        raise _refused(column, "a float dtype with a scale", f"{column.dtype!r}", cure)
    if column.classes is not None and column.dtype is not None and np.dtype(column.dtype).kind not in "iu":
        received = f"{column.dtype!r}" if column.scale is None else "a scale"
        raise _refused(column, "an integer dtype with classes", received, "classes are numbered 0, 1, ...; cast later")
    for name, asked in (("classes", column.classes is not None), ("finite", column.finite)):
        if asked and column.encoded:
            cure = f"leave out {name}: it looks at numbers, before they reach TensorFlow"
            raise _refused(column, f"{name} with encoding='raw'", f"{str(column.encoding)!r}", cure)
    if column.finite and (integer or column.classes is not None):
        raise _refused(column, "a float dtype with finite", "integers", "leave out finite: integers always are")


def _refused(column: Column, expected: str, received: str, hint: str) -> ConfigError:
    return ConfigError(f"Column({column.name!r}): expected {expected}, received {received}", hint=hint)
