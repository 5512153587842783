"""What Keras 2 (`tf.keras` with TF_USE_LEGACY_KERAS=1) needs of us: callbacks of Keras 3 that it can call.

Example:
    >>> model.fit(rows, callbacks=adapted(callbacks(...)))
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import tensorflow as tf

from tfspark_cnn import env

_HOOKS = (
    "set_params",
    *(f"on_{part}_{when}" for part in ("epoch", "train", "test", "predict") for when in ("begin", "end")),
    *(f"on_{part}_batch_{when}" for part in ("train", "test", "predict") for when in ("begin", "end")),
)


def adapted(callbacks: Iterable[Any]) -> list[Any]:
    """Gives callbacks for `fit` of the Keras that `tf.keras` is.

    Args:
        callbacks: of Keras 3, ours among them, or of Keras 2, which are left as they are.
    """
    if not env.legacy_keras():
        return list(callbacks)
    return [one if isinstance(one, tf.keras.callbacks.Callback) else _delegate(one) for one in callbacks]


def _delegate(inner: Any) -> Any:
    def set_model(self: Any, model: Any) -> None:
        self.model = model
        inner.set_model(model)

    members = {name: _passing_on(getattr(inner, name)) for name in _HOOKS}
    return type(type(inner).__name__, (tf.keras.callbacks.Callback,), {**members, "set_model": set_model})()


def _passing_on(hook: Callable[..., None]) -> Callable[..., None]:
    def call(self: Any, *args: Any, **kwargs: Any) -> None:
        hook(*args, **kwargs)

    return call
