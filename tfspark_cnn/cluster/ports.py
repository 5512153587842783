"""Ports that stay ours from reservation until TensorFlow has them.

A socket bound with SO_REUSEPORT keeps other programs off the port, and lets TensorFlow (`TF_GRPC_REUSE_PORT=true`) bind
it beside us. It never listens, so no connection is lost to it.
"""

from __future__ import annotations

import socket
from dataclasses import dataclass


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
