"""Ports that stay ours from reservation until TensorFlow has them.

A socket bound with SO_REUSEPORT keeps other programs off the port, and lets TensorFlow (`TF_GRPC_REUSE_PORT=true`) bind
it beside us. It never listens, so no connection is lost to it.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from tfspark_cnn.errors import ClusterError


@dataclass
class HeldPort:
    """A port held by a socket that is bound and does not listen."""

    sock: socket.socket

    @property
    def number(self) -> int:
        """The port's number."""
        port: int = self.sock.getsockname()[1]
        return port

    @property
    def fd(self) -> int:
        """The file descriptor, for a child process to inherit."""
        return self.sock.fileno()

    def release(self) -> None:
        """Gives the port up. Harmless if done before."""
        self.sock.close()


def reserve(wanted: Sequence[int] = ()) -> HeldPort:
    """Takes the first of the wanted ports that nobody has; where none is wanted, any free one.

    Raises:
        ClusterError: all of them are in use.
    """
    if not wanted:
        return hold()
    for port in wanted:
        with suppress(OSError):
            return _hold_alone(port)
    named = str(wanted[0]) if len(wanted) == 1 else f"{wanted[0]} to {wanted[-1]}"
    raise ClusterError(
        f"expected a free port for TensorFlow, and TENSORFLOW_PORT has {named}, in use on this host",
        hint="each node of a host needs one of its own: name a range, as TENSORFLOW_PORT=5000-5009",
    )


def _hold_alone(port: int) -> HeldPort:
    """Takes a port that nobody holds, of our own processes neither, and lets TensorFlow bind it beside from then on.

    SO_REUSEADDR passes over connections of an earlier server that the system has not forgotten yet. Left on, it would
    let two of us bind the same port, as SO_REUSEPORT would from the beginning.
    """
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(("", port))
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    except OSError:
        sock.close()
        raise
    return HeldPort(sock)


def hold(port: int = 0) -> HeldPort:
    """Takes a port (0: any free one) on all addresses, since that is what TensorFlow's server binds.

    Raises:
        OSError: the port is in use.
    """
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.bind(("", port))
    except OSError:
        sock.close()
        raise
    return HeldPort(sock)


def inherited(fd: int | None) -> HeldPort | None:
    """Takes over a held port from the parent process; None where it holds none."""
    return None if fd is None else HeldPort(socket.socket(fileno=fd))
