"""The function of a user that augments batches: what it may look like, and how a dataset calls it."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from tfspark_cnn import augmentation
from tfspark_cnn.errors import ConfigError

Augment = Callable[..., Any]
"""Makes other features of those of a batch, and of a seed, int32[2]; or features and labels of both."""


def checked_augment(augment: object) -> Augment | None:
    """Gives the function that `ctx.dataset(augment=...)` got, or that its names mean.

    Raises:
        ConfigError: it is none of two or three arguments, or names augmentations that there are not, or that mix.
    """
    if isinstance(augment, str):
        return _by_name(augment)
    if augment is None or (callable(augment) and _takes(augment) is not None):
        return augment
    raise ConfigError(
        f"ctx.dataset expected augment to be a function of (x, seed) or (x, y, seed), received {augment!r}",
        hint="def augment(x, seed): return tf.image.stateless_random_flip_left_right(x, seed)",
    )


def _by_name(names: str) -> Augment:
    found = augmentation.parse(names)
    mixers = [one.name for one in found if one.kind.mixes]
    if mixers:
        raise ConfigError(
            f"ctx.dataset got augment={names!r}, and {mixers[0]} mixes labels, whose classes it does not know",
            hint="augment=tfspark_cnn.training.augmentation.Augment(tfspark_cnn.augmentation.parse(...), classes=10)",
        )
    from tfspark_cnn.training.augmentation import AugmentImages  # needs TensorFlow, and a typo does not

    return AugmentImages(found)


def _takes(augment: Augment) -> int | None:
    """Gives how many arguments it is called with; two where it does not tell."""
    for names in (("x", "seed"), ("x", "y", "seed")):
        try:
            inspect.signature(augment).bind(*names)
            return len(names)
        except TypeError:
            continue
        except ValueError:  # some functions do not tell their parameters
            return 2
    return None


class AugmentCall:
    """Calls the function with the elements of a dataset.

    Args:
        augment: as `checked_augment` gives it.
        labelled: whether elements are `(x, y)`, not `x` alone.

    Raises:
        ConfigError: it takes labels, and there are none.
    """

    def __init__(self, augment: Augment, *, labelled: bool) -> None:
        self._augment, self._labelled, self._both = augment, labelled, _takes(augment) == 3
        self._wrong = ""  # an error that is raised while TensorFlow traces would come as one of AutoGraph
        if self._both and not labelled:
            raise ConfigError(
                "augment takes (x, y, seed), and the dataset has no labels",
                hint="name the label, or write def augment(x, seed)",
            )

    def __call__(self, element: Any, seed: Any) -> Any:
        """Gives the element with what the function made of it."""
        x, y = element if self._labelled else (element, None)
        made = self._augment(x, y, seed) if self._both else self._augment(x, seed)
        if self._both and not (isinstance(made, tuple) and len(made) == 2 and made[1] is not None):
            self._wrong = f"augment returned {made!r}, expected features and labels|return x, y"
        elif made is None:
            self._wrong = "augment returned None, expected the features|return x"
        if self._wrong or not self._labelled:
            return element if self._wrong else made
        return made if self._both else (made, y)

    def check(self) -> None:
        """Refuses what the function has given.

        Raises:
            ConfigError: nothing, or not both.
        """
        if self._wrong:
            message, _, last = self._wrong.partition("|")
            raise ConfigError(message, hint=f"end it with {last}")
