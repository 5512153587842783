"""Networks by name.

Example:
    >>> build("small_cnn", input_shape=(8, 8, 1), classes=10, filters=16)
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tfspark_cnn.config import suggestion
from tfspark_cnn.errors import ConfigError

if TYPE_CHECKING:
    import keras

# Names to `module:function`, so that only the family that is asked for is imported.
_FAMILIES = {"small_cnn": "tfspark_cnn.models.small_cnn:small_cnn"}


def names() -> tuple[str, ...]:
    """Gives the names of all networks."""
    return tuple(_FAMILIES)


def build(name: str, *, input_shape: tuple[int, int, int], classes: int, **parameters: Any) -> keras.Model:
    """Gives a network of that name, not compiled; call it under the scope of the strategy.

    Args:
        name: one of `names()`.
        input_shape: `(height, width, channels)`.
        classes: number of outputs.
        parameters: of that family, as `filters=16`.

    Raises:
        ConfigError: There is no such network, or it has no such parameter.
    """
    if name not in _FAMILIES:
        raise ConfigError(f"model.name: expected a known network, received {name!r}", hint=suggestion(name, names()))
    module, _, function = _FAMILIES[name].partition(":")
    family: Callable[..., keras.Model] = getattr(importlib.import_module(module), function)
    _refuse_unknown(family, name=name, parameters=parameters)
    return family(input_shape=input_shape, classes=classes, **parameters)


def _refuse_unknown(family: Callable[..., Any], *, name: str, parameters: dict[str, Any]) -> None:
    known = set(inspect.signature(family).parameters) - {"input_shape", "classes"}
    for unknown in sorted(set(parameters) - known):
        raise ConfigError(f"unknown parameter {unknown!r} of network {name}", hint=suggestion(unknown, known))
