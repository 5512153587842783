"""What a model is in the middle of `fit`, as named arrays, and back: weights, optimizer, seeds, metrics.

Only this node's own copies are read and written, so that the chief can do it alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from tfspark_cnn.checkpoints.archive import Archive
from tfspark_cnn.checkpoints.identity import Identity, Variable, check_same, plain_path
from tfspark_cnn.errors import CheckpointError

Arrays = dict[str, npt.NDArray[Any]]


def weights(model: keras.Model) -> Arrays:
    """Gives copies of the variables of the model (with the states of its seeds) and of its optimizer."""
    return {name: np.array(_local(variable)) for name, variable in named(model).items()}


def metrics(model: keras.Model) -> npt.NDArray[np.float64]:
    """Gives the numbers in the model's metrics, of this node alone; `float64[numbers]`."""
    found = [sum(np.asarray(own.numpy(), np.float64).ravel() for own in _own(v)) for v in _metric_variables(model)]
    return np.concatenate(found) if found else np.zeros(0)


def restore(model: keras.Model, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
    """Sets the variables of the model and its optimizer to what `weights` gave.

    Raises:
        CheckpointError: a variable is missing.
    """
    for name, variable in named(model).items():
        if name not in arrays:
            raise CheckpointError(f"the checkpoint has no {name}", hint="use another model_dir")
        variable.assign(arrays[name])


def restore_weights(model: keras.Model, archive: Archive) -> None:
    """Sets the weights of a model that only predicts to those of a checkpoint; its optimizer may be any, or none.

    Raises:
        CheckpointError: the checkpoint is of another model.
    """
    then, now = archive.meta["identity"], identity(model).to_json()
    check_same({"variables": then["variables"]}, {"variables": now["variables"]})
    for name, variable in named(model).items():
        if name.startswith("model/"):
            variable.assign(archive.arrays[name])


def restore_metrics(model: keras.Model, numbers: npt.NDArray[np.float64] | None) -> None:
    """Sets the model's metrics to what `metrics` gave; None sets them to nothing, on all nodes but one."""
    taken = 0
    for variable in _metric_variables(model):
        size = int(np.prod(variable.shape, dtype=np.int64))
        held = np.zeros(size) if numbers is None else numbers[taken : taken + size]
        taken += size
        for place, own in enumerate(_own(variable)):  # a replica each; the first has it all
            own.assign((held if place == 0 else 0 * held).reshape(variable.shape).astype(variable.dtype))


def identity(model: keras.Model, **more: Any) -> Identity:
    """Gives by what a checkpoint of another model is told from one of this model."""
    optimizer = model.optimizer
    return Identity(
        variables=_described(model.variables),
        optimizer=type(optimizer).__name__ if optimizer is not None else None,
        optimizer_variables=_described(optimizer.variables) if optimizer is not None else None,
        **more,
    )


def named(model: keras.Model) -> dict[str, Any]:
    """Gives all variables that `fit` changes, by names that tell their order: two may have the same path."""
    optimizer = model.optimizer.variables if model.optimizer is not None else []
    pairs = [("model", enumerate(model.variables)), ("optimizer", enumerate(optimizer))]
    return {f"{kind}/{n:04d}/{plain_path(one.path)}": one for kind, numbered in pairs for n, one in numbered}


def _metric_variables(model: keras.Model) -> list[Any]:
    return [variable for metric in model.metrics for variable in metric.variables]


def _described(variables: Iterable[Any]) -> tuple[Variable, ...]:
    return tuple(Variable(plain_path(one.path), tuple(one.shape), str(one.dtype)) for one in variables)


def _local(variable: Any) -> Any:
    return _own(variable)[0].numpy()


def _own(variable: Any) -> tuple[Any, ...]:
    """The tf.Variables of this process: reading one that is summed over nodes would wait for the others."""
    held = variable._value
    return tuple(held.values) if hasattr(held, "values") else (held,)
