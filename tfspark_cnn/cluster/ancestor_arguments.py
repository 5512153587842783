"""What of a `TFCluster.run` call TensorFlowOnSpark has no way to do: refused before anything starts."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from tfspark_cnn.cluster.engines import Engine
from tfspark_cnn.errors import ConfigError, SlotsError

ENGINE = f"engine={Engine.TENSORFLOWONSPARK.value!r}"

NATIVE = f"leave it out, or run with engine={Engine.NATIVE.value!r}"

OURS_ALONE: Mapping[str, tuple[Any, str]] = {
    "max_restarts": (0, NATIVE),
    "model_dir": (None, "pass the folder in tf_args, and save there in map_fun"),
    "resource_profile": (None, "set spark.executor.resource.* for the application"),
    "cache": ("memory", NATIVE),
    "cache_bytes": (None, NATIVE),
    "seed": (0, "pass it in tf_args; rows come in the order in which Spark computes them"),
    "progress": ("auto", "its nodes tell nothing of their steps; " + NATIVE),
    "node_env": (None, "set spark.executorEnv.NAME for the application"),
    "num_ps": (0, "it starts no servers of TensorFlow 2; train by a MultiWorkerMirroredStrategy, or " + NATIVE),
}
"""Arguments of `run` that it has not, with the value that means nothing and what to do instead."""

QUEUES = ("input", "output", "error")
"""What it cannot do without."""


def check(given: Mapping[str, Any], *, fed: bool) -> None:
    """Refuses what only this package has.

    Args:
        given: the arguments of the call, by name.
        fed: whether Spark feeds the nodes.

    Raises:
        ConfigError: one of them is not what it is by default.
    """
    for name, (nothing, cure) in OURS_ALONE.items():
        if name in given and given[name] != nothing:
            raise ConfigError(f"{ENGINE} has no {name}, received {given[name]!r}", hint=cure)
    if isinstance(given.get("gpus_per_node"), Mapping):
        raise ConfigError(f"{ENGINE} gives all nodes as many GPUs, received {given['gpus_per_node']!r}", hint=NATIVE)
    if fed and given.get("eval_node"):
        raise ConfigError(f"{ENGINE} has no evaluator in InputMode.SPARK", hint=NATIVE)


def queues(names: Any) -> list[str]:
    """Gives the queues that it is to make: those that it needs, and those of the program; none for validation."""
    return list(dict.fromkeys([*QUEUES, *(name for name in names if name != "validation")]))


def misfit(conf: Mapping[str, str], master: str, *, nodes: int, fed: bool) -> SlotsError | None:
    """Gives the error if executors are not as it needs them, as far as the settings tell, or None.

    It knows a node by a file in its executor's folder, so an executor may have one task at a time. Rows go to whatever
    node is on the executor that computed them, so there may be no executor without a node.

    Args:
        conf: settings of the application.
        master: of Spark.
        nodes: how many nodes there will be.
        fed: whether Spark feeds them.

    Example:
        >>> print(misfit({}, "local[4]", nodes=2, fed=True).hint)
        use master local-cluster[2,1,1024]
    """
    if fed and conf.get("spark.python.worker.reuse", "true").lower() == "false":
        return SlotsError(
            f"{ENGINE} keeps its nodes beside Python workers, and spark.python.worker.reuse is false",
            hint="leave it true, which is Spark's default",
        )
    executors, slots_each = _executors(conf, master)
    enough = executors is None or executors == nodes or (executors > nodes and not fed)
    if slots_each in (None, 1) and enough:
        return None
    each = "any number" if slots_each is None else slots_each
    return SlotsError(
        f"{ENGINE} needs {nodes} executors with one slot each, received {executors or 'some'} with {each} ({master})",
        hint=f"use master local-cluster[{nodes},1,1024]" if master.startswith("local") else (
            f"set spark.executor.instances={nodes}, and spark.task.cpus to what spark.executor.cores is"
        ),
    )  # fmt: skip


def _executors(conf: Mapping[str, str], master: str) -> tuple[int | None, int | None]:
    """Gives how many executors there are and how many slots each has; None for what is left open."""
    task_cpus = int(conf.get("spark.task.cpus", "1"))
    local_cluster = re.fullmatch(r"local-cluster\[\s*(\d+)\s*,\s*(\d+)\s*,.*\]", master)
    if local_cluster:
        return int(local_cluster[1]), int(local_cluster[2]) // task_cpus
    if master.startswith("local"):  # one process, in which nodes share a folder
        cores = re.match(r"local\[(\d+)", master)
        return 1, int(cores[1]) // task_cpus if cores else 1 if master == "local" else 0
    executors, each = conf.get("spark.executor.instances"), conf.get("spark.executor.cores")
    return int(executors) if executors else None, int(each) // task_cpus if each else None
