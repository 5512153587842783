"""What PySpark does in a reused Python worker around each task, and how little of it costs anything.

Two things take longer than a small task itself, and neither has to do with what the task is for:

- PySpark's daemon collects garbage after each task, and goes over every object for it: those that pyarrow and pandas
  are made of take 0.1 s of a core each time, TensorFlow's more. They live as long as the worker does.
- PySpark's worker calls `importlib.invalidate_caches()` before each task. Python 3.11 reads the directory of every
  archive on `sys.path` anew for that, once for each package imported from it: 16 times those of Spark itself, 0.07 s
  of a core. Python 3.12 and later put it off until the next import (gh-103200).
"""

from __future__ import annotations

import functools
import gc
import sys
import zipimport
from pathlib import PurePath

SPARKS_OWN = ("pyspark*.zip", "py4j-*.zip", "spark-core_*.jar")
"""Archives that cannot change while a worker of this Spark runs."""


def spare(what: str) -> None:
    """Spares the tasks to come both of that, as far as what this process holds by now is concerned.

    To be called in each Spark task, when what it needs is imported. What is no longer referred to is freed as ever;
    only cycles among the objects of now are not looked for any more. Archives of users are read anew as ever.

    Args:
        what: what has been imported, as `feed`; garbage is collected once for each.
    """
    _freeze(what)
    _keep_importers()


def begin_task(what: str) -> int:
    """Spares as `spare` does; gives Spark's number of the partition of this task."""
    from pyspark import TaskContext

    spare(what)
    context = TaskContext.get()
    assert context is not None, "runs in a Spark task"
    return int(context.partitionId())


@functools.cache
def _freeze(what: str) -> None:
    gc.collect()
    gc.freeze()


class _Unchanging(zipimport.zipimporter):
    """Imports from an archive that does not change."""

    def invalidate_caches(self) -> None:
        """Does nothing."""


def _keep_importers() -> None:
    for path, importer in list(sys.path_importer_cache.items()):
        if type(importer) is zipimport.zipimporter and _is_sparks_own(importer.archive):
            sys.path_importer_cache[path] = _Unchanging(path)


def _is_sparks_own(archive: str) -> bool:
    return any(PurePath(archive).match(name) for name in SPARKS_OWN)
