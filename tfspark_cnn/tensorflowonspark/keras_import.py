"""Mends Keras as soon as a program imports it: programs make their strategy themselves, not by `ctx.strategy()`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

KERAS = "keras"


def mend_with(mend: Callable[[], None]) -> None:
    """Calls `mend` once in this process, when Keras has been imported; never where nobody imports it.

    Importing it by ourselves would import TensorFlow before map_fun could say how: its collectives, logging and
    devices are configured before its first use.
    """
    if KERAS in sys.modules:
        mend()
        return
    sys.meta_path.insert(0, _Finder(mend))


class _Finder(MetaPathFinder):
    """Finds Keras as all other finders do, and has nothing to say of other modules."""

    def __init__(self, mend: Callable[[], None]) -> None:
        self._mend = mend

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != KERAS:
            return None
        # To find it is not yet to import it: TensorFlow looks whether Keras is there.
        others = (finder.find_spec(fullname, path, target) for finder in sys.meta_path if finder is not self)
        spec = next((found for found in others if found is not None), None)
        if spec is not None and spec.loader is not None:
            # On this one loader: what it is, and what else it can do, stays as it is for those who ask.
            vars(spec.loader)["exec_module"] = self._and_mend(spec.loader.exec_module)
        return spec

    def _and_mend(self, run: Callable[[ModuleType], None]) -> Callable[[ModuleType], None]:
        def run_and_mend(module: ModuleType) -> None:
            run(module)
            sys.meta_path.remove(self)
            self._mend()

        return run_and_mend
