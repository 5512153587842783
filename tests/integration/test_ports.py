"""Ports that stay held from reservation until TensorFlow binds them: real sockets, and a child process."""

from __future__ import annotations

import errno
import os
import socket
import subprocess
import sys

import pytest

from tfspark_cnn.cluster import ports
from tfspark_cnn.errors import ClusterError

pytestmark = pytest.mark.beside

CHILD = """
import socket, sys
from tfspark_cnn.cluster import ports
held = ports.inherited(int(sys.argv[1]))
print(held.number, flush=True)
sys.stdin.readline()
server = socket.socket()
server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
server.bind(("127.0.0.1", held.number))
server.listen()
print("bound", flush=True)
sys.stdin.readline()
held.release()
"""


@pytest.fixture
def held():
    port = ports.hold()
    yield port
    port.release()


def bind(number: int, *, shared: bool = False, host: str = "127.0.0.1") -> socket.socket:
    sock = socket.socket()
    try:
        if shared:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as gRPC does
        sock.bind((host, number))
        sock.listen()
    except OSError:
        sock.close()
        raise
    return sock


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "127.0.0.2"])
def test_a_held_port_refuses_other_programs_on_every_address(held, host):
    with pytest.raises(OSError) as caught:
        bind(held.number, host=host)
    assert caught.value.errno == errno.EADDRINUSE


def test_a_held_port_can_be_bound_beside_us_and_gets_all_connections(held):
    with bind(held.number, shared=True) as server:
        for _ in range(20):
            with socket.create_connection(("127.0.0.1", held.number), timeout=5) as client:
                server.settimeout(5)
                accepted, address = server.accept()
                accepted.close()
                assert address == client.getsockname()


def test_a_held_port_takes_no_connections_by_itself(held):
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", held.number), timeout=5)


def test_a_released_port_is_free_and_may_be_released_again(held):
    number = held.number
    held.release()
    held.release()
    bind(number).close()


def test_a_port_that_is_in_use_cannot_be_held():
    with bind(0) as server:
        number = server.getsockname()[1]
        with pytest.raises(OSError) as caught:
            ports.hold(number)
    assert caught.value.errno == errno.EADDRINUSE


def test_ports_that_are_held_at_once_differ():
    many = [ports.hold() for _ in range(200)]
    try:
        assert len({port.number for port in many}) == 200
    finally:
        for port in many:
            port.release()


def test_a_child_process_keeps_the_port_that_it_inherited(held):
    number = held.number
    with subprocess.Popen(
        [sys.executable, "-c", CHILD, str(held.fd)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        pass_fds=[held.fd],
        text=True,
        bufsize=1,
    ) as child:
        assert child.stdin and child.stdout
        assert int(child.stdout.readline()) == number
        held.release()  # only the child has it now
        with pytest.raises(OSError):
            bind(number)
        child.stdin.write("bind\n")
        assert child.stdout.readline() == "bound\n"
        socket.create_connection(("127.0.0.1", number), timeout=5).close()
        child.stdin.write("release\n")
    assert child.returncode == 0


def test_a_process_that_is_not_given_the_port_does_not_hold_it(held):
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        number = held.number
        held.release()
        bind(number).close()
    finally:
        child.communicate(b"\n")


def test_what_is_inherited_is_the_same_port(held):
    other = ports.inherited(os.dup(held.fd))
    assert other.number == held.number
    other.release()
    with pytest.raises(OSError):
        bind(held.number)


def test_a_wanted_port_is_taken_by_one_alone_and_can_be_bound_beside_it(held):
    number = held.number
    held.release()
    first = ports.reserve([number])
    try:
        assert first.number == number
        with pytest.raises(ClusterError, match=f"TENSORFLOW_PORT has {number}, in use on this host"):
            ports.reserve([number])
        with bind(number, shared=True) as server, socket.create_connection(("127.0.0.1", number), timeout=5):
            server.accept()[0].close()
    finally:
        first.release()
    ports.reserve([number]).release()  # though a connection of it has just ended


def test_of_a_range_of_ports_the_first_free_one_is_taken(held):
    spare = ports.hold()
    wanted = [held.number, spare.number]
    spare.release()
    found = ports.reserve(wanted)
    assert found.number == wanted[1]
    found.release()
    with ports.reserve().sock as any_free:
        assert any_free.getsockname()[1]
