"""EfficientNet-B0: M. Tan, Q. Le, EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks, 2019,
arXiv:1905.11946, table 1; the details are those of the authors' own program.

Example:
    >>> efficientnet_b0(input_shape=(64, 64, 3), classes=10).output_shape
    (None, 10)
"""

from __future__ import annotations

import dataclasses

import keras

from tfspark_cnn.models.blocks import Style, Tensor, convolution, depthwise, fresh, probabilities

_STAGES = (
    (1, 16, 1, 1, 3), (6, 24, 2, 2, 3), (6, 40, 2, 2, 5), (6, 80, 3, 2, 3), (6, 112, 3, 1, 5), (6, 192, 4, 2, 5),
    (6, 320, 1, 1, 3),
)  # fmt: skip
"""Expansion, channels, blocks, strides of the first block, size of the depthwise kernel."""
_BLOCKS = sum(blocks for _, _, blocks, _, _ in _STAGES)
_STYLE = Style(
    decay=1e-5,  # section 5.2
    initializer=keras.initializers.VarianceScaling(2.0, mode="fan_out", distribution="truncated_normal"),
    activation="swish",
    momentum=0.99,
    epsilon=1e-3,
)
_HEAD = keras.initializers.VarianceScaling(1 / 3, mode="fan_out", distribution="uniform")


def efficientnet_b0(
    *,
    input_shape: tuple[int, int, int],
    classes: int,
    dropout: float = 0.2,
    survival: float = 0.8,
    weight_decay: float = _STYLE.decay,
    synchronized: bool = False,
) -> keras.Model:
    """Gives the network, not compiled: `float32[batch, height, width, channels]` to `float32[batch, classes]`.

    The paper's images are 224x224x3, with mean 0 and variance 1 by channel.

    Args:
        input_shape: `(height, width, channels)`.
        classes: the width of the output, which are probabilities.
        dropout: the part dropped before the output.
        survival: how probable it is that a row goes through the last block, and not around it; it falls to that block
            by block (G. Huang et al., Deep Networks with Stochastic Depth, 2016).
        weight_decay: of kernels.
        synchronized: whether BatchNormalization takes the moments of the rows of all nodes.
    """
    style = dataclasses.replace(_STYLE, decay=weight_decay, synchronized=synchronized)
    image = keras.Input(input_shape, name="image")
    x = convolution(image, 32, 3, strides=2, style=style, name="stem")
    done = 0
    for stage, (expansion, channels, blocks, strides, size) in enumerate(_STAGES):
        for number in range(blocks):
            x = _block(
                x, channels, expansion=expansion, size=size, strides=strides if number == 0 else 1,
                dropped=(1 - survival) * done / _BLOCKS, style=style, name=f"{stage}_{number}",
            )  # fmt: skip
            done += 1
    x = convolution(x, 1280, 1, style=style, name="top")
    x = keras.layers.GlobalAveragePooling2D(name="features")(x)
    x = keras.layers.Dropout(dropout, name="features_dropout")(x)
    return keras.Model(image, probabilities(x, classes, decay=style.decay, initializer=_HEAD), name="efficientnet_b0")


def _block(
    x: Tensor, channels: int, *, expansion: int, size: int, strides: int, dropped: float, style: Style, name: str
) -> Tensor:
    inner = x
    if expansion > 1:
        inner = convolution(inner, expansion * x.shape[-1], 1, style=style, name=f"{name}_expand")
    inner = depthwise(inner, size, strides=strides, style=style, name=f"{name}_depth")
    inner = _squeezed(inner, x.shape[-1] // 4, style=style, name=name)
    inner = convolution(inner, channels, 1, style=style.linear(), name=f"{name}_project")
    if strides > 1 or x.shape[-1] != channels:
        return inner
    if dropped:
        inner = keras.layers.Dropout(dropped, noise_shape=(None, 1, 1, 1), name=f"{name}_drop")(inner)
    return keras.layers.Add(name=f"{name}_add")([inner, x])


def _squeezed(x: Tensor, width: int, *, style: Style, name: str) -> Tensor:
    """Weighs the channels (J. Hu et al., Squeeze-and-Excitation Networks, 2018)."""
    weights = keras.layers.GlobalAveragePooling2D(keepdims=True, name=f"{name}_squeeze")(x)
    for filters, activation, part in ((width, "swish", "reduce"), (x.shape[-1], "sigmoid", "excite")):
        weights = keras.layers.Conv2D(
            filters, 1, activation=activation, kernel_initializer=fresh(style.initializer),
            kernel_regularizer=style.regularizer(), name=f"{name}_{part}",
        )(weights)  # fmt: skip
    return keras.layers.Multiply(name=f"{name}_weighed")([x, weights])
