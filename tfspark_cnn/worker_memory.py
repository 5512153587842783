"""What a Python worker of Spark keeps from task to task, and how little that costs.

PySpark's daemon collects garbage after each task, and goes over every object for it: those that pyarrow and pandas are
made of take 0.1 s of a core each time, TensorFlow's more. They live as long as the worker does.
"""

from __future__ import annotations

import functools
import gc


@functools.cache
def spare(what: str) -> None:
    """Takes all that this process holds by now out of garbage collection; once for each word.

    To be called in a Spark task, when what it needs is imported. What is no longer referred to is freed as ever; only
    cycles among these objects are not looked for any more.

    Args:
        what: what has been imported, as `feed`.
    """
    gc.collect()
    gc.freeze()
