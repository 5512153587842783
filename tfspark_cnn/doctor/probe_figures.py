"""What the figures of a probe training say. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tfspark_cnn.doctor.findings import Finding, failed, ok, warning

SLOW_BYTES_PER_S = 30e6
"""A quarter of what gigabit Ethernet carries: a network of 10 million weights would need over a second for a step."""


def probe(results: Sequence[Mapping[str, Any]]) -> Finding:
    """Gives the finding.

    Args:
        results: of each node, what `training.probe.run` gives.
    """
    nodes = len(results)
    wrong = [number for number, one in enumerate(results) if one["sum"] != nodes * (nodes + 1) / 2]
    if wrong:
        return failed(
            "probe",
            f"the sum over nodes is wrong on node {wrong[0]}: expected {nodes * (nodes + 1) / 2:g}, received "
            f"{results[wrong[0]]['sum']:g}",
            cure="let all nodes have the same version of TensorFlow, and the same kind of GPU or none",
        )
    steps_per_s = min(one["steps_per_s"] for one in results)
    told = f"{results[0]['steps']} steps on {nodes} node{'s' * (nodes != 1)}, {steps_per_s:.1f} steps/s"
    told += f", up to {max(one['peak_mib'] for one in results):,} MiB a node, TensorFlow {results[0]['tensorflow']}"
    if nodes == 1:
        return ok("probe", told)
    per_s = bytes_per_s(results)
    told += f"; all-reduce of {results[0]['gradient_bytes'] / 1e6:.1f} MB of gradients at {per_s / 1e6:.0f} MB/s"
    if per_s < SLOW_BYTES_PER_S:
        cure = "put executors into one fast network (SPARK_LOCAL_IP), or send gradients='bfloat16' in ctx.strategy()"
        return warning("probe", told, cure=cure)
    return ok("probe", told)


def bytes_per_s(results: Sequence[Mapping[str, Any]]) -> float:
    """Gives the bytes of gradients that are summed over all nodes in a second, by the slowest node."""
    return float(min(one["gradient_bytes"] / one["reduce_s"] for one in results))
