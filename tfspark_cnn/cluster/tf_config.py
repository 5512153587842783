"""TF_CONFIG, and what else TensorFlow reads from the environment of a node's process."""

from __future__ import annotations

import json
from collections.abc import Sequence

from tfspark_cnn.cluster.topology import Node, Role, Topology

ClusterSpec = dict[str, list[str]]


def cluster_spec(topology: Topology, addresses: Sequence[str]) -> ClusterSpec:
    """Gives `{role: ["host:port", ...]}` from the addresses by node number.

    The evaluator stands in it too, so that a program can find it; TF_CONFIG leaves it out.

    Example:
        >>> from tfspark_cnn.cluster.topology import plan
        >>> cluster_spec(plan(2, master_node="chief"), ["a:1", "b:2"])
        {'chief': ['a:1'], 'worker': ['b:2']}
    """
    spec: ClusterSpec = {}
    for node in topology:
        spec.setdefault(node.role.value, []).append(addresses[node.number])
    return spec


def tf_config(spec: ClusterSpec, node: Node) -> str:
    """Gives the JSON that `tf.distribute.cluster_resolver.TFConfigClusterResolver` reads.

    The evaluator is never part of the `cluster` it trains beside
    (https://www.tensorflow.org/guide/distributed_training#TF_CONFIG).
    """
    cluster = {role: list(addresses) for role, addresses in spec.items() if role != Role.EVALUATOR}
    return json.dumps({"cluster": cluster, "task": {"type": node.role.value, "index": node.index}})


def visible_devices(gpu_addresses: Sequence[str], limit: int | None) -> tuple[str, ...]:
    """Gives the GPU addresses that a node may use: the first `limit` of those Spark assigned to its task."""
    return tuple(gpu_addresses if limit is None else gpu_addresses[:limit])


def node_environment(spec: ClusterSpec, node: Node, gpus: Sequence[str]) -> dict[str, str | None]:
    """Gives the variables that make a process this node; None: one that it must not have.

    `TF_GRPC_REUSE_PORT` lets TensorFlow bind the port that is still held for it. Without GPUs
    `CUDA_VISIBLE_DEVICES` is "-1": TensorFlow would otherwise take every GPU of the host. A run that is of no
    cluster has no `TF_CONFIG`.
    """
    return {
        "TF_CONFIG": tf_config(spec, node) if spec else None,
        "TF_GRPC_REUSE_PORT": "true",
        "CUDA_VISIBLE_DEVICES": ",".join(gpus) if gpus else "-1",
    }
