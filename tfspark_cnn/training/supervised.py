"""A classifier as a configuration names it: the network with its optimizer, and its history in plain values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras

from tfspark_cnn.config import ModelConfig, TrainConfig
from tfspark_cnn.models import registry


def compiled(
    strategy: Any, *, model: ModelConfig, train: TrainConfig, image_shape: tuple[int, int, int], classes: int
) -> keras.Model:
    """Gives the network, made under a strategy, compiled for labels of 0 to `classes - 1`.

    Args:
        strategy: of TensorFlow.
        model: the network's name and parameters.
        train: names the optimizer and its learning rate.
        image_shape: `(height, width, channels)`.
        classes: width of the output.
    """
    with strategy.scope():
        network = registry.build(model.name, input_shape=image_shape, classes=classes, **model.parameters)
        optimizer = keras.optimizers.get(
            {"class_name": train.optimizer, "config": {"learning_rate": train.learning_rate}}
        )
        network.compile(optimizer=optimizer, loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return network


def plain(history: Mapping[str, Sequence[Any]]) -> dict[str, list[float]]:
    """Gives a Keras history, metric to its values by epoch, as Python numbers."""
    return {name: [float(value) for value in values] for name, values in history.items()}
