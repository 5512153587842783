"""Augmentations as configurations name them: what is read, and every mistake named before anything starts."""

from __future__ import annotations

import pytest

from tfspark_cnn import augmentation
from tfspark_cnn.augmentation import KINDS, Augmentation
from tfspark_cnn.errors import ConfigError


def test_names_and_amounts_are_read_in_their_order_and_those_that_mix_come_last() -> None:
    assert augmentation.parse("") == augmentation.parse("  ") == ()
    assert augmentation.parse(" mixup:0.2 ,crop: 4,flip") == (
        Augmentation("crop", 4.0), Augmentation("flip"), Augmentation("mixup", 0.2)
    )  # fmt: skip


@pytest.mark.parametrize("name", KINDS)
def test_every_augmentation_is_read_and_refused_with_a_wrong_amount(name: str) -> None:
    kind = KINDS[name]
    amount = "" if kind.most is None else ":1" if kind.most >= 1 else ":0.25"
    assert augmentation.parse(name + amount)[0].kind is kind
    amounts = (":1",) if kind.most is None else ("", ":", ":0", ":-1", ":nan", ":x")
    for text in (name + amount for amount in amounts):
        with pytest.raises(ConfigError, match=f"augmentation: .*{name}"):
            augmentation.parse(text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("flp", r"received 'flp'\n.*did you mean 'flip'"),
        ("flip,", r"augmentation: expected one of flip, flip_vertical, .*, received ''\n.*as 'flip, crop:4"),
        ("flip, crop:2, flip", "flip is there twice"),
        ("crop:1.5", r"expected crop:AMOUNT, a whole number above 0, received 'crop:1.5'\n.*pixels of zeros"),
        ("rotate:181", "a number above 0, at most 180, received 'rotate:181'"),
        ("brightness:inf", "at most 1, received 'brightness:inf'"),
    ],
)
def test_what_is_no_augmentation_is_refused(text: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        augmentation.parse(text)


def test_what_images_of_a_shape_cannot_have_is_refused() -> None:
    augmentation.check(augmentation.parse("crop:8, cutout:4, hue:0.1"), (8, 12, 3))
    with pytest.raises(ConfigError, match=r"hue takes images of 3 channels, received \(8, 8, 1\)"):
        augmentation.check(augmentation.parse("flip, hue:0.1"), (8, 8, 1))
    with pytest.raises(ConfigError, match=r"crop takes at most 8 pixels of .*, received 9\n.*crop:1"):
        augmentation.check(augmentation.parse("crop:9"), (8, 12, 3))
