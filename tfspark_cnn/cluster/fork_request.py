"""What travels between a Spark task and the fork server of its executor.

    task                                   server                        child
    REQUEST + descriptors  ------------->  fork()  ------------------->  waits for GO
    {"pid"} + its pidfd    <-------------
    GO  -------------------------------------------------------------->  runs the node
    {"status", "peak_kib"} <-------------  wait4()  <------------------  has ended

The first descriptor of a request is a file of memory with its text; the others are those the child is to have.
"""

from __future__ import annotations

import json
import os
import socket
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

REQUEST = b"fork"
GO = b"go"
MOST_DESCRIPTORS = 16
"""So many descriptors travel with a request at most."""

MOST_BYTES = 4096
"""So long are answers at most."""

SET_BY_IMPORTS = frozenset({
    "ENABLE_RUNTIME_UPTIME_TELEMETRY", "HDF5_PLUGIN_PATH", "TF2_BEHAVIOR", "TPU_ML_PLATFORM", "TPU_ML_PLATFORM_VERSION",
})  # fmt: skip
"""Variables that TensorFlow, Keras and h5py set by themselves when they are imported."""


@dataclass(frozen=True)
class Request:
    """What a node's process is to be.

    Attributes:
        name: of the node, for the list of processes.
        group: the process group it is to live in.
        likeness: what its map_fun has in common with others that import TensorFlow alike; None: nothing is known.
        environment: all its variables.
        targets: which number each descriptor that comes along is to have there.
    """

    name: str
    group: int
    likeness: str | None
    environment: Mapping[str, str]
    targets: Sequence[int]

    def write(self) -> int:
        """Gives the descriptor of a file of memory with the text of this request, at its beginning."""
        with os.fdopen(os.memfd_create("tfspark_cnn-request"), "wb") as text:
            text.write(json.dumps(vars(self)).encode())
            text.seek(0)
            return os.dup(text.fileno())

    @classmethod
    def read(cls, descriptor: int) -> Request:
        """Reads what `write` has written, and goes back to its beginning; closes nothing.

        Raises:
            ValueError: it is nothing of the kind; or TypeError.
        """
        with os.fdopen(os.dup(descriptor), "rb") as text:
            request = cls(**json.load(text))
            text.seek(0)
        return request


def user_of(peer: socket.socket) -> int:
    """Gives the user whose process is at the other end of a Unix socket."""
    size = struct.calcsize("3i")
    _, user, _ = struct.unpack("3i", peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))
    return int(user)
