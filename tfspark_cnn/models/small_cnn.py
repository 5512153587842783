"""A small convolutional network for images of 8x8 to 32x32.

Example:
    >>> small_cnn(input_shape=(8, 8, 1), classes=10).output_shape
    (None, 10)
"""

from __future__ import annotations

import keras


def small_cnn(
    *,
    input_shape: tuple[int, int, int],
    classes: int,
    filters: int = 32,
    hidden: int = 128,
    dropout: float = 0.5,
) -> keras.Model:
    """Gives the network, not compiled: `float32[batch, height, width, channels]` to `float32[batch, classes]`.

    Two convolutions, one halving of the image, one hidden layer. There is no BatchNormalization, since its moments are
    of one node's rows and would differ with the number of workers.

    Args:
        input_shape: `(height, width, channels)`.
        classes: the width of the output, which are probabilities.
        filters: of the first convolution; the second has twice as many.
        hidden: width of the hidden layer.
        dropout: the part dropped behind the hidden layer; half of it behind the convolutions.
    """
    layers = keras.layers
    return keras.Sequential(
        [
            layers.Input(input_shape, name="image"),
            layers.Conv2D(filters, 3, padding="same", activation="relu"),
            layers.Conv2D(2 * filters, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(2),
            layers.Dropout(dropout / 2),
            layers.Flatten(),
            layers.Dense(hidden, activation="relu"),
            layers.Dropout(dropout),
            layers.Dense(classes, activation="softmax", dtype="float32"),  # probabilities, whatever the precision
        ],
        name="small_cnn",
    )
