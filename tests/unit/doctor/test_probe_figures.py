"""Figures of a probe training."""

from __future__ import annotations

from typing import Any

import pytest

from tfspark_cnn.doctor import probe_figures
from tfspark_cnn.doctor.findings import Status


def result(**other: Any) -> dict[str, Any]:
    usual = {"steps": 5, "steps_per_s": 25.0, "gradient_bytes": 8_000_000, "reduce_s": 0.02, "sum": 3.0}
    return usual | {"tensorflow": "2.21.0", "peak_mib": 820} | other


def test_the_slowest_node_gives_the_figures() -> None:
    found = probe_figures.probe([result(), result(steps_per_s=20.0, reduce_s=0.04)])
    assert found.status is Status.OK
    assert "5 steps on 2 nodes, 20.0 steps/s" in found.seen
    assert "all-reduce of 8.0 MB of gradients at 200 MB/s" in found.seen


def test_one_node_sums_nothing() -> None:
    found = probe_figures.probe([result(sum=1.0)])
    assert found.status is Status.OK and "all-reduce" not in found.seen


@pytest.mark.parametrize(("reduce_s", "status"), [(0.2, Status.OK), (0.3, Status.WARNING)])
def test_a_slow_network_is_a_warning(reduce_s: float, status: Status) -> None:
    assert probe_figures.probe([result(), result(reduce_s=reduce_s)]).status is status


def test_a_wrong_sum_fails() -> None:
    found = probe_figures.probe([result(), result(sum=2.0)])
    assert found.status is Status.FAILED and "expected 3, received 2" in found.seen
