"""Asks the fork server of this executor for a process, and watches over it; starts the server where there is none.

A server is found by a name that only Linux' abstract sockets have: no file is left of it. The name stands for the
process that starts Spark's Python workers, the interpreter, the directory and the variables, so that a forked process
has all of these as one of its own would. Both ends ask the kernel who the other is.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from tfspark_cnn import env
from tfspark_cnn.cluster.fork_request import GO, MOST_BYTES, REQUEST, SET_BY_IMPORTS, Request, user_of

ANSWER_S = 30.0
"""Given to a server, or to its start, before the process is started without it."""

STATUS_S = 5.0
"""Given to a server to tell the status of a process that has ended."""

PADDING = "." * 80
"""The last argument of a server: room for the command line of a node."""

OF_ONE_NODE = frozenset({
    "TF_CONFIG", "CUDA_VISIBLE_DEVICES", "PYTHON_WORKER_FACTORY_PORT", "PYTHON_WORKER_FACTORY_SECRET",
})  # fmt: skip
OF_ONE_NODE_PREFIXES = ("TFSPARK_CNN_", "SPARK_")
BACKLOG = 64


class NotForked(Exception):
    """There is no fork server here, or it does not answer; never leaves `supervisor`."""


@dataclass
class Forked:
    """A process that was forked from the server; stands for a `subprocess.Popen` where a node is watched over.

    Attributes:
        pid: of the process.
        stdin: what we write to it.
        stdout: what it prints.
        stderr: what it prints there.
        peak_mib: its largest resident size, once it has ended.
    """

    pid: int
    stdin: IO[bytes]
    stdout: IO[bytes]
    stderr: IO[bytes]
    pidfd: int
    server: socket.socket
    peak_mib: int = 0
    _status: int | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def wait(self, timeout: float | None = None) -> int:
        """Waits until the process has ended, and gives its status as `subprocess` counts it: -9 for SIGKILL.

        Raises:
            subprocess.TimeoutExpired: it is still running.
        """
        with self._lock:
            if self._status is None:
                poll = select.poll()
                poll.register(self.pidfd, select.POLLIN)
                if not poll.poll(None if timeout is None else 1000 * timeout):
                    assert timeout is not None
                    raise subprocess.TimeoutExpired("the process of a node", timeout)
                self._status = self._told()
            return self._status

    def _told(self) -> int:
        self.server.settimeout(STATUS_S)
        record: dict[str, int] = {}
        with contextlib.suppress(OSError, ValueError), self.server:
            record = json.loads(self.server.recv(MOST_BYTES))
        os.close(self.pidfd)
        self.peak_mib = record.get("peak_kib", 0) // 1024
        return record.get("status", -signal.SIGKILL)  # the kernel kills the children of a server that has ended


def fork(
    environment: Mapping[str, str], *, name: str, group: int, inherit: Sequence[int], likeness: str | None
) -> Forked:
    """Gives a process that runs `node_process.main`.

    Args:
        environment: all its variables.
        name: of the node, for the list of processes.
        group: the process group it is to live in; of this session.
        inherit: descriptors it is to have, under the same numbers.
        likeness: as in `Request`.

    Raises:
        NotForked: it must be started some other way.
    """
    if not (hasattr(os, "pidfd_open") and hasattr(os, "memfd_create")):
        raise NotForked(f"{sys.platform} has no pidfd or no memfd")
    if not env.fork_server(environment):
        raise NotForked("it is not wanted here")
    request = Request(name, group, likeness, dict(environment), [0, 1, 2, *inherit])
    server = _server(environment)
    (stdin, to_stdin), (from_stdout, stdout), (from_stderr, stderr) = (os.pipe() for _ in range(3))
    ours, theirs = (to_stdin, from_stdout, from_stderr), (stdin, stdout, stderr)
    try:
        pid, pidfd = _ask(server, request, [*theirs, *inherit])
    except BaseException as error:
        server.close()
        for descriptor in ours:
            os.close(descriptor)
        if isinstance(error, (OSError, ValueError)):
            raise NotForked(f"{type(error).__name__}: {error}") from error
        raise
    finally:
        for descriptor in theirs:
            os.close(descriptor)
    return Forked(
        pid, os.fdopen(to_stdin, "wb"), os.fdopen(from_stdout, "rb"), os.fdopen(from_stderr, "rb"), pidfd, server
    )


def _ask(server: socket.socket, request: Request, descriptors: Sequence[int]) -> tuple[int, int]:
    text = request.write()
    try:
        socket.send_fds(server, [REQUEST], [text, *descriptors])
    finally:
        os.close(text)
    answer, pidfds, _, _ = socket.recv_fds(server, MOST_BYTES, 1)
    record: dict[str, Any] = json.loads(answer)
    if "error" in record:
        raise NotForked(record["error"])
    try:
        server.send(GO)
    except OSError:
        os.close(pidfds[0])
        raise
    return record["pid"], pidfds[0]


def _server(environment: Mapping[str, str]) -> socket.socket:
    """Gives a connection to the server for such an environment.

    Raises:
        NotForked: there is none, and none can be started.
    """
    owner = os.getppid()
    for _ in range(2):
        try:
            address = _address(owner, environment)
            server = _connected(address)
            if server is None and (listener := _bound(address)) is not None:
                with listener:
                    server = _connected(address)
                    _start(listener, owner, environment)
        except OSError as error:
            raise NotForked(f"{type(error).__name__}: {error}") from error
        if server is not None:
            return server
    raise NotForked("another process starts the server, and has not begun to listen")


def _connected(address: str) -> socket.socket | None:
    server = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        server.settimeout(ANSWER_S)
        server.connect(address)
        if user_of(server) != os.getuid():
            raise PermissionError("another user's process has the name of the server")
    except ConnectionRefusedError:
        server.close()
        return None
    except BaseException:
        server.close()
        raise
    return server


def _bound(address: str) -> socket.socket | None:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError:  # another task of this executor was first
        listener.close()
        return None
    return listener


def _start(listener: socket.socket, owner: int, environment: Mapping[str, str]) -> None:
    """Starts the server, which prints nothing: it would hold the pipes of this task open. It answers what is wrong."""
    number = str(listener.fileno())
    # Nobody waits for it: whoever starts Spark's Python workers outlives the one we are.
    _STARTED.append(
        subprocess.Popen(
            [sys.executable, "-m", "tfspark_cnn.cluster.fork_server", number, str(owner), PADDING],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=_shared(environment),
            pass_fds=(listener.fileno(),),
            process_group=0,
        )
    )


_STARTED: list[subprocess.Popen[bytes]] = []


def _address(owner: int, environment: Mapping[str, str]) -> str:
    started = Path(f"/proc/{owner}/stat").read_text().rpartition(")")[2].split()[19]  # numbers of processes come again
    same = [owner, started, os.getuid(), sys.executable, os.getcwd(), sorted(_shared(environment).items())]
    return f"\0tfspark_cnn-fork-server-{hashlib.sha256(json.dumps(same).encode()).hexdigest()[:32]}"


def _shared(environment: Mapping[str, str]) -> dict[str, str]:
    """Gives the variables that all nodes of a server have in common."""
    return {
        variable: value
        for variable, value in environment.items()
        if variable not in OF_ONE_NODE | SET_BY_IMPORTS and not variable.startswith(OF_ONE_NODE_PREFIXES)
    }
