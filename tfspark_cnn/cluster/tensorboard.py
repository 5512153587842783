"""TensorBoard beside a cluster, or for a finished run: a process that ends with the one that started it."""

from __future__ import annotations

import contextlib
import errno
import itertools
import logging
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import IO

from tfspark_cnn.cluster.tensorboard_options import Address, TensorBoardLink
from tfspark_cnn.errors import ClusterError, TFSparkError

log = logging.getLogger(__name__)

START_S = 60.0
"""It serves after 2 s on an idle machine."""

STOP_S = 5.0
"""It ends within a tenth of a second."""

PORTS = 50
"""So many ports are tried, from the one that was asked for on."""

# It ends when its standard input does, however the process at the other end has ended. Without TensorFlow it is up in
# 1.5 s instead of 4, and takes 80 MB instead of 700: of what nodes write, nothing needs it to be read.
_PROGRAM = """
import os, sys, threading, types
def leash():
    sys.stdin.buffer.read()
    os._exit(0)
threading.Thread(target=leash, daemon=True).start()
sys.modules["tensorboard.compat.notf"] = types.ModuleType("tensorboard.compat.notf")
from tensorboard.main import run_main
run_main()
"""
_SERVES = re.compile(rb"http://\S+?:(\d+)/")
_IN_USE = re.compile(rb"could not bind|already in use", re.IGNORECASE)


class TensorBoard:
    """A TensorBoard that was started, and serves soon.

    Args:
        log_dir: a local folder.
        address: where it is to serve.
        port: the first to try; 0: any free one.
        ended: called with its last words if it ends by itself, from a thread of its own.

    Example:
        >>> with TensorBoard("runs/digits/logs", Address("127.0.0.1", "127.0.0.1")) as board:   # doctest: +SKIP
        ...     print(board.await_url())
    """

    def __init__(
        self, log_dir: str, address: Address, *, port: int = 0, ended: Callable[[str], None] = lambda words: None
    ) -> None:
        self._log_dir, self._address, self._asked, self._ended = log_dir, address, port, ended
        self._ports = _free_ports(address.bind, port)
        self._stopping = False
        self._begin()

    @property
    def url(self) -> TensorBoardLink | None:
        """Where it opens, or None where it does not serve (any more)."""
        port = self._serving.port
        return self._address.url(port) if port and self.alive else None

    @property
    def port(self) -> int:
        """At which it serves; 0 where it does not yet."""
        return self._serving.port

    @property
    def alive(self) -> bool:
        """Whether its process runs."""
        return self._serving.process.poll() is None

    def await_url(self) -> TensorBoardLink:
        """Waits until it serves, and gives where it opens.

        Raises:
            ClusterError: it did not come up, with the last lines it wrote.
        """
        while not self._serving.comes_up():
            words = self._serving.last_words()
            if not _IN_USE.search(words.encode()):
                self.stop()
                raise ClusterError(
                    f"TensorBoard did not come up: {words.splitlines()[-1] if words else 'it said nothing'}\n{words}",
                    hint="is the package tensorboard whole? pip install --force-reinstall tensorboard",
                )
            self._begin()  # somebody was faster
        if self._asked and self._serving.port != self._asked:
            log.warning("port %d is in use: TensorBoard serves at %d", self._asked, self._serving.port)
        return self._address.url(self._serving.port)

    def await_end(self) -> None:
        """Waits until it ends by itself. An interrupt is raised meanwhile."""
        while self.alive:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._serving.process.wait(1.0)

    def stop(self) -> None:
        """Ends it. Harmless if it has ended."""
        self._stopping = True
        self._serving.stop()

    def last_words(self) -> str:
        """Gives the last lines it wrote."""
        return self._serving.last_words()

    def __enter__(self) -> TensorBoard:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _begin(self) -> None:
        self._serving = _Process(self._log_dir, self._address, next(self._ports), self._tell_ended)

    def _tell_ended(self) -> None:
        if not self._stopping:
            self._ended(self.last_words())


class _Process:
    """One try to serve at one port."""

    def __init__(self, log_dir: str, address: Address, port: int, at_end: Callable[[], None]) -> None:
        argv = [sys.executable, "-P", "-c", _PROGRAM, "--logdir", log_dir, "--host", address.bind, "--port", str(port)]
        argv += ["--path_prefix", address.path_prefix] if address.path_prefix else []
        pipe, nowhere = subprocess.PIPE, subprocess.DEVNULL
        # In a session of its own, so that Ctrl-C is for the process that started it, which then ends it in good order.
        self.process = subprocess.Popen(argv, stdin=pipe, stdout=nowhere, stderr=pipe, start_new_session=True)
        assert self.process.stderr
        self.port = 0
        self._told, self._at_end = threading.Event(), at_end
        self._lines: deque[bytes] = deque(maxlen=20)
        self._reader = threading.Thread(
            target=self._read, args=(self.process.stderr,), name="tfspark-tensorboard", daemon=True
        )
        self._reader.start()

    def comes_up(self) -> bool:
        """Waits until it serves, and gives whether it does."""
        if not self._told.wait(START_S):
            self.stop()
        return self.port != 0

    def last_words(self) -> str:
        return b"".join(self._lines).decode(errors="replace").strip()

    def stop(self) -> None:
        self._signal(signal.SIGTERM)
        try:
            self.process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._signal(signal.SIGKILL)
            self.process.wait()
        assert self.process.stdin
        self.process.stdin.close()
        if self._reader is not threading.current_thread():
            self._reader.join()

    def _signal(self, number: int) -> None:
        """Also to its own helper, which reads the files."""
        if self.process.poll() is None:
            with contextlib.suppress(ProcessLookupError):  # the reader has just seen it end
                os.killpg(self.process.pid, number)

    def _read(self, stream: IO[bytes]) -> None:
        with stream:
            for line in stream:
                self._lines.append(line)
                found = _SERVES.search(line)
                if found and not self.port:
                    self.port = int(found.group(1))
                    self._told.set()
        self._told.set()
        self.process.wait()
        if self.port:
            self._at_end()


def _free_ports(host: str, first: int) -> Iterator[int]:
    """Gives the ports to try: those from the first on at which nobody listens now.

    Raises:
        TFSparkError: there is no such port, or no such address.
    """
    if not first:
        yield from itertools.repeat(0, PORTS)  # the system chooses
    for port in range(first, min(first + PORTS, 65536)):
        if _is_free(host, port):
            yield port
    last = min(first + PORTS, 65536) - 1
    raise ClusterError(f"ports {first} to {last} of {host} are all in use", hint="pass another port; 0: any free one")


def _is_free(host: str, port: int) -> bool:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        with socket.socket(found[0], socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(found[4])
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            return False
        raise _unusable(host, port, error) from error
    return True


def _unusable(host: str, port: int, error: OSError) -> TFSparkError:
    if error.errno in (errno.EACCES, errno.EPERM):
        return ClusterError(f"port {port} is not for you: {error.strerror}", hint="pass a port from 1024 on")
    return ClusterError(
        f"cannot listen on {host!r}: {error.strerror or error}",
        hint="pass an address of this host; 0.0.0.0: all of them",
    )
