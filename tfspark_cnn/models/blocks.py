"""What networks are put together from: convolutions with BatchNormalization, and the head.

Weight decay is that of papers, which add `decay * weight` to the gradient; Keras' L2 adds twice its factor, so it gets
half. Layers are Keras' own, so that a saved network is read back without this package.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import keras

Tensor: TypeAlias = Any
"""A `keras.KerasTensor`."""

HE = "he_normal"
"""K. He et al., Delving Deep into Rectifiers, 2015, arXiv:1502.01852."""


@dataclass(frozen=True)
class Style:
    """How all convolutions of a network are made.

    Attributes:
        decay: weight decay of kernels, as papers give it.
        initializer: of kernels.
        activation: behind BatchNormalization.
        momentum: of the moving moments, per step.
        epsilon: added to the variance.
        synchronized: whether moments are those of the rows of all nodes, at the price of a reduction for each.
    """

    decay: float
    initializer: Any = HE
    activation: str | Callable[[Tensor], Tensor] = "relu"
    momentum: float = 0.9
    epsilon: float = 1e-5
    synchronized: bool = False

    def regularizer(self) -> keras.Regularizer | None:
        """Gives what adds the weight decay to a kernel's gradient."""
        return keras.regularizers.L2(self.decay / 2) if self.decay else None

    def linear(self) -> Style:
        """Gives the same without activation."""
        return replace(self, activation="linear")


def convolution(x: Tensor, filters: int, size: int, *, style: Style, strides: int = 1, name: str) -> Tensor:
    """Gives convolution, BatchNormalization and activation, without a bias, which the second would take away."""
    x = keras.layers.Conv2D(
        filters, size, strides=strides, padding="same", use_bias=False, name=f"{name}_conv",
        kernel_initializer=fresh(style.initializer), kernel_regularizer=style.regularizer(),
    )(x)  # fmt: skip
    return normalized(x, style=style, name=name)


def depthwise(x: Tensor, size: int, *, style: Style, strides: int = 1, name: str) -> Tensor:
    """Gives a convolution of each channel with itself, BatchNormalization and activation."""
    x = keras.layers.DepthwiseConv2D(
        size, strides=strides, padding="same", use_bias=False, name=f"{name}_conv",
        depthwise_initializer=fresh(style.initializer), depthwise_regularizer=style.regularizer(),
    )(x)  # fmt: skip
    return normalized(x, style=style, name=name)


def normalized(x: Tensor, *, style: Style, name: str) -> Tensor:
    """Gives BatchNormalization and activation."""
    x = keras.layers.BatchNormalization(
        momentum=style.momentum, epsilon=style.epsilon, synchronized=style.synchronized, name=f"{name}_norm"
    )(x)
    return x if style.activation == "linear" else keras.layers.Activation(style.activation, name=name)(x)


def probabilities(x: Tensor, classes: int, *, decay: float = 0.0, initializer: Any = "glorot_uniform") -> Tensor:
    """Gives `float32[batch, classes]` from `[batch, features]`, in float32 whatever the precision of the network."""
    regularizer = keras.regularizers.L2(decay / 2) if decay else None
    return keras.layers.Dense(
        classes, activation="softmax", dtype="float32", name="probabilities",
        kernel_initializer=fresh(initializer), kernel_regularizer=regularizer,
    )(x)  # fmt: skip


def fresh(initializer: Any) -> Any:
    """Gives an initializer that no other layer has: one that two share would give both the same values."""
    return initializer.clone() if isinstance(initializer, keras.Initializer) else initializer
