"""Masters before Spark is started: what their URLs mean, and that nobody answers there."""

from __future__ import annotations

import socket
import time

import pytest

from tfspark_cnn.cli import masters
from tfspark_cnn.errors import ClusterError, ConfigError


@pytest.mark.parametrize(
    ("master", "found"),
    [
        ("local", []), ("local[4]", []), ("local[*]", []), ("local[2, 3]", []), ("local-cluster[2,1,1024]", []),
        ("yarn", []), ("spark://a:7077", [("a", 7077)]), ("spark://a:1,b:2", [("a", 1), ("b", 2)]),
        ("k8s://https://api:6443", [("api", 6443)]), ("k8s://api", [("api", 443)]), ("own://somewhere", []),
        ("spark://[::1]:7077", [("::1", 7077)]),
    ],
)  # fmt: skip
def test_hosts_and_ports_are_those_of_the_url(master: str, found: list[tuple[str, int]]) -> None:
    assert masters.endpoints(master) == found


@pytest.mark.parametrize(
    "master",
    [
        "",
        "locl[2]",
        "sprak://a:7077",
        "local[two]",
        "local[0]",
        "spark://a",
        "spark://a:port",
        "spark://",
        "spark://a:99999",
    ],
)
def test_what_is_no_master_is_refused(master: str) -> None:
    with pytest.raises(ConfigError, match="expected .*received .*\n  to do: write .*spark://HOST:7077"):
        masters.check(master)


def test_a_master_that_nobody_is_at_is_told_at_once() -> None:
    with socket.socket() as bound:  # and not listening: connections are refused
        bound.bind(("127.0.0.1", 0))
        url = f"spark://127.0.0.1:{bound.getsockname()[1]}"
        began = time.monotonic()
        with pytest.raises(
            ClusterError, match=f"no master of Spark answers at {url} .*connection refused\\)\n  to do: "
        ):
            masters.check(url)
    assert time.monotonic() - began < masters.ANSWER_S


def test_a_host_without_an_address_is_told() -> None:
    with pytest.raises(ClusterError, match="no master of Spark answers"):
        masters.check("spark://no-such-host.invalid:7077")


def test_one_of_several_masters_is_enough() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        masters.check(f"spark://127.0.0.1:{silent.getsockname()[1]},127.0.0.1:{server.getsockname()[1]}")


def test_a_master_that_takes_no_answer_is_given_up_in_time() -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        address = full.getsockname()
        with socket.create_connection(address):  # fills the queue: further connections hang
            with pytest.raises(ClusterError, match=r"no answer in 0\.2 s"):
                for _ in range(3):
                    masters.check(f"spark://{address[0]}:{address[1]}", timeout_s=0.2)
