"""A probe training on a cluster that is made for it."""

from __future__ import annotations

from typing import Any

from tfspark_cnn.cluster.tf_cluster import InputMode, TFCluster
from tfspark_cnn.doctor import probe_figures
from tfspark_cnn.doctor.findings import Finding, failed
from tfspark_cnn.errors import TFSparkError

# By name, since importing it would import TensorFlow.
MAP_FUN = "tfspark_cnn.training.probe:run"

START_S = 180.0
"""For nodes to come up: they need some seconds, and many times that where hosts are busy."""

TRAIN_S = 180.0
"""For importing TensorFlow, forming the cluster, and five steps with 8.4 MB of gradients."""


def probe(spark: Any, nodes: int, *, gpus_per_node: int | None = None, profile: Any = None) -> Finding:
    """Trains five steps on as many nodes, and tells how fast that was.

    Args:
        spark: the session.
        nodes: how many train.
        gpus_per_node: GPUs of each; None: all that Spark assigned.
        profile: ResourceProfile of the nodes, or None.
    """
    try:
        with TFCluster.run(
            spark,
            MAP_FUN,
            None,
            nodes,
            input_mode=InputMode.TENSORFLOW,
            master_node="chief",
            reservation_timeout=START_S,
            gpus_per_node=gpus_per_node,
            resource_profile=profile,
        ) as cluster:
            return probe_figures.probe(cluster.shutdown(timeout=TRAIN_S))
    except TFSparkError as error:
        where = f"[{error.node}] " if error.node else ""
        cure = error.hint or "run it again with --debug, and look at the executors' logs"
        return failed("probe", where + error.message.partition("\n")[0], cure=cure)
