"""The names of networks and of their parameters, known without Keras: a typo is found before executors are taken.

The networks themselves are in `tfspark_cnn.models`, which imports Keras and therefore lives on nodes only. A test holds
the two together.
"""

from __future__ import annotations

from collections.abc import Mapping

_RESNET = ("weight_decay", "synchronized")
_VGG = ("hidden", "dropout", "weight_decay")

NETWORKS: Mapping[str, tuple[str, ...]] = {
    "small_cnn": ("filters", "hidden", "dropout"),
    "lenet5": (),
    "resnet20": _RESNET,
    "resnet32": _RESNET,
    "resnet56": _RESNET,
    "resnet18": _RESNET,
    "resnet34": _RESNET,
    "resnet50": _RESNET,
    "vgg11": _VGG,
    "vgg16": _VGG,
    "mobilenet_v2": ("width", "dropout", "weight_decay", "synchronized"),
    "efficientnet_b0": ("dropout", "survival", "weight_decay", "synchronized"),
}
"""This package's own, and the parameters of each beside `input_shape` and `classes`."""

APPLICATIONS = (
    *(f"ConvNeXt{size}" for size in ("Base", "Large", "Small", "Tiny", "XLarge")),
    *(f"DenseNet{depth}" for depth in (121, 169, 201)),
    *(f"EfficientNetB{size}" for size in range(8)),
    *(f"EfficientNetV2{size}" for size in ("B0", "B1", "B2", "B3", "L", "M", "S")),
    "InceptionResNetV2", "InceptionV3", "MobileNet", "MobileNetV2", "MobileNetV3Large", "MobileNetV3Small",
    "NASNetLarge", "NASNetMobile",
    *(f"ResNet{depth}{version}" for depth in (50, 101, 152) for version in ("", "V2")),
    "VGG16", "VGG19", "Xception",
)  # fmt: skip
"""Those of `keras.applications`; what parameters they have is seen on a node."""


def is_place(name: str) -> bool:
    """Tells whether a name is that of a user's own function, as `package.module:function`.

    Example:
        >>> is_place("shop.nets:shelves"), is_place("resnet20")
        (True, False)
    """
    module, colon, function = name.partition(":")
    return bool(colon) and function.isidentifier() and all(part.isidentifier() for part in module.split("."))
