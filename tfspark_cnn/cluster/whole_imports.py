"""Imports TensorFlow and Keras in less time: without collecting garbage, and without what hardly anybody asks for.

The import makes a million objects that stay, and Python looks through them again and again for cycles to free. Without
that, a node took 2.1 s of CPU for it where it had taken 2.7 s.

Keras' wrappers for scikit-learn import scikit-learn and SciPy wherever these are installed: 0.9 s of CPU; its pictures
import matplotlib: 0.2 s. They are imported when one of them is asked for.

A process that was forked with TensorFlow in it hides it until somebody imports it: so that is known as it is elsewhere.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import sys
from collections.abc import Callable, Iterator, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

LARGE = frozenset({"tensorflow", "keras", "tf_keras"})
SELDOM = (
    "keras.wrappers", "keras.src.visualization", "keras.visualization", "keras._tf_keras.keras.visualization",
)  # fmt: skip


_asked_first: list[Callable[[], None]] = []
_hidden: dict[str, ModuleType] = {}


def before_the_first(call: Callable[[], None]) -> None:
    """Has a function called before the first of the large packages is imported here; what it raises, the import does.

    Calls after the first import are not made.
    """
    install()
    _asked_first.append(call)


def hide() -> None:
    """Makes what is imported of the large packages be imported again, which takes no time."""
    install()
    _hidden.update((name, sys.modules.pop(name)) for name in LARGE if name in sys.modules)


def install() -> None:
    """Applies to imports of this process from now on, whoever asks for them. May be called again."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())
        if "keras" not in sys.modules:
            for name in SELDOM:
                sys.modules.setdefault(name, _Late(name))


class _Late(ModuleType):
    """Stands for a module until something of it is asked for."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name != "__path__":  # who asks for these only looks what it is
            raise AttributeError(name)
        return getattr(self._itself(), name)

    def __dir__(self) -> list[str]:
        return dir(self._itself())

    def _itself(self) -> ModuleType:
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
        return importlib.import_module(self.__name__)


class _Finder(MetaPathFinder):
    """Finds large packages as Python does, and has nothing to say of others."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in LARGE:
            return None
        for call in _asked_first:
            call()
        _asked_first.clear()
        if fullname in _hidden:
            known = _hidden.pop(fullname)
            sys.modules.update(_hidden)
            _hidden.clear()
            return ModuleSpec(fullname, _Known(known), is_package=True)
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            # On this one loader: what it is, and what else it can do, stays as it is for those who ask.
            vars(spec.loader)["exec_module"] = _without_collections(spec.loader.exec_module)
        return spec


class _Known(Loader):
    """Gives a module that was imported already, as it was."""

    def __init__(self, module: ModuleType) -> None:
        self._module, self._spec = module, module.__spec__

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return self._module

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self._spec


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
