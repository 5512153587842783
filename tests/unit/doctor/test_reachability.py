"""Connections between nodes and to the driver."""

from __future__ import annotations

from typing import Any

import pytest

from tfspark_cnn.doctor import reachability
from tfspark_cnn.doctor.findings import Status
from tfspark_cnn.doctor.observed import Reach


def test_connections_that_all_work_are_counted(seen: Any) -> None:
    assert reachability.ports(seen.nodes()).seen == "every node reaches every other: 2 connections, at most 1.0 ms"
    assert reachability.ports([seen.node(reached=())]).status is Status.OK
    assert reachability.coordinator(seen.nodes()).seen == "every node reaches the driver at 10.0.0.1:9997"


@pytest.mark.parametrize(
    ("problem", "cure"),
    [
        ("no answer within 3 s", "firewall drops packets"),
        ("connection refused", "rejects the port"),
        ("another program answered", "SPARK_LOCAL_IP"),
        ("unknown host h9 (Name or service not known)", "/etc/hosts"),
        ("No route to host", "one network"),
    ],
)
def test_a_pair_that_cannot_connect_is_named_with_what_helps(seen: Any, problem: str, cure: str) -> None:
    found = reachability.ports(seen.nodes(reached=(Reach(0, "TensorFlow", "10.0.0.5:5000", problem),)))
    assert found.status is Status.FAILED and cure in found.cure
    assert found.seen == (f"node 1 (10.0.0.6) cannot reach node 0 (10.0.0.5) at 10.0.0.5:5000 (TensorFlow): {problem}")


def test_of_many_broken_connections_one_is_told_and_the_others_counted(seen: Any) -> None:
    broken = tuple(Reach(0, what, "10.0.0.5:1", "connection refused") for what in ("TensorFlow", "inbox"))
    assert reachability.ports(seen.nodes(reached=broken)).seen.endswith(
        "connection refused; nor did 1 of 2 other connections work"
    )


def test_a_node_that_cannot_listen_on_its_own_address_comes_first(seen: Any) -> None:
    found = reachability.ports(seen.nodes(cannot_listen="Cannot assign requested address"))
    assert found.seen == "node 1 (10.0.0.6) cannot listen on 10.0.0.6: Cannot assign requested address"
    assert "SPARK_LOCAL_IP" in found.cure


def test_a_driver_that_cannot_be_reached_is_cured_by_its_setting(seen: Any) -> None:
    found = reachability.coordinator(seen.nodes(driver=Reach(-1, "coordinator", "127.0.0.1:9", "connection refused")))
    assert found.status is Status.FAILED and "spark.driver.host" in found.cure
    assert found.seen == "node 1 (10.0.0.6) cannot reach the driver at 127.0.0.1:9: connection refused"
