"""The networks of `keras.applications`, by their names there.

Example:
    >>> application("DenseNet121", input_shape=(64, 64, 3), classes=10).output_shape
    (None, 10)
"""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import keras

from tfspark_cnn.errors import ConfigError


def application(
    name: str, *, input_shape: tuple[int, int, int], classes: int, weights: str | None = None, **parameters: Any
) -> keras.Model:
    """Gives a network of `keras.applications`, not compiled.

    `float32[batch, height, width, channels]` to probabilities `float32[batch, classes]`. Nothing is downloaded.

    Args:
        name: as `ResNet50V2`.
        input_shape: `(height, width, channels)`; each network has a smallest one.
        classes: the width of the output.
        weights: a local file that the same network wrote by `save_weights`, of as many classes; None: untrained.
        parameters: of that network's function, as `alpha=0.5`.

    Raises:
        ConfigError: the network has no such parameter, or the file is not there, or is of another network.
        ValueError: it refuses the shape, or the value of a parameter.
    """
    function = getattr(keras.applications, name)
    known = set(inspect.signature(function).parameters)
    for parameter in sorted(set(parameters) - known):
        there = ", ".join(sorted(known))
        raise ConfigError(f"unknown parameter {parameter!r} of network {name}", hint=f"it has {there}")
    model = function(weights=None, input_shape=input_shape, classes=classes, **parameters)
    if weights is not None:
        _load(model, weights)
    return model


def _load(model: keras.Model, weights: str) -> None:
    if not Path(weights).is_file():
        raise ConfigError(
            f"there is no file of weights {weights!r}", hint="it is read on every node: put it where all see it"
        )
    try:
        model.load_weights(weights)
    except (ValueError, OSError, KeyError) as error:
        raise ConfigError(
            f"the weights in {weights!r} are not those of {model.name}: {error}",
            hint="use a file that the same network with as many classes wrote by save_weights",
        ) from error
