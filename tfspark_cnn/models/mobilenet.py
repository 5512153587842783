"""MobileNetV2: M. Sandler, A. Howard, M. Zhu, A. Zhmoginov, L.-C. Chen, MobileNetV2: Inverted Residuals and Linear
Bottlenecks, 2018, arXiv:1801.04381, table 2.

Example:
    >>> mobilenet_v2(input_shape=(96, 96, 3), classes=10, width=0.5).output_shape
    (None, 10)
"""

from __future__ import annotations

import dataclasses

import keras

from tfspark_cnn.models.blocks import Style, Tensor, convolution, depthwise, probabilities

_STAGES = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
"""Expansion, channels, blocks, strides of the first block."""
_STYLE = Style(
    decay=4e-5,  # section 6.1
    initializer=keras.initializers.TruncatedNormal(stddev=0.09),  # of the authors' own program; the paper has none
    activation="relu6",
    momentum=0.99,
    epsilon=1e-3,
)


def mobilenet_v2(
    *,
    input_shape: tuple[int, int, int],
    classes: int,
    width: float = 1.0,
    dropout: float = 0.2,
    weight_decay: float = _STYLE.decay,
    synchronized: bool = False,
) -> keras.Model:
    """Gives the network, not compiled: `float32[batch, height, width, channels]` to `float32[batch, classes]`.

    The paper's images are 224x224x3, of -1 to 1; it halves them five times, so ones below 32x32 become a single pixel.
    Weight decay is not on depthwise kernels, as in the first MobileNet (arXiv:1704.04861, section 3.2).

    Args:
        input_shape: `(height, width, channels)`.
        classes: the width of the output, which are probabilities.
        width: the paper's multiplier of all channels, in multiples of 8.
        dropout: the part dropped before the output.
        weight_decay: of kernels.
        synchronized: whether BatchNormalization takes the moments of the rows of all nodes.
    """
    style = dataclasses.replace(_STYLE, decay=weight_decay, synchronized=synchronized)
    image = keras.Input(input_shape, name="image")
    x = convolution(image, multiple_of_8(32 * width), 3, strides=2, style=style, name="stem")
    for stage, (expansion, channels, blocks, strides) in enumerate(_STAGES):
        for number in range(blocks):
            x = _inverted(
                x, multiple_of_8(channels * width), expansion=expansion, strides=strides if number == 0 else 1,
                style=style, name=f"{stage}_{number}",
            )  # fmt: skip
    x = convolution(x, multiple_of_8(1280 * max(1.0, width)), 1, style=style, name="top")
    x = keras.layers.GlobalAveragePooling2D(name="features")(x)
    x = keras.layers.Dropout(dropout, name="features_dropout")(x)
    return keras.Model(image, probabilities(x, classes, decay=style.decay), name="mobilenet_v2")


def multiple_of_8(channels: float) -> int:
    """Gives the nearest multiple of 8 that is at least 0.9 of the number, and at least 8.

    Example:
        >>> multiple_of_8(24), multiple_of_8(12), multiple_of_8(33.6), multiple_of_8(1)
        (24, 16, 32, 8)
    """
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * channels else rounded


def _inverted(x: Tensor, channels: int, *, expansion: int, strides: int, style: Style, name: str) -> Tensor:
    inner = x
    if expansion > 1:
        inner = convolution(inner, expansion * x.shape[-1], 1, style=style, name=f"{name}_expand")
    inner = depthwise(inner, 3, strides=strides, style=dataclasses.replace(style, decay=0.0), name=f"{name}_depth")
    inner = convolution(inner, channels, 1, style=style.linear(), name=f"{name}_project")
    if strides > 1 or x.shape[-1] != channels:
        return inner
    return keras.layers.Add(name=f"{name}_add")([x, inner])
