"""The small CNN as `conf/digits.toml` has it, which both sides of `fit_workers` train, and what they tell of a round.

TensorFlow is imported inside of functions, on nodes and in processes started by hand.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bench.rows import Rows

ROWS = Rows("8x8x1 float32", 8_192, (8, 8, 1), "float32")
BATCH_ROWS = 32
CLASSES = 10
LEARNING_RATE = 0.002


@dataclass(frozen=True)
class Speed:
    """How fast one node went through a round.

    Attributes:
        steps: of an epoch.
        epochs_s: seconds of each epoch, the first one with what it waits for.
    """

    steps: int
    epochs_s: tuple[float, ...]

    @property
    def whole(self) -> float:
        """Steps per second, all epochs together."""
        return self.steps * len(self.epochs_s) / sum(self.epochs_s)

    @property
    def later(self) -> float:
        """Steps per second of all epochs but the first."""
        return self.steps * (len(self.epochs_s) - 1) / sum(self.epochs_s[1:])


def network() -> Any:
    """Gives the network; call it under the scope of the strategy."""
    import keras

    from tfspark_cnn.models import registry

    keras.utils.set_random_seed(0)
    return registry.build("small_cnn", input_shape=ROWS.shape, classes=CLASSES)


def optimizer() -> Any:
    """Gives the optimizer."""
    import keras

    return keras.optimizers.Adam(LEARNING_RATE)
