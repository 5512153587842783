"""Whether the addresses by which driver and nodes know each other can work across hosts. Pure."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Sequence

from tfspark_cnn.doctor.findings import Finding, failed, ok, warning
from tfspark_cnn.doctor.observed import DriverView, NodeView, named

VIRTUAL = ("docker", "br-", "veth", "virbr", "cni", "flannel", "cali", "tun", "kube", "lxc", "vmnet")
"""How interfaces begin that lead to containers of the host alone."""


def addresses(driver: DriverView, views: Sequence[NodeView]) -> list[Finding]:
    """Tells of loopback addresses where there are several hosts, and of hosts in several networks."""
    machines = {one.host.machine for one in views} | {driver.host.machine}
    if len(machines) == 1:
        return [ok("addresses", f"all on one host, at {', '.join(sorted({one.address for one in views}))}")]
    found = [*_loopback_driver(driver), *_loopback_nodes(views), *_names(views), *_several_networks(views)]
    return found or [ok("addresses", f"the driver at {driver.address}, nodes at {_all(views)}")]


def without_nodes(driver: DriverView) -> list[Finding]:
    """Tells what may be the reason that no executor has come."""
    alone = driver.master.startswith("local") or is_loopback(_master_host(driver.master))
    return [] if alone else list(_loopback_driver(driver))


def _master_host(master: str) -> str:
    return re.sub(r"^\w+://(https?://)?", "", master).partition(",")[0].rpartition(":")[0].strip("[]")


def _loopback_driver(driver: DriverView) -> Iterator[Finding]:
    if is_loopback(driver.address):
        yield failed(
            "addresses",
            f"executors on other hosts are told to find the driver at {driver.address}, which is themselves",
            cure="set spark.driver.host to the driver's address in the executors' network",
        )


def _loopback_nodes(views: Sequence[NodeView]) -> Iterator[Finding]:
    hidden = [one for one in views if is_loopback(one.address)]
    if hidden:
        yield failed(
            "addresses",
            f"Spark knows {named(hidden, views)} by a loopback address, where other hosts find themselves",
            cure="set SPARK_LOCAL_IP in conf/spark-env.sh of these hosts, or mend their names in /etc/hosts",
        )


def _names(views: Sequence[NodeView]) -> Iterator[Finding]:
    """Matters where Spark goes by the name: what the host itself listens on is then not what others connect to."""
    hidden = [one for one in views if is_loopback(one.host.resolved) and one.address == one.host.name]
    if hidden:
        told = f"the host names of {named(hidden, views)} resolve to {hidden[0].host.resolved} there"
        cure = "take the name off the 127.* line of /etc/hosts, or set SPARK_LOCAL_IP on these hosts"
        yield warning("addresses", told, cure=cure)


def _several_networks(views: Sequence[NodeView]) -> Iterator[Finding]:
    some = [one for one in views if one.host.local_ip is None and len(_outer(one)) > 1]
    if some:
        one = some[0]
        there = ", ".join(f"{address} ({name})" for name, address in _outer(one))
        told = f"{named(some, views)} without SPARK_LOCAL_IP: {one.name} has {there}, of which Spark took one"
        cure = "set SPARK_LOCAL_IP in conf/spark-env.sh to each host's address in the fastest network"
        yield warning("addresses", told, cure=cure)


def _outer(view: NodeView) -> list[tuple[str, str]]:
    return [(name, address) for name, address in view.host.addresses if not name.startswith(VIRTUAL)]


def _all(views: Sequence[NodeView]) -> str:
    return ", ".join(sorted({one.address for one in views}))


def is_loopback(address: str) -> bool:
    """Tells whether an address, or the name `localhost`, leads nowhere but to its own host.

    Example:
        >>> is_loopback("127.0.1.1"), is_loopback("::1"), is_loopback("node-3")
        (True, True, False)
    """
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return address.partition(".")[0] == "localhost"
