"""The variables of a model and of its optimizer as arrays by name, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tfspark_cnn.errors import ConfigError


def read(model: Any) -> dict[str, Any]:
    """Gives `{path: ndarray}` of all variables of a model and its optimizer.

    Raises:
        ConfigError: two of them have one path.
    """
    return {path: np.asarray(variable.numpy()) for path, variable in _by_path(model).items()}


def assign(model: Any, arrays: Mapping[str, Any]) -> None:
    """Puts arrays back that `read` gave.

    Raises:
        ConfigError: names or shapes are not those of the model; nothing was assigned.
    """
    variables = _by_path(model)
    missing, unknown = sorted(variables.keys() - arrays.keys()), sorted(arrays.keys() - variables.keys())
    other = [
        f"{path} {np.shape(arrays[path])} for {tuple(variables[path].shape)}"
        for path in variables
        if path in arrays and np.shape(arrays[path]) != tuple(variables[path].shape)
    ]
    if missing or unknown or other:
        raise ConfigError(
            f"the arrays are not those of this model: missing {missing}, unknown {unknown}, of another shape {other}",
            hint="make the model and its optimizer as those that were saved, with the same names",
        )
    for path, variable in variables.items():
        variable.assign(arrays[path])


def _by_path(model: Any) -> dict[str, Any]:
    optimizer = list(model.optimizer.variables) if model.optimizer is not None else []
    found: dict[str, Any] = {}
    for variable in [*model.variables, *optimizer]:
        if variable.path in found:
            raise ConfigError(
                f"two variables of the model are called {variable.path}", hint="give its layers different names"
            )
        found[variable.path] = variable
    return found
