"""Networks by name: this package's own, those of `keras.applications`, and the users'.

Example:
    >>> build("resnet20", input_shape=(32, 32, 3), classes=10)
    >>> build("MobileNetV3Small", input_shape=(96, 96, 3), classes=10, weights="/shared/shelves.weights.h5")
    >>> build("shop.nets:shelves", input_shape=(64, 64, 3), classes=4, depth=3)
"""

from __future__ import annotations

import functools
import importlib
import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tfspark_cnn.config import suggestion
from tfspark_cnn.errors import ConfigError
from tfspark_cnn.networks import APPLICATIONS, NETWORKS, is_place

if TYPE_CHECKING:
    import keras

# The modules of names that are not their own, so that only the family that is asked for is imported.
_FAMILIES = {
    "lenet5": "lenet",
    **dict.fromkeys(("resnet18", "resnet20", "resnet32", "resnet34", "resnet50", "resnet56"), "resnet"),
    **dict.fromkeys(("vgg11", "vgg16"), "vgg"),
    "mobilenet_v2": "mobilenet",
    "efficientnet_b0": "efficientnet",
}
_registered: dict[str, Callable[..., keras.Model]] = {}


def names() -> tuple[str, ...]:
    """Gives the names of all networks that are known here."""
    return (*NETWORKS, *APPLICATIONS, *_registered)


def register(name: str, builder: Callable[..., keras.Model]) -> None:
    """Gives a network of your own a name in this process: do it in map_fun, or name the function in the configuration.

    Args:
        name: that no other network has.
        builder: called with `input_shape`, `classes` and parameters; gives a model that is not compiled.

    Raises:
        ConfigError: another network has the name.

    Example:
        >>> register("shelves", lambda *, input_shape, classes: ...)
    """
    if name in (*NETWORKS, *APPLICATIONS) or _registered.get(name, builder) is not builder:
        raise ConfigError(f"there is a network {name!r} already", hint="choose another name")
    _registered[name] = builder


def build(name: str, *, input_shape: tuple[int, int, int], classes: int, **parameters: Any) -> keras.Model:
    """Gives a network of that name, not compiled; call it under the scope of the strategy.

    Args:
        name: one of `names()`, or `package.module:function`.
        input_shape: `(height, width, channels)`.
        classes: number of outputs.
        parameters: of that network, as `filters=16`.

    Raises:
        ConfigError: There is no such network, it has no such parameter, or it cannot be made for that shape.
    """
    _check_shape(input_shape, classes)
    builder = _builder(name)
    _refuse_unknown(builder, name=name, parameters=parameters)
    try:
        return builder(input_shape=input_shape, classes=classes, **parameters)
    except (ValueError, TypeError) as error:
        if isinstance(error, ConfigError) or (isinstance(error, TypeError) and name not in (*NETWORKS, *APPLICATIONS)):
            raise  # a TypeError within a network of the user's own is theirs to see
        given = "".join(f" with {key}={value!r}" for key, value in parameters.items())
        cure = "resize the images, or take a network for such"
        raise ConfigError(
            f"network {name} cannot be made for input_shape={tuple(input_shape)} and classes={classes}{given}: {error}",
            hint=f"mend the parameters, {cure}" if parameters else cure,
        ) from error


def _builder(name: str) -> Callable[..., keras.Model]:
    if name in _registered:
        return _registered[name]
    if name in APPLICATIONS:
        from tfspark_cnn.models.applications import application

        return functools.partial(application, name)
    if name in NETWORKS:
        return _function(f"tfspark_cnn.models.{_FAMILIES.get(name, name)}", name)
    if is_place(name):
        module, _, function = name.partition(":")
        return _function(module, function)
    raise ConfigError(f"model.name: expected a known network, received {name!r}", hint=suggestion(name, names()))


def _function(module: str, name: str) -> Callable[..., keras.Model]:
    try:
        found: Callable[..., keras.Model] = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise ConfigError(
            f"the network {module}:{name} cannot be imported: {error}",
            hint="every executor must be able to import it: ship it with --py-files",
        ) from error
    return found


def _check_shape(input_shape: tuple[int, int, int], classes: int) -> None:
    whole = [isinstance(one, int) and one > 0 for one in (*input_shape, classes)]
    if len(input_shape) != 3 or not all(whole):
        raise ConfigError(
            f"expected input_shape=(height, width, channels) and classes of 1 or more, received {input_shape!r} and "
            f"{classes!r}",
            hint="as input_shape=(32, 32, 3), classes=10",
        )


def _refuse_unknown(builder: Callable[..., Any], *, name: str, parameters: dict[str, Any]) -> None:
    signature = inspect.signature(builder).parameters
    if any(one.kind is inspect.Parameter.VAR_KEYWORD for one in signature.values()):
        return
    known = set(signature) - {"input_shape", "classes"}
    for unknown in sorted(set(parameters) - known):
        raise ConfigError(f"unknown parameter {unknown!r} of network {name}", hint=suggestion(unknown, known))
