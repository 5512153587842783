"""map_fun and its args on their way to a process: checked and pickled on the driver, before anything starts."""

from __future__ import annotations

import hashlib
import inspect
import marshal
from collections.abc import Callable, Iterator
from functools import partial
from types import CellType
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


def likeness(map_fun: Any) -> str | None:
    """Gives what map_funs have in common that run the same code, whatever their args; None: that is not known.

    The functions that a function is made of count, too: what a partial or a closure holds, or an object that is called.

    Example:
        >>> likeness("package.module:function")
        'package.module:function'
    """
    if isinstance(map_fun, str):
        return map_fun
    codes = [*_codes(map_fun, set())]
    return hashlib.sha256("\n".join(codes).encode()).hexdigest() if codes else None


def _codes(value: Any, seen: set[int]) -> Iterator[str]:
    if not callable(value) or isinstance(value, type) or id(value) in seen:
        return
    seen.add(id(value))
    routine = inspect.isroutine(value)
    named = value if routine or isinstance(value, partial) else type(value)
    code = getattr(value if routine else type(value).__call__, "__code__", None)
    if code is not None:
        yield f"{named.__module__}:{named.__qualname__}:{hashlib.sha256(marshal.dumps(code)).hexdigest()}"
    if isinstance(value, partial):
        held = [value.func, *value.args, *value.keywords.values()]
    else:
        held = [*map(_held, getattr(value, "__closure__", None) or ()), *getattr(value, "__dict__", {}).values()]
    for one in held:
        yield from _codes(one, seen)


def _held(cell: CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # of a name that has no value yet
        return None


def _check_signature(map_fun: Callable[..., Any]) -> None:
    try:
        inspect.signature(map_fun).bind(None, None)
    except TypeError as error:
        raise MapFunError(f"map_fun cannot be called as map_fun(args, ctx): {error}") from error
    except ValueError:  # a builtin without a signature: the node will tell
        return
