"""`Namespace`: the arguments of a program, whatever it had them in; TensorFlowOnSpark's class, its meaning.

Example:
    >>> Namespace({"epochs": 3}).epochs
    3
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Any

from tfspark_cnn.errors import ConfigError


class Namespace:
    """Arguments by name, as attributes; or the list of strings that a program was called with, as `argv`.

    Iterating gives the names, or what is in the list, so `"epochs" in args` asks for an argument.

    Args:
        d: a dict, an `argparse.Namespace`, another Namespace, or a list.

    Raises:
        ConfigError: it is none of these.

    Example:
        >>> Namespace(["--epochs", "3"]).argv
        ['--epochs', '3']
        >>> Namespace({"b": 2, "a": 1})
        Namespace(a=1, b=2)
    """

    argv: list[Any] | None = None

    def __init__(self, d: Any) -> None:
        if isinstance(d, list):
            self.argv = d
        elif isinstance(d, dict):
            vars(self).update(d)
        elif isinstance(d, argparse.Namespace | Namespace):
            vars(self).update(vars(d))
        else:
            raise ConfigError(
                f"expected arguments in a dict, an argparse.Namespace, a Namespace or a list, received a "
                f"{type(d).__name__}",
                hint="pass vars(...) of it",
            )

    def __iter__(self) -> Iterator[Any]:
        return iter(vars(self) if self.argv is None else self.argv)

    def __repr__(self) -> str:
        if self.argv is not None:
            return repr(self.argv)
        items = ", ".join(f"{name}={value!r}" for name, value in sorted(vars(self).items()))
        return f"{type(self).__name__}({items})"

    def __eq__(self, other: object) -> bool:
        if isinstance(other, list):
            return self.argv == other
        return isinstance(other, Namespace) and vars(self) == vars(other)

    __hash__ = None  # type: ignore[assignment]  # it can be changed

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"there is no argument {name!r}: there are {', '.join(map(str, self)) or 'none'}")
