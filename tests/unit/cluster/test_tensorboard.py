"""Ports that TensorBoard tries; its process is looked at in tests/integration."""

from __future__ import annotations

import itertools
import socket

import pytest

from tfspark_cnn.cluster import tensorboard
from tfspark_cnn.errors import ClusterError

HOST = "127.0.0.1"


def test_a_port_in_use_is_passed_over() -> None:
    with socket.socket() as other:
        other.bind((HOST, 0))
        other.listen()
        taken = other.getsockname()[1]
        found = next(tensorboard._free_ports(HOST, taken))
    assert taken < found <= taken + tensorboard.PORTS


def test_where_all_are_in_use_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tensorboard, "PORTS", 1)
    with socket.socket() as other, pytest.raises(ClusterError, match=r"ports (\d+) to \1 of 127.0.0.1 are all in use"):
        other.bind((HOST, 0))
        other.listen()
        next(tensorboard._free_ports(HOST, other.getsockname()[1]))


def test_any_port_is_the_choice_of_the_system_and_an_address_of_others_is_refused() -> None:
    assert list(itertools.islice(tensorboard._free_ports(HOST, 0), 2)) == [0, 0]
    with pytest.raises(ClusterError, match=r"cannot listen on '203.0.113.5'"):
        next(tensorboard._free_ports("203.0.113.5", 6006))
