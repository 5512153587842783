"""Addresses that work on one host alone are found where there are several."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tfspark_cnn.doctor import addresses
from tfspark_cnn.doctor.findings import Status
from tfspark_cnn.doctor.observed import Host


def test_two_hosts_with_addresses_of_their_own_are_ok(seen: Any) -> None:
    (found,) = addresses.addresses(seen.driver, seen.nodes())
    assert found.status is Status.OK and found.seen == "the driver at 10.0.0.1, nodes at 10.0.0.5, 10.0.0.6"


def test_on_one_host_loopback_will_do(seen: Any) -> None:
    here = Host("a", "m0")
    nodes = [replace(one, host=here, address="127.0.0.1") for one in seen.nodes()]
    (found,) = addresses.addresses(replace(seen.driver, address="127.0.0.1", host=here), nodes)
    assert found.status is Status.OK


@pytest.mark.parametrize("address", ["127.0.0.1", "localhost", "::1"])
def test_a_driver_at_a_loopback_address_is_not_found_by_others(seen: Any, address: str) -> None:
    (found,) = addresses.addresses(replace(seen.driver, address=address), seen.nodes())
    assert found.status is Status.FAILED and "spark.driver.host" in found.cure


def test_a_node_at_a_loopback_address_is_named(seen: Any) -> None:
    (found,) = addresses.addresses(seen.driver, seen.nodes(address="127.0.1.1"))
    assert found.status is Status.FAILED and "node 1 (127.0.1.1)" in found.seen and "SPARK_LOCAL_IP" in found.cure


def test_a_host_name_that_resolves_to_loopback_on_its_own_host_is_a_warning(seen: Any) -> None:
    nodes = seen.nodes(address="h1", host=Host("h1", "m2", (("eth0", "10.0.0.6"),), "127.0.1.1"))
    (found,) = addresses.addresses(seen.driver, nodes)
    assert found.status is Status.WARNING and "127.0.1.1" in found.seen and "/etc/hosts" in found.cure


@pytest.mark.parametrize(
    ("second", "local_ip", "status"),
    [
        ("eth1", None, Status.WARNING),
        ("eth1", "10.0.0.6", Status.OK),
        ("docker0", None, Status.OK),
    ],
)
def test_several_networks_are_told_unless_one_was_chosen(
    seen: Any, second: str, local_ip: str | None, status: Status
) -> None:
    several = Host("h1", "m2", (("eth0", "10.0.0.6"), (second, "192.168.7.6")), "10.0.0.6", local_ip)
    (found,) = addresses.addresses(seen.driver, seen.nodes(host=several))
    assert found.status is status


@pytest.mark.parametrize(
    ("master", "count"),
    [
        ("spark://m:7077", 1),
        ("yarn", 1),
        ("local[2]", 0),
        ("local-cluster[2,1,1024]", 0),
        ("spark://127.0.0.1:7077", 0),
    ],
)
def test_where_no_executor_came_a_driver_at_loopback_may_be_why(seen: Any, master: str, count: int) -> None:
    assert len(addresses.without_nodes(replace(seen.driver, master=master, address="127.0.0.1"))) == count
    assert addresses.without_nodes(replace(seen.driver, master=master)) == []
