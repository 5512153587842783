"""The names of augmentations and what each takes, known without TensorFlow: a typo is found before executors are taken.

What they do to images is in `tfspark_cnn.training.augmentation`, which runs on nodes. A test holds the two together.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from tfspark_cnn.errors import ConfigError, did_you_mean

EXAMPLE = "as 'flip, crop:4, cutout:8'"


@dataclass(frozen=True)
class Kind:
    """One augmentation.

    Attributes:
        most: the largest amount; every amount is above 0. None: it takes no amount.
        amount: what the amount is.
        whole: whether the amount is a number of pixels.
        channels: how many an image must have; None: any.
        mixes: whether it mixes images of a batch, and their labels with them.
    """

    most: float | None
    amount: str = ""
    whole: bool = False
    channels: int | None = None
    mixes: bool = False


KINDS: Mapping[str, Kind] = {
    "flip": Kind(None),
    "flip_vertical": Kind(None),
    "crop": Kind(math.inf, "pixels of zeros around the image, of which a part of its size is cut out", whole=True),
    "rotate": Kind(180.0, "degrees, the most to either side"),
    "brightness": Kind(1.0, "the most that pixels are multiplied with, above or below 1"),
    "contrast": Kind(1.0, "the most that pixels go away from their image's mean, or towards it"),
    "saturation": Kind(1.0, "the most that pixels go away from their grey, or towards it", channels=3),
    "hue": Kind(0.5, "turns of the colour circle, the most to either side", channels=3),
    "cutout": Kind(math.inf, "side of the square of zeros, in pixels", whole=True),
    "mixup": Kind(math.inf, "alpha of the Beta distribution that the shares are drawn from", mixes=True),
    "cutmix": Kind(math.inf, "alpha of the Beta distribution that the area is drawn from", mixes=True),
}
"""By name. Half of the images of a batch are flipped; `amount` says what the others take after a colon."""


@dataclass(frozen=True)
class Augmentation:
    """One augmentation as a configuration has it.

    Attributes:
        name: one of `KINDS`.
        amount: what it takes; 0 if it takes nothing.
    """

    name: str
    amount: float = 0.0

    @property
    def kind(self) -> Kind:
        """What it is."""
        return KINDS[self.name]


def parse(text: str) -> tuple[Augmentation, ...]:
    """Reads augmentations as a configuration names them, in the order in which they are applied.

    Those that mix come last, whatever their place; of several, one is drawn for each batch.

    Args:
        text: names with their amounts, as `flip, crop:4, mixup:0.2`; empty: none.

    Raises:
        ConfigError: there is no such augmentation, it is there twice, or its amount is none that it can have.

    Example:
        >>> parse("flip, crop:4")
        (Augmentation(name='flip', amount=0.0), Augmentation(name='crop', amount=4.0))
    """
    found = tuple(_one(part.strip()) for part in text.split(",")) if text.strip() else ()
    names = [one.name for one in found]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f"augmentation: {name} is there twice in {text!r}", hint="name it once")
    return tuple(sorted(found, key=lambda one: one.kind.mixes))


def check(augmentations: tuple[Augmentation, ...], image_shape: tuple[int, int, int]) -> None:
    """Refuses augmentations that images of a shape cannot have.

    Args:
        augmentations: as `parse` gives them.
        image_shape: `(height, width, channels)`.

    Raises:
        ConfigError: there is one.
    """
    smaller = min(image_shape[:2])
    for one in augmentations:
        if one.kind.channels not in (None, image_shape[2]):
            raise ConfigError(
                f"augmentation: {one.name} takes images of {one.kind.channels} channels, received {image_shape}",
                hint=f"leave {one.name} out",
            )
        if one.kind.whole and one.amount > smaller:
            raise ConfigError(
                f"augmentation: {one.name} takes at most {smaller} pixels of images of {image_shape}, "
                f"received {one.amount:g}",
                hint=f"as {one.name}:{max(1, smaller // 8)}",
            )


def _one(part: str) -> Augmentation:
    name, colon, amount = (piece.strip() for piece in part.partition(":"))
    if name not in KINDS:
        raise ConfigError(
            f"augmentation: expected one of {', '.join(KINDS)}, received {name!r}",
            hint=did_you_mean(name, KINDS, EXAMPLE),
        )
    kind = KINDS[name]
    if kind.most is None:
        if colon:
            raise ConfigError(f"augmentation: {name} takes no amount, received {part!r}", hint=f"write {name}")
        return Augmentation(name)
    return Augmentation(name, _amount(part, kind, amount))


def _amount(part: str, kind: Kind, text: str) -> float:
    name = part.partition(":")[0]
    most = f", at most {kind.most:g}" if math.isfinite(kind.most or math.inf) else ""
    noun = "a whole number" if kind.whole else "a number"
    wrong = ConfigError(
        f"augmentation: expected {name}:AMOUNT, {noun} above 0{most}, received {part!r}",
        hint=f"it is {kind.amount}; {EXAMPLE}",
    )
    try:
        amount = float(text)
    except ValueError:
        raise wrong from None
    if not (0 < amount <= (kind.most or 0) and math.isfinite(amount)) or (kind.whole and amount != int(amount)):
        raise wrong
    return amount
