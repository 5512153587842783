"""Whether somebody listens where Spark's master is said to be: asked in seconds, where Spark would try for minutes."""

from __future__ import annotations

import re
import socket

from tfspark_cnn.doctor.findings import Finding, failed

_WITH_HOSTS = re.compile(r"(?:spark|k8s)://(?:https?://)?(?P<hosts>.+)")
_DEFAULT_PORT = {"https": 443, "http": 80}


def places(master: str) -> list[tuple[str, int]]:
    """Gives hosts and ports in a master's URL; none for masters without any, as `yarn` and `local[2]`.

    Example:
        >>> places("spark://a:7077,b:7077"), places("k8s://https://api.example"), places("yarn")
        ([('a', 7077), ('b', 7077)], [('api.example', 443)], [])
    """
    found = _WITH_HOSTS.fullmatch(master)
    if found is None:
        return []
    usual = _DEFAULT_PORT["http" if "http://" in master else "https"]
    parts = (one.strip().rpartition(":") for one in found["hosts"].rstrip("/").split(","))
    return [(host.strip("[]"), int(port)) if port.isdecimal() else (port, usual) for host, _, port in parts]


def unreachable(master: str, *, timeout_s: float) -> Finding | None:
    """Tells that nobody listens at any of a master's addresses; None where somebody does, or it has none."""
    problems = []
    for host, port in places(master):
        try:
            socket.create_connection((host, port), timeout=timeout_s).close()
        except TimeoutError:
            problems.append(f"{host}:{port} has not answered within {timeout_s:g} s")
        except OSError as error:
            problems.append(f"{host}:{port}: {error.strerror or error}")
        else:
            return None
    if not problems:
        return None
    return failed(
        "master",
        f"{master} cannot be reached: {'; '.join(problems)}",
        cure="start it, or pass --master with the URL that its page shows, and open its port to this host",
    )
