"""Whether every node reaches every other, and the driver. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from tfspark_cnn.doctor.findings import Finding, failed, ok
from tfspark_cnn.doctor.observed import NodeView, Reach, plural

SILENT = "no answer"
"""In the problem of a connection that nothing came of."""
REFUSED = "refused"
STRANGER = "another program answered"
UNKNOWN_HOST = "unknown host"

_OWN_ADDRESS = "set SPARK_LOCAL_IP on each executor's host to an address of its own"
_CURES = {
    SILENT: "a firewall drops packets: let hosts of executors accept connections from each other, or let nodes take "
    "ports that are open by TENSORFLOW_PORT=5000-5009 in spark.executorEnv",
    REFUSED: "a firewall or a NAT rejects the port: open the ports between executors, or name open ones by "
    "TENSORFLOW_PORT=5000-5009 in spark.executorEnv",
    STRANGER: f"a proxy or another host has this address: {_OWN_ADDRESS}",
    UNKNOWN_HOST: "let all hosts resolve each other's names, by DNS or /etc/hosts, or set SPARK_LOCAL_IP to addresses",
}
_OTHERWISE = "see that executors' hosts are in one network, and that none has an address of another network"
_DRIVER_CURE = (
    "set spark.driver.host to an address that executors reach, and open its ports to them (TFOS_SERVER_PORT names them)"
)


def ports(views: Sequence[NodeView]) -> Finding:
    """Tells which nodes cannot listen, or which pairs cannot connect."""
    deaf = next((one for one in views if one.cannot_listen), None)
    if deaf is not None:
        return failed("ports", f"{deaf.name} cannot listen on {deaf.address}: {deaf.cannot_listen}", cure=_OWN_ADDRESS)
    tried = [(view, reach) for view in views for reach in view.reached]
    broken = [(view, reach) for view, reach in tried if reach.problem]
    if broken:
        view, reach = broken[0]
        peer = next((one.name for one in views if one.number == reach.peer), f"node {reach.peer}")
        rest = f"; nor did {len(broken) - 1} of {len(tried) - 1} other connections work" if broken[1:] else ""
        told = f"{view.name} cannot reach {peer} at {reach.address} ({reach.purpose}): {reach.problem}{rest}"
        return failed("ports", told, cure=_cure(reach))
    if not tried:
        return ok("ports", "one node alone, nothing to connect")
    slowest_ms = 1000 * max(reach.seconds for _, reach in tried)
    told = f"every node reaches every other: {plural(len(tried), 'connection')}, at most {slowest_ms:.1f} ms"
    return ok("ports", told)


def coordinator(views: Sequence[NodeView]) -> Finding:
    """Tells which nodes cannot reach the driver."""
    tried = [(view, view.driver) for view in views if view.driver is not None]
    broken = [(view, reach) for view, reach in tried if reach.problem]
    if broken:
        view, reach = broken[0]
        rest = f"; nor {plural(len(broken) - 1, 'other node')}" if broken[1:] else ""
        told = f"{view.name} cannot reach the driver at {reach.address}: {reach.problem}{rest}"
        return failed("coordinator", told, cure=_DRIVER_CURE)
    where = tried[0][1].address if tried else "nowhere"
    return ok("coordinator", f"every node reaches the driver at {where}")


def _cure(reach: Reach) -> str:
    return next((cure for word, cure in _CURES.items() if word in reach.problem), _OTHERWISE)
