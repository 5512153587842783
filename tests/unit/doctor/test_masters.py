"""Spark's master is found out to be unreachable in moments."""

from __future__ import annotations

import socket

import pytest

from tfspark_cnn.doctor import masters, spark_versions
from tfspark_cnn.doctor.findings import Status


@pytest.mark.parametrize(
    ("master", "places"),
    [
        ("spark://a:7077", [("a", 7077)]),
        ("spark://a:7077, b:7078", [("a", 7077), ("b", 7078)]),
        ("spark://[::1]:7077", [("::1", 7077)]),
        ("k8s://https://api:6443/", [("api", 6443)]),
        ("k8s://api", [("api", 443)]),
        ("yarn", []),
        ("local-cluster[2,1,1024]", []),
    ],
)
def test_hosts_and_ports_are_read_from_the_master(master: str, places: list[tuple[str, int]]) -> None:
    assert masters.places(master) == places


def test_one_of_several_masters_that_listens_will_do() -> None:
    with socket.create_server(("127.0.0.1", 0)) as there, socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        gone = f"127.0.0.1:{closed.getsockname()[1]}"
        here = f"127.0.0.1:{there.getsockname()[1]}"
        assert masters.unreachable(f"spark://{gone},{here}", timeout_s=5) is None
        assert masters.unreachable("local[2]", timeout_s=5) is None
        found = masters.unreachable(f"spark://{gone}", timeout_s=5)
    assert found is not None and found.status is Status.FAILED
    assert found.seen == f"spark://{gone} cannot be reached: {gone}: Connection refused"


@pytest.mark.parametrize(
    ("pyspark", "jvm", "java", "status"),
    [
        ("4.1.4", "4.1.0", "17.0.9", Status.OK),
        ("4.1.4", "4.0.1", "17.0.9", Status.FAILED),
        ("4.1.4", "4.1.4", "1.8.0_392", Status.FAILED),
        ("4.1.4", "4.1.4", "21", Status.OK),
    ],
)
def test_pyspark_spark_and_java_are_compared(pyspark: str, jvm: str, java: str, status: Status) -> None:
    assert spark_versions.spark(pyspark, jvm, java=java, master="local").status is status
