"""What a node's process is told: the frozen values that travel from the driver to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from tfspark_cnn.cluster.tf_config import ClusterSpec
from tfspark_cnn.cluster.topology import Node, Topology


class Cache(StrEnum):
    """Where a node keeps the rows it has received, for the later epochs."""

    MEMORY = "memory"  # up to `cache_bytes`, the rest on disk
    DISK = "disk"
    NONE = "none"  # nowhere: Spark computes each epoch anew


@dataclass(frozen=True)
class RunOptions:
    """What all nodes of a run have in common.

    Attributes:
        run_id: names the run in logs and job groups.
        attempt: which life of the cluster this is, from 1.
        coordinator: its Flight location.
        secret: of the cluster; never printed (`repr=False`).
        fed: whether Spark feeds the nodes (`InputMode.SPARK`).
        queues: the names of the feeds there may be.
        log_dir: where event files go, or None.
        model_dir: where models and checkpoints go, or None.
        default_fs: as Hadoop's `fs.defaultFS`.
        seed: of shuffling.
        cache: where a node keeps the rows of later epochs.
        cache_bytes: how many bytes of rows stay in memory; None: a default, see `node_feeds.memory_bytes`.
        release_port: whether the library gives up the reserved port by itself.
        extra_env: variables to set in every node's process.
        likeness: of map_fun, see `map_fun_payload.likeness`.
    """

    run_id: str
    coordinator: str
    secret: str = field(repr=False)
    attempt: int = 1
    fed: bool = True
    queues: tuple[str, ...] = ("input", "output", "error")
    log_dir: str | None = None
    model_dir: str | None = None
    default_fs: str = "file://"
    seed: int = 0
    cache: Cache = Cache.MEMORY
    cache_bytes: int | None = None
    release_port: bool = True
    extra_env: Mapping[str, str] = field(default_factory=dict)
    likeness: str | None = None


@dataclass(frozen=True)
class NodePlan:
    """One node's process.

    Attributes:
        node: which node it is.
        topology: all nodes.
        spec: addresses by role.
        host: the address by which others reach this node.
        gpus: addresses of the GPUs it may use.
        payload: `(map_fun, args)`, pickled by cloudpickle; `map_fun` may be `"module:function"`.
        options: common to all nodes.
        port_fd: descriptor of the held port; None: of a run, which needs none.
        working_dir: of the Spark task.
        runs: how many independent runs there are, of which this is one; 0: it is a node of a cluster.
    """

    node: Node
    topology: Topology
    spec: ClusterSpec
    host: str
    gpus: tuple[str, ...]
    payload: bytes = field(repr=False)
    options: RunOptions
    port_fd: int | None
    working_dir: str
    runs: int = 0

    @property
    def neighbours(self) -> int:
        """How many nodes share this host, this one included."""
        return sum(address.rpartition(":")[0].strip("[]") == self.host for job in self.spec.values() for address in job)
