"""What each augmentation makes of images that show what was done to them; runs where TensorFlow is."""

from __future__ import annotations

from typing import Any

import numpy as np

from tfspark_cnn.augmentation import parse

ROWS, SIDE = 400, 9
CLASSES = 5


def drawn(text: str, x: Any, y: Any = None, *, seed: int = 1, classes: int | None = CLASSES) -> Any:
    """Gives images and labels as `ctx.dataset(augment=...)` would with this configuration."""
    import tensorflow as tf

    from tfspark_cnn.training.augmentation import Augment

    labels = np.zeros(len(x), np.int64) if y is None else y
    augment = tf.function(Augment(parse(text), classes))
    made, parts = augment(tf.constant(x), tf.constant(labels), tf.constant([seed, 7], tf.int32))
    return made.numpy(), parts.numpy()


def noise(channels: int = 1, rows: int = ROWS) -> Any:
    """Images in which no pixel is like another, nor 0."""
    return np.random.default_rng(0).uniform(1, 100, (rows, SIDE, SIDE, channels)).astype(np.float32)


def even() -> tuple[Any, Any]:
    """Images of one colour each, that of their class."""
    labels = np.arange(ROWS) % CLASSES
    return np.broadcast_to((labels * 10.0)[:, None, None, None], (ROWS, SIDE, SIDE, 1)).astype(np.float32), labels


def pointed() -> Any:
    """Images with one bright pixel, right of the middle."""
    images = np.zeros((ROWS, SIDE, SIDE, 1), np.float32)
    images[:, SIDE // 2, SIDE - 2] = 1
    return images


def by_name() -> dict[str, tuple[Any, Any]]:
    """Images before and after each augmentation that leaves labels as they are."""
    grey, colours = noise(), noise(3)
    asked = {
        "flip": grey, "flip_vertical": grey, "crop:2": grey, "cutout:3": grey, "rotate:30": pointed(),
        "brightness:0.25": grey, "contrast:0.5": grey, "saturation:0.5": colours, "hue:0.5": colours,
        "contrast:0.25": colours,
    }  # fmt: skip
    return {text: (x, drawn(text, x)[0]) for text, x in asked.items()}


def mixed() -> dict[str, list[tuple[Any, Any]]]:
    """Images of one colour and their labels, mixed, by many seeds."""
    x, y = even()
    return {
        text: [drawn(text, x, y, seed=seed) for seed in range(30)]
        for text in ("mixup:0.2", "cutmix:1", "mixup:1, cutmix:1")
    }


def everything() -> dict[str, Any]:
    """All of it."""
    x, y = even()
    every = "flip, flip_vertical, crop:2, rotate:10, brightness:0.2, contrast:0.2, cutout:3, mixup:0.2"
    return {
        "by name": by_name(),
        "mixed": mixed(),
        "again": [drawn(every, noise(), y, seed=seed) for seed in (1, 1, 2)],
        "one row": drawn(every, noise(rows=1), y[:1]),
        "numbers": drawn("mixup:1", x, y.astype(np.float32), classes=None),
        "none": drawn("", x, y),
    }
