"""Spark's master, before Spark is started: what its URL means, and whether anybody answers there.

Spark itself asks a standalone master for a minute, and YARN for a quarter of an hour, before it gives up.

Example:
    >>> endpoints("spark://alpha:7077,beta:7077")
    [('alpha', 7077), ('beta', 7077)]
"""

from __future__ import annotations

import difflib
import re
import socket
import urllib.parse

from tfspark_cnn.errors import ClusterError, ConfigError

ANSWER_S = 5.0
KUBERNETES_PORT = 443
_LOCAL = re.compile(r"local(\[([1-9]\d*|\*)( *, *(\d+))?\])?|local-cluster\[ *\d+ *, *\d+ *, *\d+ *\]")
_SCHEMES = ("spark", "k8s", "yarn", "local")
_FORMS = "local[4], spark://HOST:7077, yarn, k8s://https://HOST:6443"


def is_local(master: str) -> bool:
    """Tells whether everything is in one JVM or on this machine."""
    return master.startswith("local")


def endpoints(master: str) -> list[tuple[str, int]]:
    """Gives the hosts and ports that stand in a URL of a master; none where it says none.

    Raises:
        ConfigError: it is no URL of a master.
    """
    scheme, separator, rest = master.partition("://")
    if not separator:
        if master == "yarn" or _LOCAL.fullmatch(master):
            return []
        raise ConfigError(f"expected a master of Spark, received {master!r}", hint=f"write one of: {_FORMS}")
    if scheme == "spark":
        return [_endpoint(one, master) for one in rest.split(",")]
    if scheme == "k8s":
        url = rest if "://" in rest else f"https://{rest}"
        return [_endpoint(urllib.parse.urlsplit(url).netloc, master, port=KUBERNETES_PORT)]
    if difflib.get_close_matches(scheme, _SCHEMES, n=1):
        raise ConfigError(f"expected a master of Spark, received {master!r}", hint=f"write one of: {_FORMS}")
    return []  # of a cluster manager that only Spark knows


def check(master: str, *, timeout_s: float = ANSWER_S) -> None:
    """Refuses a master that nobody can be reached at, within seconds.

    Args:
        master: its URL.
        timeout_s: how long each of its hosts may take to answer.

    Raises:
        ConfigError: it is no URL of a master.
        ClusterError: none of its hosts takes connections.
    """
    reasons = []
    for host, port in endpoints(master):
        try:
            socket.create_connection((host, port), timeout=timeout_s).close()
        except OSError as error:
            reasons.append(f"{host}:{port}: {_reason(error, timeout_s)}")
        else:
            return
    if reasons:
        raise ClusterError(
            f"no master of Spark answers at {master} ({'; '.join(reasons)})",
            hint="start it, or name another by --master; `train` takes --set cluster.master=URL",
        )


def _endpoint(text: str, master: str, *, port: int | None = None) -> tuple[str, int]:
    try:
        found = urllib.parse.urlsplit(f"//{text}")
        host, given = found.hostname, found.port or port
    except ValueError:
        host = given = None
    if not host or not given:
        raise ConfigError(f"expected HOST:PORT in the master {master!r}, received {text!r}", hint=f"write as {_FORMS}")
    return host, given


def _reason(error: OSError, timeout_s: float) -> str:
    if isinstance(error, TimeoutError):
        return f"no answer in {timeout_s:g} s"
    return (error.strerror or str(error)).lower()
