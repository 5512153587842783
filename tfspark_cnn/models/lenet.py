"""LeNet-5: Y. LeCun, L. Bottou, Y. Bengio, P. Haffner, Gradient-Based Learning Applied to Document Recognition, 1998.

Example:
    >>> lenet5(input_shape=(32, 32, 1), classes=10).output_shape
    (None, 10)
"""

from __future__ import annotations

import keras

from tfspark_cnn.models.blocks import Tensor, probabilities

# Table I: which of the six maps of S2 each of the sixteen maps of C3 sees.
_SEEN = (
    (0, 1, 2), (1, 2, 3), (2, 3, 4), (3, 4, 5), (0, 4, 5), (0, 1, 5),
    (0, 1, 2, 3), (1, 2, 3, 4), (2, 3, 4, 5), (0, 3, 4, 5), (0, 1, 4, 5), (0, 1, 2, 5),
    (0, 1, 3, 4), (1, 2, 4, 5), (0, 2, 3, 5), (0, 1, 2, 3, 4, 5),
)  # fmt: skip


def lenet5(*, input_shape: tuple[int, int, int], classes: int) -> keras.Model:
    """Gives the network, not compiled: `float32[batch, height, width, channels]` to `float32[batch, classes]`.

    As in the paper: 32x32 images (of others, at least 20x20, the last convolution sees a part, and is averaged),
    trained coefficients behind the pooling, the sparse third layer, scaled tanh, and 60,000 weights before the output.
    That one is a softmax here; the paper's distances to drawn digits are only for digits.

    Args:
        input_shape: `(height, width, channels)`; the paper's is `(32, 32, 1)`.
        classes: the width of the output, which are probabilities.
    """
    image = keras.Input(input_shape, name="image")
    x = _squashed(_convolution(image, 6, fan_in=25 * input_shape[2], name="c1"), name="c1")
    x = _subsampled(x, name="s2")
    parts = [keras.ops.take(x, list(seen), axis=-1) for seen in _SEEN]
    maps = [_convolution(part, 1, fan_in=25 * len(seen), name=f"c3_{number}")
            for number, (part, seen) in enumerate(zip(parts, _SEEN, strict=True))]  # fmt: skip
    x = _squashed(keras.layers.Concatenate(name="c3_maps")(maps), name="c3")
    x = _subsampled(x, name="s4")
    x = _squashed(_convolution(x, 120, fan_in=25 * 16, name="c5"), name="c5")
    x = keras.layers.GlobalAveragePooling2D(name="c5_mean")(x)
    x = keras.layers.Dense(84, kernel_initializer=_uniform(120), name="f6_dense")(x)
    x = _squashed(x, name="f6")
    return keras.Model(image, probabilities(x, classes, initializer=_uniform(84)), name="lenet5")


def _convolution(x: Tensor, filters: int, *, fan_in: int, name: str) -> Tensor:
    return keras.layers.Conv2D(filters, 5, kernel_initializer=_uniform(fan_in), name=f"{name}_conv")(x)


def _subsampled(x: Tensor, *, name: str) -> Tensor:
    """Gives means of 2x2, each map times its coefficient plus its bias."""
    x = keras.layers.AveragePooling2D(2, name=f"{name}_pool")(x)
    x = keras.layers.DepthwiseConv2D(1, depthwise_initializer="ones", name=f"{name}_scale")(x)
    return _squashed(x, name=name)


def _squashed(x: Tensor, *, name: str) -> Tensor:
    """Gives 1.7159 tanh(2x/3), appendix A of the paper: targets of 1 lie where it bends most."""
    x = keras.layers.Rescaling(2 / 3, name=f"{name}_in")(x)
    x = keras.layers.Activation("tanh", name=f"{name}_tanh")(x)
    return keras.layers.Rescaling(1.7159, name=f"{name}_out")(x)


def _uniform(fan_in: int) -> keras.Initializer:
    return keras.initializers.RandomUniform(-2.4 / fan_in, 2.4 / fan_in)
