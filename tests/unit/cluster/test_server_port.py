"""Where the driver's services listen."""

from __future__ import annotations

import pyarrow as pa
import pytest

from tfspark_cnn.cluster import server_port
from tfspark_cnn.errors import ClusterError


def make(port: int) -> int:
    """Makes a service, but not at ports below 9999."""
    if 0 < port < 9999:
        raise pa.ArrowException("Server did not start properly")
    return port


@pytest.mark.parametrize(("wanted", "found"), [("", 0), ("9999", 9999), ("9997-10000", 9999)])
def test_the_first_port_that_is_free_is_taken(monkeypatch: pytest.MonkeyPatch, wanted: str, found: int) -> None:
    monkeypatch.setenv("TFOS_SERVER_PORT", wanted)
    assert server_port.listening(make, bind="10.0.0.1") == found


def test_ports_that_are_all_in_use_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TFOS_SERVER_PORT", "9000-9001")
    with pytest.raises(ClusterError, match="(?s)on 10.0.0.1 at TFOS_SERVER_PORT, 9000 to 9001: .*name more"):
        server_port.listening(make, bind="10.0.0.1")


def test_an_address_that_is_not_ours_names_the_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TFOS_SERVER_PORT", raising=False)

    def fail(port: int) -> None:
        raise OSError("cannot assign requested address")

    with pytest.raises(ClusterError, match="(?s)cannot listen on 10.0.0.1: cannot assign.*spark.driver.bindAddress"):
        server_port.listening(fail, bind="10.0.0.1")
