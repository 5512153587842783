"""Imports TensorFlow and Keras in less time, by collecting no garbage while there is none.

The import makes a million objects that stay, and Python looks through them again and again for cycles to free. Without
that, a node took 2.1 s of CPU for it where it had taken 2.7 s.
"""

from __future__ import annotations

import contextlib
import gc
import sys
from collections.abc import Callable, Iterator, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType

LARGE = frozenset({"tensorflow", "keras", "tf_keras"})


def install() -> None:
    """Applies to imports of this process from now on, whoever asks for them. May be called again."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())


class _Finder(MetaPathFinder):
    """Finds large packages as Python does, and has nothing to say of others."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in LARGE:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            # On this one loader: what it is, and what else it can do, stays as it is for those who ask.
            vars(spec.loader)["exec_module"] = _without_collections(spec.loader.exec_module)
        return spec


def _without_collections(run: Callable[[ModuleType], None]) -> Callable[[ModuleType], None]:
    def run_whole(module: ModuleType) -> None:
        with _no_collections():
            run(module)

    return run_whole


@contextlib.contextmanager
def _no_collections() -> Iterator[None]:
    """Collects nothing in the block, and looks at nothing of what was made so far ever after."""
    if not gc.isenabled():  # somebody else's wish, or an import within one of ours
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
