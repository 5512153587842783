"""`TFParallel.run`: independent runs of one function, over `tfspark_cnn.run_parallel`.

Reference: `tensorflowonspark/TFParallel.py`.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from tfspark_cnn.cluster import parallel
from tfspark_cnn.tensorflowonspark.program import Program, gpus_of


def run(sc: Any, map_fn: Callable[[Any, Any], Any], tf_args: Any, num_executors: int, use_barrier: bool = True) -> None:
    """Runs `map_fn(tf_args, ctx)` several times, each alone in a process of its own, and returns when all have ended.

    `ctx.worker_num` and `ctx.executor_id` are the number of the run, `ctx.num_workers` is how many there are.

    Args:
        sc: a SparkContext.
        map_fn: the function.
        tf_args: as in `TFCluster.run`.
        num_executors: how many runs.
        use_barrier: whether all start together or not at all; else they start as slots come free.

    Raises:
        SlotsError: with `use_barrier`, Spark has fewer slots than there are runs.
        NodeError: a run failed.
    """
    program = Program(map_fn, os.getcwd())
    parallel.run_parallel(
        sc, program, tf_args, num_executors, barrier=use_barrier, gpus_per_run=gpus_of(tf_args)
    )  # fmt: skip
