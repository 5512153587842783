"""map_fun and its args on their way to a process: checked and pickled on the driver, before anything starts."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import cloudpickle

from tfspark_cnn.errors import MapFunError


def pickled(map_fun: Any, args: Any) -> bytes:
    """Gives `(map_fun, args)`, pickled.

    Raises:
        MapFunError: map_fun is no function of (args, ctx) nor the name of one, or one of the two cannot be pickled.
    """
    if isinstance(map_fun, str):
        module, colon, function = map_fun.partition(":")
        if not (module and colon and function):
            raise MapFunError(f"map_fun is {map_fun!r}, expected 'package.module:function'", hint="name the function")
    elif not callable(map_fun):
        raise MapFunError(f"map_fun is a {type(map_fun).__name__}, expected a function of (args, ctx)")
    else:
        _check_signature(map_fun)
    try:
        payload: bytes = cloudpickle.dumps((map_fun, args))
    except Exception as error:  # pickling runs the user's code, which raises what it likes
        raise MapFunError(
            f"map_fun or its args cannot be pickled: {type(error).__name__}: {error}",
            hint="make locks, sessions, SparkContexts and open files inside map_fun, not outside of it",
        ) from error
    return payload


def _check_signature(map_fun: Callable[..., Any]) -> None:
    try:
        inspect.signature(map_fun).bind(None, None)
    except TypeError as error:
        raise MapFunError(f"map_fun cannot be called as map_fun(args, ctx): {error}") from error
    except ValueError:  # a builtin without a signature: the node will tell
        return
