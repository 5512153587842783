"""Room on disks and in memory."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tfspark_cnn.doctor import disks, memory
from tfspark_cnn.doctor.findings import Status
from tfspark_cnn.doctor.observed import Disk, Host, Memory

GIB = 1 << 30


@pytest.mark.parametrize(
    ("free_bytes", "status"), [(50 * GIB, Status.OK), (2 * GIB, Status.WARNING), (GIB // 4, Status.FAILED)]
)
def test_the_fullest_disk_decides(seen: Any, free_bytes: int, status: Status) -> None:
    found = disks.disks(seen.nodes(disks=(Disk("/a", 80 * GIB), Disk("/b", free_bytes))))
    assert found.status is status and "in /b of node 1" in found.seen


def test_a_disk_that_cannot_be_written_fails(seen: Any) -> None:
    found = disks.disks(seen.nodes(disks=(Disk("/a", 80 * GIB, "no permission"),)))
    assert found.status is Status.FAILED and found.seen == "node 1 (10.0.0.6) cannot write to /a: no permission"


def test_enough_memory_is_one_finding(seen: Any) -> None:
    (found,) = memory.memory(seen.driver, seen.nodes())
    assert found.status is Status.OK and found.seen == "at least 16.0 GiB available on every node's host"


def test_a_limited_address_space_is_traced_to_its_setting(seen: Any) -> None:
    (found,) = memory.memory(seen.driver, seen.nodes(memory=Memory(16 * GIB, 2 * GIB)))
    assert found.status is Status.FAILED and "spark.executor.pyspark.memory" in found.cure


def test_nodes_of_one_host_share_its_memory(seen: Any) -> None:
    both = Host("h", "m1")
    nodes = [replace(one, host=both, memory=Memory(3 * GIB // 2)) for one in seen.nodes()]
    (found,) = memory.memory(seen.driver, nodes)
    assert found.status is Status.WARNING and "1.5 GiB available, 2 nodes there take 2.0 GiB" in found.seen


@pytest.mark.parametrize(
    ("master", "conf", "status"),
    [
        ("yarn", {}, Status.WARNING),
        ("yarn", {"spark.executor.memoryOverhead": "3g"}, Status.OK),
        ("yarn", {"spark.executor.memory": "40g"}, Status.OK),
        ("k8s://https://api", {"spark.executor.memory": "4g"}, Status.OK),
        ("k8s://a", {"spark.executor.memory": "4g", "spark.executor.memoryOverheadFactor": "0.1"}, Status.WARNING),
        ("spark://m:7077", {}, Status.OK),
    ],
)  # fmt: skip
def test_overhead_matters_where_executors_are_containers(
    seen: Any, master: str, conf: dict[str, str], status: Status
) -> None:
    (found,) = memory.memory(replace(seen.driver, master=master, conf=conf), seen.nodes())
    assert found.status is status
    assert ("spark.executor.memoryOverhead=2g" in found.cure) == (status is Status.WARNING)


@pytest.mark.parametrize(
    ("text", "size"), [("1g", GIB), ("384", 384 << 20), ("2048MB", 2 * GIB), ("1GiB", GIB), ("?", 0)]
)
def test_sizes_are_read_as_spark_does(text: str, size: int) -> None:
    assert memory.size_bytes(text) == size
