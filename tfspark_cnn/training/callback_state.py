"""What callbacks remember from epoch to epoch, as far as it decides how training goes on.

Keras' own are known by name. Others may say it themselves: `get_state()` gives a dict of what JSON can hold, and
`set_state(dict)` takes it back.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import keras
import numpy as np

_REMEMBERED: tuple[tuple[type, tuple[str, ...]], ...] = (
    (keras.callbacks.EarlyStopping, ("wait", "stopped_epoch", "best", "best_epoch", "best_weights")),
    (keras.callbacks.ReduceLROnPlateau, ("wait", "best", "cooldown_counter")),
    (keras.callbacks.ModelCheckpoint, ("best",)),
)


def capture(callbacks: Sequence[Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Gives what callbacks remember: as JSON, and the arrays of it by name.

    Example:
        >>> capture([keras.callbacks.EarlyStopping()])[0]["EarlyStopping/0"]["wait"]
        0
    """
    states: dict[str, Any] = {}
    arrays: dict[str, Any] = {}
    for name, callback in _named(callbacks):
        if hasattr(callback, "get_state"):
            states[name] = callback.get_state()
            continue
        states[name] = {}
        for key, value in _attributes(callback).items():
            if isinstance(value, list):
                arrays |= {f"callbacks/{name}/{key}/{n:04d}": np.asarray(one) for n, one in enumerate(value)}
            else:
                states[name][key] = value if value is None else float(value)
    return states, arrays


def restore(callbacks: Sequence[Any], states: Mapping[str, Any], arrays: Mapping[str, Any]) -> None:
    """Lets callbacks remember what `capture` gave; those that were not there then stay as they are."""
    for name, callback in _named(callbacks):
        state = states.get(name)
        if state is None:
            continue
        if hasattr(callback, "set_state"):
            callback.set_state(state)
            continue
        for key, value in _attributes(callback).items():
            if key in state:
                kept = state[key]
                setattr(callback, key, int(kept) if isinstance(value, int) and kept is not None else kept)
            held = sorted(one for one in arrays if one.startswith(f"callbacks/{name}/{key}/"))
            if held:
                setattr(callback, key, [arrays[one] for one in held])


def _attributes(callback: Any) -> dict[str, Any]:
    names = next((names for kind, names in _REMEMBERED if isinstance(callback, kind)), ())
    return {name: getattr(callback, name) for name in names if hasattr(callback, name)}


def _named(callbacks: Sequence[Any]) -> Iterator[tuple[str, Any]]:
    """Names callbacks by class, and by which of it they are, as nodes may leave out those of other classes."""
    seen: dict[str, int] = {}
    for callback in callbacks:
        kind = type(callback).__name__
        seen[kind] = seen.get(kind, -1) + 1
        if hasattr(callback, "get_state") or _attributes(callback):
            yield f"{kind}/{seen[kind]}", callback
