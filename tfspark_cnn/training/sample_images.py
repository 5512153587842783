"""The first images that a network gets, kept for TensorBoard: decoded, scaled and augmented as they are for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

PICTURE_CHANNELS = (1, 3, 4)


@dataclass
class FirstBatch:
    """The first batch of a dataset, if somebody asks for it before it is cut.

    Attributes:
        wanted: how many images of it; 0: none.
    """

    wanted: int = 0
    _values: tuple[Any, ...] = ()
    _element: Callable[..., Any] | None = field(default=None, repr=False)

    def offer(self, columns: tuple[Any, ...], element: Callable[..., Any]) -> None:
        """Keeps a copy of the first step of a block, if it is the first and wanted.

        Args:
            columns: `[steps, rows, ...]` each, as the dataset's generator gives them.
            element: makes the element of a dataset of those of one step.
        """
        if self.wanted and self._element is None:
            self._values, self._element = tuple(np.array(column[0]) for column in columns), element

    def take(self) -> npt.NDArray[np.uint8] | None:
        """Gives the images, `uint8[images, height, width, channels]`, and forgets them; None where there are none."""
        import tensorflow as tf

        if not self.wanted or self._element is None:
            return None
        made = next(iter(tf.data.Dataset.from_tensors(self._values).map(self._element)))
        wanted, self.wanted, self._values = self.wanted, 0, ()
        x = made[0] if isinstance(made, tuple) else made
        several = list(x.values()) if isinstance(x, Mapping) else [x]
        pictures = [one.numpy() for one in several if len(one.shape) == 4 and one.shape[-1] in PICTURE_CHANNELS]
        return shown(pictures[0][:wanted]) if pictures else None


def shown(values: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """Gives pixels to look at: bytes as they are, numbers from 0 to 1 as they mean, others from the least to the most.

    Example:
        >>> shown(np.array([-1.0, 0.0, 1.0])).tolist()
        [0, 127, 255]
    """
    if values.dtype == np.uint8:
        return values
    numbers = values.astype(np.float64)
    low, high = (float(numbers.min()), float(numbers.max())) if numbers.size else (0.0, 1.0)
    if low >= 0 and high <= 1 and np.issubdtype(values.dtype, np.inexact):
        low, high = 0.0, 1.0
    scaled = (numbers - low) / ((high - low) or 1.0)
    pixels: npt.NDArray[np.uint8] = (np.clip(scaled, 0, 1) * 255).astype(np.uint8)
    return pixels
