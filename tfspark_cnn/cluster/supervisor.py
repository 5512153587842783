"""Starts a node's process, relays what it prints, and tells how it ended. Nothing of its group outlives it.

A node lives in a process group that is led by its leash: a shell that does nothing but read from a pipe whose other end
we hold. When we end, however we end, the kernel closes the pipe, the read returns, and the leash kills the group. That
works where Python could not: after SIGKILL of the Spark worker, and with the node stuck in native code.
"""

from __future__ import annotations

import collections
import contextlib
import logging
import os
import pickle
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from tfspark_cnn import env
from tfspark_cnn.cluster import forked
from tfspark_cnn.cluster.forked import Forked, NotForked
from tfspark_cnn.log import node_prefix

log = logging.getLogger(__name__)

EXIT_ABORTED = 75
"""Exit status of a node that ended because it was told to, or because the coordinator is gone (EX_TEMPFAIL)."""

TAIL_LINES = 40
"""Lines of stderr that travel in an error."""

OUTPUT_GRACE_S = 1.0
"""Given to what a process has written to be read, once the process and its group are gone."""

LEAVE_GRACE_S = 10.0
"""Given to a process whose result is known to run its own clean-up before it is killed."""

_LEASH = ("/bin/sh", "-c", "read -r _; kill -9 0")


@dataclass(frozen=True)
class Command:
    """What to start: the arguments, what it reads from stdin, its environment changes, descriptors it inherits.

    With `may_fork` the arguments are those of `node_process`, and the executor's fork server may stand in for them;
    `likeness` is what it knows this map_fun by, see `fork_request`.
    """

    argv: Sequence[str]
    stdin: bytes
    environment: Mapping[str, str | None]
    inherit: Sequence[int] = ()
    may_fork: bool = False
    likeness: str | None = None


@dataclass
class Outcome:
    """How a node's process ended.

    Attributes:
        exit_code: as a shell counts it: 128 + number for a signal.
        signal: its name, or None.
        record: what the process wrote to its result pipe, or None if it ended before.
        stderr_tail: its last lines.
        oom_kills: processes the kernel killed for want of memory on this host meanwhile.
        peak_mib: the largest resident size of any child of this process so far, in MiB.
    """

    exit_code: int
    signal: str | None
    record: Any
    stderr_tail: list[str]
    oom_kills: int
    peak_mib: int


@dataclass
class NodeProcess:
    """A running node process; made by `start`."""

    process: subprocess.Popen[bytes] | Forked
    leash: subprocess.Popen[bytes]
    results: IO[bytes]
    prefix: str
    oom_before: int
    tail: collections.deque[str] = field(default_factory=lambda: collections.deque(maxlen=TAIL_LINES))
    threads: list[threading.Thread] = field(default_factory=list)
    record: bytes = b""
    ended: bool = False

    def wait(self, *, timeout_s: float | None = None) -> Outcome:
        """Waits until the process has ended, and ends what it left behind.

        Raises:
            subprocess.TimeoutExpired: it is still running.
        """
        status = self.process.wait(timeout_s)
        self.end()
        number = -status if status < 0 else 0
        return Outcome(
            exit_code=128 + number if number else status,
            signal=_signal_name(number) if number else None,
            record=_unpickled(self.record),
            stderr_tail=list(self.tail),
            oom_kills=oom_kills() - self.oom_before,
            peak_mib=self.process.peak_mib if isinstance(self.process, Forked) else peak_mib(),
        )

    def end(self) -> None:
        """Kills whatever of the process group is left, and waits until its output is read. May be called again."""
        if self.ended:  # the number of the group may be another's by now
            return
        self.ended = True
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.leash.pid, signal.SIGKILL)
        self.process.wait()
        self.leash.wait()
        if self.leash.stdin:
            self.leash.stdin.close()
        for thread in self.threads:
            thread.join(OUTPUT_GRACE_S)  # a daemon that left the group may hold our pipes open


def start(command: Command, *, role: str, index: int) -> NodeProcess:
    """Starts the process of a node.

    The process finds in `TFSPARK_CNN_RESULT_FD` the descriptor to write its pickled outcome to.

    Args:
        command: what to run.
        role: stands with `index` in front of each line that the process prints.
        index: of the node within its role.
    """
    leash = subprocess.Popen(_LEASH, stdin=subprocess.PIPE, process_group=0)
    read_fd, write_fd = os.pipe()
    try:
        process = _process(command, name=f"{role}:{index}", group=leash.pid, result_fd=write_fd)
    except BaseException:
        os.close(read_fd)
        leash.kill()
        leash.communicate()  # waits, and closes the pipe
        raise
    finally:
        os.close(write_fd)
    node = NodeProcess(process, leash, os.fdopen(read_fd, "rb"), node_prefix(role, index), oom_kills())
    _start_threads(node, command.stdin)
    return node


def _process(command: Command, *, name: str, group: int, result_fd: int) -> subprocess.Popen[bytes] | Forked:
    environment = env.child_environment({**command.environment, "TFSPARK_CNN_RESULT_FD": str(result_fd)})
    inherit = (*command.inherit, result_fd)
    if command.may_fork:
        try:
            return forked.fork(environment, name=name, group=group, inherit=inherit, likeness=command.likeness)
        except NotForked as error:
            log.info("starting %s without the fork server: %s", name, error)
    return subprocess.Popen(
        command.argv,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
        pass_fds=inherit,
        process_group=group,
    )


@contextlib.contextmanager
def running(command: Command, *, role: str, index: int) -> Iterator[NodeProcess]:
    """As `start`; leaving the block ends the process and all it started."""
    node = start(command, role=role, index=index)
    try:
        yield node
    finally:
        node.end()


def _start_threads(node: NodeProcess, stdin: bytes) -> None:
    process = node.process
    assert process.stdin and process.stdout and process.stderr
    targets = [
        threading.Thread(target=_write, args=(process.stdin, stdin), daemon=True),
        threading.Thread(target=_pump, args=(process.stdout, node.prefix, None), daemon=True),
        threading.Thread(target=_pump, args=(process.stderr, node.prefix, node.tail), daemon=True),
        threading.Thread(target=_read_record, args=(node,), daemon=True),
    ]
    node.threads.extend(targets)
    for thread in targets:
        thread.start()


def _write(stream: IO[bytes], data: bytes) -> None:
    with contextlib.suppress(BrokenPipeError), stream:
        stream.write(data)


def _pump(stream: IO[bytes], prefix: str, tail: collections.deque[str] | None) -> None:
    """Copies lines to our stderr, the executor's log, whole: lines of several nodes may interleave, letters may not."""
    with stream:
        for raw in stream:
            line = raw.decode(errors="replace").rstrip("\n")
            if tail is not None:
                tail.append(line)
            sys.stderr.write(f"{prefix}{line}\n")
            sys.stderr.flush()


def _read_record(node: NodeProcess) -> None:
    with node.results as stream:
        node.record = stream.read()


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # a real-time signal has no name
        return f"SIGRTMIN+{number - signal.SIGRTMIN}"


def _unpickled(record: bytes) -> Any:
    # Written by our own child on a pipe only it has, and cut short if it died while writing.
    try:
        return pickle.loads(record) if record else None  # noqa: S301
    except (pickle.UnpicklingError, EOFError):
        return None


def oom_kills() -> int:
    """Gives how many processes the kernel of this host has killed for want of memory since it started (0: unknown)."""
    try:
        found = re.search(r"^oom_kill (\d+)$", Path("/proc/vmstat").read_text(), re.MULTILINE)
    except OSError:
        return 0
    return int(found.group(1)) if found else 0


def peak_mib() -> int:
    """Gives the largest resident size that a child of this process has had, in MiB."""
    import resource

    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return peak // (1 << 20) if sys.platform == "darwin" else peak // 1024
