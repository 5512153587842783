"""Augmentation of a batch of images in TensorFlow operations, the same whenever it is drawn by the same seed.

Every function takes `x`, float32[rows, height, width, channels], of any scale, and a seed, int32[2], and draws for each
image by itself; those that mix draw once for a batch, as their papers' code does, and take labels by class as well.

Sources: cutout: DeVries and Taylor 2017, arXiv:1708.04552. mixup: Zhang et al. 2018, arXiv:1710.09412. cutmix: Yun et
al. 2019, arXiv:1905.04899. Crops and flips: He et al. 2016, arXiv:1512.03385, section 4.2.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from tfspark_cnn.augmentation import Augmentation

LUMA = (0.299, 0.587, 0.114)
"""What a colour's red, green and blue weigh in its grey (ITU-R BT.601)."""

YIQ = ((0.299, 0.587, 0.114), (0.596, -0.274, -0.322), (0.211, -0.523, 0.312))
"""From red, green, blue to luma and the two axes of the colour circle (NTSC)."""

_FROM_YIQ = np.linalg.inv(np.array(YIQ)).astype(np.float32)


@dataclass(frozen=True)
class AugmentImages:
    """What `ctx.dataset(augment=...)` takes where labels stay as they are.

    Attributes:
        augmentations: in the order in which they are applied; none of them mixes.
    """

    augmentations: tuple[Augmentation, ...]

    def __call__(self, x: Any, seed: Any) -> Any:
        """Gives the images of a batch, augmented."""
        for number, one in enumerate(self.augmentations):
            x = _IMAGES[one.name](x, one.amount, _fold(seed, number))
        return x


@dataclass(frozen=True)
class Augment:
    """What `ctx.dataset(augment=...)` takes where labels are mixed as images are.

    Attributes:
        augmentations: in the order in which they are applied.
        classes: labels are 0 to `classes - 1`, and become float32[rows, classes]; None: they are numbers, and stay so.

    Example:
        >>> augment = Augment(tfspark_cnn.augmentation.parse("flip, mixup:0.2"), classes=10)
        >>> ctx.dataset("image", "label", batch_size=32, augment=augment)    # doctest: +SKIP
    """

    augmentations: tuple[Augmentation, ...]
    classes: int | None

    def __call__(self, x: Any, y: Any, seed: Any) -> tuple[Any, Any]:
        """Gives the images and the labels of a batch, augmented."""
        y = tf.cast(y, tf.float32) if self.classes is None else tf.one_hot(tf.cast(y, tf.int32), self.classes)
        mixers = [one for one in self.augmentations if one.kind.mixes]
        x = AugmentImages(tuple(one for one in self.augmentations if not one.kind.mixes))(x, seed)
        return _mixed(x, y, mixers, _fold(seed, len(self.augmentations))) if mixers else (x, y)


def _fold(seed: Any, number: int) -> Any:
    return tf.random.experimental.stateless_fold_in(seed, number)


def _draw(x: Any, seed: Any, least: float, most: float) -> Any:
    """Draws a number for each image, float32[rows]."""
    return tf.random.stateless_uniform([tf.shape(x)[0]], seed, least, most)


def _each(numbers: Any) -> Any:
    return tf.reshape(numbers, (-1, 1, 1, 1))


# --- images ---------------------------------------------------------------------------------------------------------


def _flip(x: Any, amount: float, seed: Any) -> Any:
    return tf.where(_each(_draw(x, seed, 0.0, 1.0)) < 0.5, tf.reverse(x, [2]), x)


def _flip_vertical(x: Any, amount: float, seed: Any) -> Any:
    return tf.where(_each(_draw(x, seed, 0.0, 1.0)) < 0.5, tf.reverse(x, [1]), x)


def _crop(x: Any, amount: float, seed: Any) -> Any:
    """Moves images by up to so many pixels; what comes in is 0, as in a crop of an image that zeros surround."""
    moves = [tf.floor(_draw(x, _fold(seed, axis), -amount, amount + 1)) for axis in range(2)]
    one, zero = tf.ones_like(moves[0]), tf.zeros_like(moves[0])
    return _projected(x, [one, zero, moves[0], zero, one, moves[1]], "NEAREST")


def _rotate(x: Any, amount: float, seed: Any) -> Any:
    """Turns images around their middle."""
    angle = _draw(x, seed, -amount, amount) * (math.pi / 180)
    cosine, sine = tf.cos(angle), tf.sin(angle)
    middle_y, middle_x = ((tf.cast(tf.shape(x)[axis], tf.float32) - 1) / 2 for axis in (1, 2))
    across = middle_x - (cosine * middle_x - sine * middle_y)
    down = middle_y - (sine * middle_x + cosine * middle_y)
    return _projected(x, [cosine, -sine, across, sine, cosine, down], "BILINEAR")


def _projected(x: Any, places: Sequence[Any], interpolation: str) -> Any:
    """Gives each pixel what is at `(a x + b y + c, d x + e y + f)`, or 0 beyond the image."""
    zero = tf.zeros_like(places[0])
    moved = tf.raw_ops.ImageProjectiveTransformV3(
        images=x, transforms=tf.stack([*places, zero, zero], axis=1), output_shape=tf.shape(x)[1:3], fill_value=0.0,
        interpolation=interpolation, fill_mode="CONSTANT",
    )  # fmt: skip
    return tf.ensure_shape(moved, x.shape)


def _brightness(x: Any, amount: float, seed: Any) -> Any:
    return x * _each(_draw(x, seed, 1 - amount, 1 + amount))


def _contrast(x: Any, amount: float, seed: Any) -> Any:
    mean = tf.reduce_mean(_grey(x) if x.shape[-1] == 3 else x, axis=(1, 2, 3), keepdims=True)
    return mean + (x - mean) * _each(_draw(x, seed, 1 - amount, 1 + amount))


def _saturation(x: Any, amount: float, seed: Any) -> Any:
    grey = _grey(x)
    return grey + (x - grey) * _each(_draw(x, seed, 1 - amount, 1 + amount))


def _hue(x: Any, amount: float, seed: Any) -> Any:
    """Turns colours around the axis of greys; linear, so that pixels may have any scale."""
    angle = _draw(x, seed, -amount, amount) * (2 * math.pi)
    to_yiq = tf.constant(YIQ)
    one, zero = tf.ones_like(angle), tf.zeros_like(angle)
    rows = [one, zero, zero, zero, tf.cos(angle), -tf.sin(angle), zero, tf.sin(angle), tf.cos(angle)]
    turned = tf.constant(_FROM_YIQ) @ tf.reshape(tf.stack(rows, axis=1), (-1, 3, 3)) @ to_yiq
    return tf.einsum("nhwc,ndc->nhwd", x, turned)


def _grey(x: Any) -> Any:
    return tf.reduce_sum(x * tf.constant(LUMA), axis=-1, keepdims=True)


def _cutout(x: Any, amount: float, seed: Any) -> Any:
    """Sets a square to 0 whose middle is anywhere in the image, so that a part of it may be beyond the border."""
    inside = [
        _within(tf.shape(x)[axis], tf.floor(_draw(x, _fold(seed, axis), 0.0, 1.0) * _size(x, axis)), amount)
        for axis in (1, 2)
    ]
    cut = inside[0][:, :, tf.newaxis, tf.newaxis] & inside[1][:, tf.newaxis, :, tf.newaxis]
    return tf.where(cut, tf.zeros_like(x), x)


def _size(x: Any, axis: int) -> Any:
    return tf.cast(tf.shape(x)[axis], tf.float32)


def _within(size: Any, middle: Any, length: Any) -> Any:
    """Tells which of `size` places are among the `length` ones around a middle, bool[rows, size]."""
    first = tf.expand_dims(middle - tf.floor(length / 2), 1)
    places = tf.cast(tf.range(size), tf.float32)[tf.newaxis]
    return (places >= first) & (places < first + length)


# --- batches --------------------------------------------------------------------------------------------------------


def _mixed(x: Any, y: Any, mixers: Sequence[Augmentation], seed: Any) -> tuple[Any, Any]:
    """Mixes each image with another one of the batch, by one of the mixers."""
    order = tf.argsort(tf.random.stateless_uniform([tf.shape(x)[0]], _fold(seed, 0)))
    others = tf.gather(x, order), tf.gather(y, order)
    ways = [lambda one=one: _MIXERS[one.name](x, y, others, (one.amount, _fold(seed, 1))) for one in mixers]
    if len(ways) == 1:
        return ways[0]()
    chosen = tf.random.stateless_uniform([], _fold(seed, 2), 0, len(ways), tf.int32)
    return tf.switch_case(chosen, ways)


def _mixup(x: Any, y: Any, others: tuple[Any, Any], drawn: tuple[float, Any]) -> tuple[Any, Any]:
    share = _beta(*drawn)
    return share * x + (1 - share) * others[0], share * y + (1 - share) * others[1]


def _cutmix(x: Any, y: Any, others: tuple[Any, Any], drawn: tuple[float, Any]) -> tuple[Any, Any]:
    """Puts a part of another image over each; labels by the area of it that is in the image."""
    alpha, seed = drawn
    side = tf.sqrt(1 - _beta(alpha, seed))
    inside = []
    for axis in (1, 2):
        middle = tf.floor(tf.random.stateless_uniform([1], _fold(seed, axis + 2)) * _size(x, axis))
        inside.append(_within(tf.shape(x)[axis], middle, tf.floor(side * _size(x, axis))))
    cut = inside[0][:, :, tf.newaxis, tf.newaxis] & inside[1][:, tf.newaxis, :, tf.newaxis]
    share = 1 - tf.reduce_mean(tf.cast(cut, tf.float32))
    return tf.where(cut, others[0], x), share * y + (1 - share) * others[1]


def _beta(alpha: float, seed: Any) -> Any:
    """Draws from Beta(alpha, alpha), by two Gamma variables."""
    one, other = (tf.random.stateless_gamma([], _fold(seed, number), alpha) for number in range(2))
    total = one + other
    return tf.where(total > 0, tf.math.divide_no_nan(one, total), 1.0)


_IMAGES: Mapping[str, Callable[[Any, float, Any], Any]] = {
    "flip": _flip, "flip_vertical": _flip_vertical, "crop": _crop, "rotate": _rotate, "brightness": _brightness,
    "contrast": _contrast, "saturation": _saturation, "hue": _hue, "cutout": _cutout,
}  # fmt: skip
_MIXERS: Mapping[str, Callable[..., tuple[Any, Any]]] = {"mixup": _mixup, "cutmix": _cutmix}
