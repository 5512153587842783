"""How networks are trained well, as published: settings of `[train]` and Params of `CNNClassifier`, by network.

A learning rate belongs to a global batch, and is taken in proportion to the one there is (Goyal et al. 2017,
arXiv:1706.02677). Settings that are given win over those of a recipe. The weight decay of the papers is in the networks
themselves, as a regulariser of their weights.

Sources: ResNet on CIFAR: He et al. 2016, arXiv:1512.03385, section 4.2, with the cosine of Loshchilov and Hutter 2017,
arXiv:1608.03983. ResNet on ImageNet: He et al. 2019, "Bag of Tricks", arXiv:1812.01187, sections 3.1 and 5. VGG:
Simonyan and Zisserman 2015, arXiv:1409.1556, section 3.1. MobileNetV2 and EfficientNet were published with RMSProp, and
with an epsilon that is far from Keras'; these are the settings with which torchvision (`references/classification`) and
pycls (`dds_baselines/effnet`) reach their accuracies with SGD. Small CNN and LeNet-5: `conf/digits.toml`. Steps of a
learning rate in a source are a cosine here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tfspark_cnn.errors import ConfigError, did_you_mean

Setting = str | int | float

SETTINGS = (
    "optimizer", "learning_rate", "momentum", "epochs", "schedule", "warmup_epochs", "label_smoothing", "augmentation",
)  # fmt: skip
"""What a recipe sets."""


@dataclass(frozen=True)
class Recipe:
    """Settings that go with a network.

    Attributes:
        rows: of the global batch that the learning rate is for.
        learning_rate: at its highest.
        optimizer: its name.
        epochs: passes over the rows.
        momentum: of the optimizer, where it has one.
        schedule: of the learning rate.
        warmup_epochs: in which it rises from 0.
        label_smoothing: the part of a label that goes to all classes alike.
        augmentation: as `tfspark_cnn.augmentation.parse` reads it.
    """

    rows: int
    learning_rate: float
    optimizer: str = "sgd"
    epochs: int = 90
    momentum: float = 0.9
    schedule: str = "cosine"
    warmup_epochs: float = 0.0
    label_smoothing: float = 0.0
    augmentation: str = "flip"

    def settings(self, global_rows: int) -> dict[str, Setting]:
        """Gives the settings for a global batch of so many rows.

        Example:
            >>> RECIPES["resnet20"].settings(256)["learning_rate"]
            0.2
        """
        rate = self.learning_rate * global_rows / self.rows
        return {
            "optimizer": self.optimizer, "learning_rate": rate, "momentum": self.momentum, "epochs": self.epochs,
            "schedule": self.schedule, "warmup_epochs": self.warmup_epochs, "label_smoothing": self.label_smoothing,
            "augmentation": self.augmentation,
        }  # fmt: skip


_CIFAR = Recipe(128, 0.1, epochs=182, warmup_epochs=1.0, augmentation="flip, crop:4")
_IMAGENET = Recipe(256, 0.1, epochs=120, warmup_epochs=5.0, label_smoothing=0.1, augmentation="flip, mixup:0.2")
_VGG = Recipe(256, 0.01, epochs=74)
_DIGITS = Recipe(64, 0.002, optimizer="adam", epochs=20, momentum=0.0, schedule="constant", augmentation="")

RECIPES: Mapping[str, Recipe] = {
    "small_cnn": _DIGITS,
    "lenet5": _DIGITS,
    "resnet20": _CIFAR,
    "resnet32": _CIFAR,
    "resnet56": _CIFAR,
    "resnet18": _IMAGENET,
    "resnet34": _IMAGENET,
    "resnet50": _IMAGENET,
    "vgg11": _VGG,
    "vgg16": _VGG,
    "mobilenet_v2": Recipe(256, 0.045, epochs=300, warmup_epochs=5.0),
    "efficientnet_b0": Recipe(256, 0.4, epochs=100, warmup_epochs=5.0),
}
"""By the name of the network."""


def recipe(name: str) -> Recipe:
    """Gives the recipe of a network.

    Raises:
        ConfigError: there is none of that name.
    """
    if name not in RECIPES:
        raise ConfigError(
            f"train.recipe: expected a recipe, received {name!r}",
            hint=did_you_mean(name, RECIPES, f"use {', '.join(RECIPES)}"),
        )
    return RECIPES[name]


def completed(given: Mapping[str, Any], *, global_rows: int) -> dict[str, Any]:
    """Adds the settings of the recipe that is named among those that are given, which win over them.

    With another optimizer than the recipe's, its learning rate and momentum mean nothing, and are left out. With
    another number of epochs, the warm-up is as large a part of them.

    Args:
        given: settings of `[train]`, `recipe` among them.
        global_rows: of a step of all nodes.

    Raises:
        ConfigError: there is no recipe of that name.

    Example:
        >>> completed({"recipe": "resnet20", "epochs": 3}, global_rows=128)["epochs"]
        3
    """
    if not given.get("recipe"):
        return dict(given)
    chosen = recipe(given["recipe"])
    found = chosen.settings(global_rows)
    if "epochs" in given:
        found["warmup_epochs"] = chosen.warmup_epochs * given["epochs"] / chosen.epochs
    if given.get("optimizer", found["optimizer"]) != found["optimizer"]:
        found = {name: value for name, value in found.items() if name not in ("learning_rate", "momentum")}
    return found | dict(given)
