"""VGG: K. Simonyan, A. Zisserman, Very Deep Convolutional Networks for Large-Scale Image Recognition, 2015,
arXiv:1409.1556, configurations A and D.

Example:
    >>> vgg11(input_shape=(32, 32, 3), classes=10).output_shape
    (None, 10)
"""

from __future__ import annotations

from collections.abc import Sequence

import keras

from tfspark_cnn.models.blocks import Tensor, probabilities

_DECAY = 5e-4  # section 3.1
_A = ((64,), (128,), (256, 256), (512, 512), (512, 512))
_D = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))


def vgg11(
    *,
    input_shape: tuple[int, int, int],
    classes: int,
    hidden: int = 4096,
    dropout: float = 0.5,
    weight_decay: float = _DECAY,
) -> keras.Model:
    """Gives configuration A, not compiled. `_vgg` has the details."""
    return _vgg("vgg11", _A, input_shape, classes, hidden=hidden, dropout=dropout, decay=weight_decay)


def vgg16(
    *,
    input_shape: tuple[int, int, int],
    classes: int,
    hidden: int = 4096,
    dropout: float = 0.5,
    weight_decay: float = _DECAY,
) -> keras.Model:
    """Gives configuration D, not compiled. `_vgg` has the details."""
    return _vgg("vgg16", _D, input_shape, classes, hidden=hidden, dropout=dropout, decay=weight_decay)


def _vgg(
    name: str,
    stages: Sequence[Sequence[int]],
    input_shape: tuple[int, int, int],
    classes: int,
    *,
    hidden: int,
    dropout: float,
    decay: float,
) -> keras.Model:
    """Gives `float32[batch, height, width, channels]` to probabilities `float32[batch, classes]`.

    The paper's images are 224x224x3, less the mean of each channel. Kernels begin as Glorot and Bengio have them, with
    which the paper found no need to begin with a shallower network (section 3.1).

    Args:
        name: of the model.
        stages: filters of the convolutions between two poolings.
        input_shape: `(height, width, channels)`, at least 32x32.
        classes: the width of the output.
        hidden: width of the two layers before the output; most of the weights are there.
        dropout: the part dropped behind each of them.
        decay: the paper's weight decay.
    """
    image = x = keras.Input(input_shape, name="image")
    for number, stage in enumerate(stages, 1):
        for place, filters in enumerate(stage, 1):
            x = keras.layers.Conv2D(
                filters, 3, padding="same", activation="relu", kernel_regularizer=_l2(decay),
                name=f"conv{number}_{place}",
            )(x)  # fmt: skip
        x = keras.layers.MaxPooling2D(2, name=f"pool{number}")(x)
    x = keras.layers.Flatten(name="flat")(x)
    for number in (1, 2):
        x = _hidden(x, hidden, dropout=dropout, decay=decay, name=f"hidden{number}")
    return keras.Model(image, probabilities(x, classes, decay=decay), name=name)


def _hidden(x: Tensor, width: int, *, dropout: float, decay: float, name: str) -> Tensor:
    x = keras.layers.Dense(width, activation="relu", kernel_regularizer=_l2(decay), name=name)(x)
    return keras.layers.Dropout(dropout, name=f"{name}_dropout")(x)


def _l2(decay: float) -> keras.Regularizer | None:
    return keras.regularizers.L2(decay / 2) if decay else None
