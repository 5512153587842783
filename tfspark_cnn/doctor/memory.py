"""Whether nodes have the memory that TensorFlow takes, outside of the executors' JVMs. Pure."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from tfspark_cnn.doctor.findings import Finding, failed, ok, warning
from tfspark_cnn.doctor.observed import DriverView, NodeView, gib, plural

NODE_BYTES = 1 << 30
"""TensorFlow and Keras take 0.7 GiB of a node before the first network, rows and activations come on top."""

ADDRESS_SPACE_BYTES = 4 << 30
"""TensorFlow 2.21 on CPUs maps 2.2 GiB for its first step: with a limit of 2 GiB it fails, with 4 it does not."""

_UNITS = {"": 1 << 20, "b": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}
LEAST_OVERHEAD_BYTES = 384 << 20


def memory(driver: DriverView, views: Sequence[NodeView]) -> list[Finding]:
    """Tells what is too small: the limit of a process, of a container, or the host itself."""
    found = [*_address_space(views), *_containers(driver, views), *_hosts(views)]
    return found or [_well(driver, views)]


def _well(driver: DriverView, views: Sequence[NodeView]) -> Finding:
    free = [one.memory.available_bytes for one in views if one.memory.available_bytes is not None]
    told = f"at least {gib(min(free))} available on every node's host" if free else "what hosts have is not known"
    if in_containers(driver.master):
        told += f"; {gib(overhead_bytes(driver))} for nodes and Python in an executor's container"
    return ok("memory", told)


def _address_space(views: Sequence[NodeView]) -> Iterator[Finding]:
    limits = [one.memory.address_space_bytes for one in views if one.memory.address_space_bytes is not None]
    if limits and min(limits) < ADDRESS_SPACE_BYTES:
        yield failed(
            "memory",
            f"processes of executors are limited to {gib(min(limits))} of address space, TensorFlow maps more",
            cure="unset spark.executor.pyspark.memory, and give the room to spark.executor.memoryOverhead",
        )


def _containers(driver: DriverView, views: Sequence[NodeView]) -> Iterator[Finding]:
    """A container is killed as a whole when it takes more than heap and overhead."""
    if not in_containers(driver.master):
        return
    nodes = max(Counter(one.executor for one in views).values())
    has, needs = overhead_bytes(driver), nodes * NODE_BYTES
    if has < needs:
        yield warning(
            "memory",
            f"spark.executor.memoryOverhead is {gib(has)}, and {plural(nodes, 'node')} of an executor take "
            f"{gib(needs)} and their rows",
            cure=f"set spark.executor.memoryOverhead={math.ceil(needs / (1 << 30)) + 1}g or more",
        )


def _hosts(views: Sequence[NodeView]) -> Iterator[Finding]:
    nodes = Counter(one.host.machine for one in views)
    for one in {view.host.machine: view for view in views}.values():
        has, needs = one.memory.available_bytes, nodes[one.host.machine] * NODE_BYTES
        if has is not None and has < needs:
            yield warning(
                "memory",
                f"the host of {one.name} has {gib(has)} available, {plural(nodes[one.host.machine], 'node')} "
                f"there take {gib(needs)}",
                cure="use fewer nodes a host, a smaller spark.executor.memory, or hosts with more memory",
            )


def in_containers(master: str) -> bool:
    """Tells whether executors are killed for memory beyond what Spark asked for."""
    return master.startswith(("yarn", "k8s"))


def overhead_bytes(driver: DriverView) -> int:
    """Gives the memory of an executor outside of its heap, by Spark's rules.

    https://spark.apache.org/docs/latest/configuration.html, spark.executor.memoryOverhead
    """
    conf: Mapping[str, str] = driver.conf
    told = conf.get("spark.executor.memoryOverhead")
    if told is not None:
        return size_bytes(told)
    usual = "0.4" if driver.master.startswith("k8s") else "0.1"  # for programs in Python on Kubernetes
    factor = conf.get("spark.executor.memoryOverheadFactor", conf.get("spark.kubernetes.memoryOverheadFactor", usual))
    return max(LEAST_OVERHEAD_BYTES, int(float(factor) * size_bytes(conf.get("spark.executor.memory", "1g"))))


def size_bytes(text: str) -> int:
    """Reads a size as Spark does for settings of memory; a bare number is MiB, what is none is 0.

    Example:
        >>> size_bytes("2g"), size_bytes("512")
        (2147483648, 536870912)
    """
    found = re.fullmatch(r"\s*(\d+)\s*([bkmgt]?)(?:i?b)?\s*", text.lower())
    return int(found[1]) * _UNITS[found[2]] if found else 0
