"""Residual networks: K. He, X. Zhang, S. Ren, J. Sun, Deep Residual Learning for Image Recognition, 2016,
arXiv:1512.03385. Those for CIFAR of section 4.2, and those for ImageNet of table 1.

Example:
    >>> resnet20(input_shape=(32, 32, 3), classes=10).output_shape
    (None, 10)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import keras

from tfspark_cnn.models.blocks import Style, Tensor, convolution, probabilities

_DECAY = 1e-4  # section 3.4
Shape = tuple[int, int, int]
Block = Callable[..., Tensor]


def resnet20(
    *, input_shape: Shape, classes: int, weight_decay: float = _DECAY, synchronized: bool = False
) -> keras.Model:
    """Gives the network for CIFAR of 20 layers, not compiled. `_for_cifar` has the details."""
    return _for_cifar("resnet20", 3, input_shape, classes, Style(weight_decay, synchronized=synchronized))


def resnet32(
    *, input_shape: Shape, classes: int, weight_decay: float = _DECAY, synchronized: bool = False
) -> keras.Model:
    """Gives the network for CIFAR of 32 layers, not compiled. `_for_cifar` has the details."""
    return _for_cifar("resnet32", 5, input_shape, classes, Style(weight_decay, synchronized=synchronized))


def resnet56(
    *, input_shape: Shape, classes: int, weight_decay: float = _DECAY, synchronized: bool = False
) -> keras.Model:
    """Gives the network for CIFAR of 56 layers, not compiled. `_for_cifar` has the details."""
    return _for_cifar("resnet56", 9, input_shape, classes, Style(weight_decay, synchronized=synchronized))


def resnet18(
    *, input_shape: Shape, classes: int, weight_decay: float = _DECAY, synchronized: bool = False
) -> keras.Model:
    """Gives the network for ImageNet of 18 layers, not compiled. `_for_imagenet` has the details."""
    style = Style(weight_decay, synchronized=synchronized)
    return _for_imagenet("resnet18", (2, 2, 2, 2), _basic, input_shape, classes, style)


def resnet34(
    *, input_shape: Shape, classes: int, weight_decay: float = _DECAY, synchronized: bool = False
) -> keras.Model:
    """Gives the network for ImageNet of 34 layers, not compiled. `_for_imagenet` has the details."""
    style = Style(weight_decay, synchronized=synchronized)
    return _for_imagenet("resnet34", (3, 4, 6, 3), _basic, input_shape, classes, style)


def resnet50(
    *, input_shape: Shape, classes: int, weight_decay: float = _DECAY, synchronized: bool = False
) -> keras.Model:
    """Gives the network for ImageNet of 50 layers, not compiled. `_for_imagenet` has the details."""
    style = Style(weight_decay, synchronized=synchronized)
    return _for_imagenet("resnet50", (3, 4, 6, 3), _bottleneck, input_shape, classes, style)


def _for_cifar(name: str, blocks: int, input_shape: Shape, classes: int, style: Style) -> keras.Model:
    """Gives `float32[batch, height, width, channels]` to probabilities `float32[batch, classes]`.

    The paper's images are 32x32x3, less the mean of each pixel. Three stages of 16, 32 and 64 filters; shortcuts have
    no weights (option A): where the image is halved, every second pixel, and zeros for the new channels.

    Args:
        name: of the model.
        blocks: of two layers, in each stage.
        input_shape: `(height, width, channels)`, at least 4x4.
        classes: the width of the output.
        style: `decay` is the paper's weight decay, 1e-4.
    """
    image = keras.Input(input_shape, name="image")
    x = convolution(image, 16, 3, style=style, name="stem")
    for stage, filters in enumerate((16, 32, 64)):
        for number in range(blocks):
            halved = stage > 0 and number == 0
            x = _basic(x, filters, strides=2 if halved else 1, style=style, shortcut=_padded, name=f"{stage}_{number}")
    return _classified(name, image, x, classes, style)


def _for_imagenet(
    name: str, blocks: Sequence[int], block: Block, input_shape: Shape, classes: int, style: Style
) -> keras.Model:
    """Gives `float32[batch, height, width, channels]` to probabilities `float32[batch, classes]`.

    The paper's images are 224x224x3. Shortcuts are projections where the shape changes (option B). A bottleneck halves
    the image in its 3x3 convolution, not in the 1x1 before, as all that came after the paper do.

    Args:
        name: of the model.
        blocks: of each stage.
        block: `_basic` or `_bottleneck`.
        input_shape: `(height, width, channels)`, at least 32x32.
        classes: the width of the output.
        style: `decay` is the paper's weight decay, 1e-4.
    """
    image = keras.Input(input_shape, name="image")
    x = convolution(image, 64, 7, strides=2, style=style, name="stem")
    x = keras.layers.MaxPooling2D(3, strides=2, padding="same", name="stem_pool")(x)
    for stage, count in enumerate(blocks):
        for number in range(count):
            strides = 2 if stage > 0 and number == 0 else 1
            x = block(x, 64 << stage, strides=strides, style=style, shortcut=_projected, name=f"{stage}_{number}")
    return _classified(name, image, x, classes, style)


def _classified(name: str, image: Tensor, x: Tensor, classes: int, style: Style) -> keras.Model:
    x = keras.layers.GlobalAveragePooling2D(name="features")(x)
    return keras.Model(image, probabilities(x, classes, decay=style.decay, initializer="he_normal"), name=name)


def _basic(x: Tensor, filters: int, *, strides: int, style: Style, shortcut: Block, name: str) -> Tensor:
    inner = convolution(x, filters, 3, strides=strides, style=style, name=f"{name}_1")
    inner = convolution(inner, filters, 3, style=style.linear(), name=f"{name}_2")
    return _added(inner, shortcut(x, filters, strides=strides, style=style, name=name), style=style, name=name)


def _bottleneck(x: Tensor, filters: int, *, strides: int, style: Style, shortcut: Block, name: str) -> Tensor:
    inner = convolution(x, filters, 1, style=style, name=f"{name}_1")
    inner = convolution(inner, filters, 3, strides=strides, style=style, name=f"{name}_2")
    inner = convolution(inner, 4 * filters, 1, style=style.linear(), name=f"{name}_3")
    return _added(inner, shortcut(x, 4 * filters, strides=strides, style=style, name=name), style=style, name=name)


def _added(inner: Tensor, short: Tensor, *, style: Style, name: str) -> Tensor:
    x = keras.layers.Add(name=f"{name}_add")([inner, short])
    return keras.layers.Activation(style.activation, name=name)(x)


def _padded(x: Tensor, filters: int, *, strides: int, style: Style, name: str) -> Tensor:
    missing = filters - x.shape[-1]
    if not missing:
        return x
    x = keras.layers.MaxPooling2D(1, strides=strides, name=f"{name}_every_second")(x)
    return keras.ops.pad(x, [[0, 0], [0, 0], [0, 0], [missing // 2, missing - missing // 2]])


def _projected(x: Tensor, filters: int, *, strides: int, style: Style, name: str) -> Tensor:
    if strides == 1 and x.shape[-1] == filters:
        return x
    return convolution(x, filters, 1, strides=strides, style=style.linear(), name=f"{name}_short")
