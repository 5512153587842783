"""What a MultiWorkerMirroredStrategy does in which nodes wait for each other, told before it is done.

TensorFlow has no interface for it: two private methods of one strategy object are wrapped, and nothing of its class.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import tensorflow as tf


def record_variables(extended: Any, create: Callable[[str, str], None]) -> None:
    """Calls `create(path, dtype and shape)` for each variable, before its first value is awaited from the chief."""
    original: Callable[..., Any] = extended._get_variable_creator_initial_value

    def creator(replica_id: int, device: Any, primary_var: Any, **how: Any) -> Any:
        if replica_id == 0:
            how["initial_value"] = _Told(how.get("initial_value"), how.get("name"), how.get("dtype"), create)
        return original(replica_id=replica_id, device=device, primary_var=primary_var, **how)

    extended._get_variable_creator_initial_value = creator


def record_reads(extended: Any, read: Callable[[], None]) -> None:
    """Calls `read` for each value that all nodes are about to sum now. In graphs, steps are what is counted."""
    original: Callable[..., Any] = extended._reduce_to

    def reduce_to(reduce_op: Any, value: Any, *args: Any, **how: Any) -> Any:
        alike = any(kind.__name__ == "Mirrored" for kind in type(value).__mro__)  # on all nodes: nothing is asked
        if tf.executing_eagerly() and not alike:
            read()
        return original(reduce_op, value, *args, **how)

    extended._reduce_to = reduce_to


@dataclasses.dataclass(frozen=True)
class _Told:
    """An initial value that tells of itself when it is taken."""

    value: Any
    name: str | None
    dtype: Any
    create: Callable[[str, str], None]

    def __call__(self) -> Any:
        value = self.value() if callable(self.value) else self.value
        self.create(_path(self.name), _kind(value, self.dtype))
        return value


def _kind(value: Any, dtype: Any) -> str:
    if not hasattr(value, "shape") or not hasattr(value, "dtype"):
        value = tf.convert_to_tensor(value, dtype)
    shape = tf.TensorShape(value.shape)
    return f"{tf.as_dtype(dtype or value.dtype).name}{shape.as_list() if shape.rank is not None else '[?]'}"


def _path(name: str | None) -> str:
    try:
        from keras.src.backend.common.name_scope import current_path
    except ImportError:  # in another version of Keras; names alone do, too
        return name or "variable"
    return "/".join(part for part in (current_path(), name or "variable") if part)
