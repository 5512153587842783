"""A process of an executor from which the processes of its nodes are forked, so that each has its imports already.

    python -m tfspark_cnn.cluster.fork_server LISTENER OWNER

A node's process imports for 1.7 s of CPU before map_fun does anything of its own. The server has imported this
package. A second process, forked from it once its first nodes have ended, has TensorFlow, too: the warm one. From that
come nodes whose map_fun has been seen to import TensorFlow on this executor before, with nothing changed that
TensorFlow reads.

Neither ever has a thread of Python's or of TensorFlow's; those of OpenBLAS and jemalloc, which NumPy and Arrow start,
know how to be forked. Both belong to the executor, as Spark's Python workers do: they end with the process `OWNER`,
which starts these, and when no node was asked for or alive for `IDLE_S`. Nodes end with them. `forked` asks them.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import selectors
import signal
import socket
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

from tfspark_cnn import env
from tfspark_cnn.cluster import forked_node, whole_imports
from tfspark_cnn.cluster.fork_request import GO, MOST_DESCRIPTORS, REQUEST, Request, user_of

IDLE_S = 300.0
"""So long the server stays when nothing asks for it."""

READY, ENDED = b"r", b"e"
"""What the warm process says when it begins to serve, and of each node of its that has ended."""

Main = Callable[[], int]


@dataclass(frozen=True)
class _Child:
    pid: int
    asked_by: socket.socket


@dataclass
class _Children:
    """The nodes of a process: forks them, and tells who asked how they ended.

    Attributes:
        main: what a forked process runs; gives its exit status.
        events: where their ends are seen.
        let_go: closes, in a child, what else is the server's.
        ended: called after the end of one.
    """

    main: Main
    events: selectors.BaseSelector
    let_go: Callable[[], None]
    ended: Callable[[], None]
    alive: dict[int, _Child] = field(default_factory=dict)
    told: set[socket.socket] = field(default_factory=set)

    def fork(self, client: socket.socket, request: Request, given: Sequence[int], *, report: int | None) -> None:
        """Forks a node for whoever is at the other end of `client`.

        Raises:
            OSError: it could not be; nothing of it is left.
        """
        server, pid = os.getpid(), _forked()
        if not pid:
            self.forget()
            with client:
                if client.recv(len(GO)) != GO:  # they did without us
                    os._exit(0)
            forked_node.run(request, given, self.main, parent=server, report=report)
        pidfd = os.pidfd_open(pid)
        try:
            os.setpgid(pid, request.group)
            socket.send_fds(client, [_text(pid=pid)], [pidfd])
        except OSError:
            os.close(pidfd)
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            raise
        self.alive[pidfd] = _Child(pid, client)
        self.events.register(pidfd, selectors.EVENT_READ, self._bury)

    def _bury(self, pidfd: int) -> None:
        self.events.unregister(pidfd)
        os.close(pidfd)
        child = self.alive.pop(pidfd)
        _, status, used = os.wait4(child.pid, 0)
        _say(child.asked_by, _text(status=os.waitstatus_to_exitcode(status), peak_kib=used.ru_maxrss))
        self.told.add(child.asked_by)
        self.events.register(child.asked_by, selectors.EVENT_READ, self._part)
        self.ended()

    def _part(self, client: socket.socket) -> None:
        """Closes a line whose other end is closed. Before, what is not read of it would be read as an error there."""
        with contextlib.suppress(OSError):
            if client.recv(len(GO)):  # which the child did not live to read
                return
        self.events.unregister(client)
        self.told.remove(client)
        client.close()

    def forget(self) -> None:
        """Closes, in a process that was forked, all that is the server's."""
        self.events.close()
        for pidfd, child in self.alive.items():
            os.close(pidfd)
            child.asked_by.close()
        for client in self.told:
            client.close()
        self.let_go()


class ForkServer:
    """Forks on request, or has the warm process do so, which it starts when no node of its own is alive.

    Args:
        listener: where requests arrive.
        owner: a descriptor of the process whose end is the server's.
        main: what a forked process runs; gives its exit status.
    """

    def __init__(self, listener: socket.socket, owner: int, main: Main) -> None:
        self._listener, self._owner, self._main = listener, owner, main
        self._events = selectors.DefaultSelector()
        self._events.register(listener, selectors.EVENT_READ, self._accept)
        self._events.register(owner, selectors.EVENT_READ, None)
        self._children = _Children(main, self._events, self._let_go, ended=lambda: None)
        self._clients: set[socket.socket] = set()
        self._reports: dict[int, str | None] = {}
        self._alike: set[str] = set()
        self._warm: socket.socket | None = None
        self._warm_pid = self._warm_nodes = 0
        self._may_warm, self._ready, self._gave_way = True, False, False

    def serve(self) -> None:
        """Serves until the owner has ended, or nobody asks any more."""
        while True:
            ready = self._events.select(self._patience_s())
            if any(key.data is None for key, _ in ready):
                return
            for key, _ in ready:
                key.data(key.fileobj)
            if not ready:
                if not self._wants_warm():
                    return
                self._start_warm()

    def _patience_s(self) -> float | None:
        if self._children.alive or self._warm_nodes or self._clients:
            return None
        return 0.0 if self._wants_warm() else IDLE_S

    def _wants_warm(self) -> bool:
        return bool(self._alike) and self._may_warm and self._warm is None

    def _accept(self, listener: socket.socket) -> None:
        client, _ = listener.accept()
        if user_of(client) != os.getuid():
            client.close()
            return
        self._clients.add(client)
        self._events.register(client, selectors.EVENT_READ, self._take)

    def _take(self, client: socket.socket) -> None:
        self._events.unregister(client)
        self._clients.remove(client)
        with _received(client) as (word, descriptors):
            if word != REQUEST:  # whoever asked has ended
                client.close()
                return
            self._give_way()
            with _told(client):
                request = Request.read(descriptors[0])
                if not self._handed_over(request, client, descriptors):
                    os.close(descriptors.pop(0))
                    self._fork(request, client, descriptors)

    def _fork(self, request: Request, client: socket.socket, given: Sequence[int]) -> None:
        report, tells = os.pipe()
        self._reports[report] = request.likeness
        self._events.register(report, selectors.EVENT_READ, self._hear)
        try:
            self._children.fork(client, request, given, report=tells)
        finally:
            os.close(tells)

    def _hear(self, report: int) -> None:
        """Learns that a map_fun imports TensorFlow alike; or that it has not, and the process has ended."""
        likeness = self._reports.pop(report)
        if os.read(report, len(forked_node.CLEAN)) and likeness:
            self._alike.add(likeness)
        self._events.unregister(report)
        os.close(report)

    def _give_way(self) -> None:
        """Ends an import that is not ready for a node that comes: it would wait for it, or be slowed down by it.

        Once: where clusters come one right after another, nothing would ever be ready.
        """
        if self._warm is None or self._ready or self._gave_way:
            return
        self._gave_way = self._may_warm = True
        os.kill(self._warm_pid, signal.SIGKILL)
        self._bury_warm(self._warm)

    def _handed_over(self, request: Request, client: socket.socket, descriptors: Sequence[int]) -> bool:
        if self._warm is None or request.likeness not in self._alike:
            return False
        try:
            socket.send_fds(self._warm, [REQUEST], [client.fileno(), *descriptors])
        except OSError:  # it has ended, and its end is about to be seen
            return False
        self._warm_nodes += 1
        client.close()
        return True

    def _start_warm(self) -> None:
        ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        server, self._warm_pid = os.getpid(), _forked()
        if not self._warm_pid:
            ours.close()
            self._children.forget()
            _be_warm(its, self._main, parent=server)
        its.close()
        self._warm, self._ready = ours, False
        self._may_warm = False  # another one may come once this one got so far as to serve
        self._events.register(ours, selectors.EVENT_READ, self._hear_warm)

    def _hear_warm(self, warm: socket.socket) -> None:
        if warm is not self._warm:  # it gave way since this was seen
            return
        word = warm.recv(len(ENDED))
        if word == READY:
            self._may_warm = self._ready = True
        elif word == ENDED:
            self._warm_nodes -= 1
        else:  # it has ended, and its nodes with it
            self._bury_warm(warm)

    def _bury_warm(self, warm: socket.socket) -> None:
        self._events.unregister(warm)
        warm.close()
        os.waitpid(self._warm_pid, 0)
        self._warm, self._warm_nodes = None, 0

    def _let_go(self) -> None:
        self._listener.close()
        os.close(self._owner)
        for client in self._clients:
            client.close()
        for report in self._reports:
            os.close(report)
        if self._warm is not None:
            self._warm.close()


class WarmServer:
    """Forks with TensorFlow imported what a `ForkServer` hands over.

    Args:
        server: the line to it.
        main: what a forked process runs; gives its exit status.
    """

    def __init__(self, server: socket.socket, main: Main) -> None:
        self._server = server
        self._events = selectors.DefaultSelector()
        self._events.register(server, selectors.EVENT_READ, self._take)
        self._children = _Children(main, self._events, server.close, ended=lambda: _say(server, ENDED))

    def serve(self) -> NoReturn:
        """Serves until the other server ends this process."""
        _say(self._server, READY)
        while True:
            for key, _ in self._events.select():
                key.data(key.fileobj)

    def _take(self, server: socket.socket) -> None:
        with _received(server) as (word, descriptors):
            if word != REQUEST:
                os._exit(0)
            client = socket.socket(fileno=descriptors.pop(0))
            before = len(self._children.alive)
            with _told(client):
                request = Request.read(descriptors[0])
                os.close(descriptors.pop(0))
                self._children.fork(client, request, descriptors, report=None)
            if len(self._children.alive) == before:
                _say(server, ENDED)


def _be_warm(server: socket.socket, main: Main, *, parent: int) -> NoReturn:
    try:
        forked_node.end_with(parent)
        env.use_gpus(())  # nodes with GPUs are not forked from here
        whole_imports.install()
        importlib.import_module("tensorflow")
        WarmServer(server, main).serve()
    finally:
        os._exit(1)  # nodes begin as if there were no such process


def _forked() -> int:
    gc.freeze()  # what is there stays, and is not copied for being looked at
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 warns of any thread, also of OpenBLAS
        return os.fork()


@contextlib.contextmanager
def _received(peer: socket.socket) -> Iterator[tuple[bytes, list[int]]]:
    """Gives what arrives, and the descriptors with it; closes those that are not taken out."""
    word, left = b"", list[int]()
    with contextlib.suppress(OSError):
        word, left, _, _ = socket.recv_fds(peer, len(REQUEST), MOST_DESCRIPTORS)
    try:
        yield word, left
    finally:
        for descriptor in left:
            os.close(descriptor)


@contextlib.contextmanager
def _told(client: socket.socket) -> Iterator[None]:
    """Answers with what goes wrong in the block."""
    try:
        yield
    except (OSError, ValueError, TypeError, LookupError) as error:
        _say(client, _text(error=f"{type(error).__name__}: {error}"))
        client.close()


def _text(**record: Any) -> bytes:
    return json.dumps(record).encode()


def _say(peer: socket.socket, word: bytes) -> None:
    with contextlib.suppress(OSError):  # whoever asked may have ended
        peer.send(word)


def main(arguments: Sequence[str]) -> int:
    """Serves with the descriptor and the process that the command line names."""
    listener = socket.socket(fileno=int(arguments[0]))
    try:
        owner = os.pidfd_open(int(arguments[1]))
    except ProcessLookupError:
        return 0
    from tfspark_cnn.cluster import node_process

    ForkServer(listener, owner, node_process.main).serve()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
