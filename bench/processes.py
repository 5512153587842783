"""The peak memory of the processes of a Spark application, by what they are.

Reads `/proc`, so this is for Linux (https://man7.org/linux/man-pages/man5/proc_pid_status.5.html).
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from tfspark_cnn.cluster import fork_server

SAMPLE_S = 0.05
RESET_PEAK = "5"
"""What, written to `/proc/PID/clear_refs`, sets VmHWM to what the process holds now."""

DRIVER, DRIVER_JVM, EXECUTOR_JVM, FEEDER, NODE = (
    "the driver",
    "the driver's JVM",
    "an executor's JVM",
    "a feeder",
    "a node",
)

MARKS = {
    "org.apache.spark.deploy.SparkSubmit": DRIVER_JVM,
    "CoarseGrainedExecutorBackend": EXECUTOR_JVM,
    "tfspark_cnn.cluster.node_process": NODE,
    "pyspark.daemon": FEEDER,
}


def kind(command: str) -> str | None:
    """Tells from its command line what a process below the driver is; None: something else.

    Example:
        >>> kind("python -m pyspark.daemon pyspark.worker")
        'a feeder'
    """
    return next((name for mark, name in MARKS.items() if mark in command), None)


class Peaks:
    """The largest MiB that any process of each kind has held: all of its memory, of nodes the anonymous part.

    What a node keeps on disk is mapped into its memory, where the kernel counts it as long as nothing else needs the
    room; it can be dropped at any time, so it is left out. The kernel remembers the peak of the rest, so what happens
    between two samples counts; of the anonymous part it does not, and the largest sample is taken.
    """

    def __init__(self) -> None:
        self.mib: dict[str, float] = {}
        self._me = psutil.Process()

    def reset(self) -> None:
        """Forgets the peaks of all processes that there are."""
        self.mib.clear()
        for pid, _ in self._processes():
            with contextlib.suppress(OSError):  # it has just ended
                Path(f"/proc/{pid}/clear_refs").write_text(RESET_PEAK)

    def sample(self) -> None:
        """Looks at all processes."""
        for pid, name in self._processes():
            with contextlib.suppress(OSError, KeyError):  # it has just ended
                field = "RssAnon" if name == NODE else "VmHWM"
                self.mib[name] = max(self.mib.get(name, 0.0), status_kib(pid)[field] / 1024)

    def _processes(self) -> Iterator[tuple[int, str]]:
        yield self._me.pid, DRIVER
        below = {process.pid: process for process in self._me.children(recursive=True)}
        for server in list(fork_servers(owners=set(below))):
            with contextlib.suppress(psutil.Error):
                below |= {process.pid: process for process in server.children(recursive=True)}
        for process in below.values():
            name = None
            with contextlib.suppress(psutil.Error):  # it has just ended
                name = kind(" ".join(process.cmdline()))  # each time: a child has its parent's until it runs a program
            if name is not None:
                yield process.pid, name


def fork_servers(*, owners: Collection[int]) -> Iterator[psutil.Process]:
    """Gives the fork servers of such processes; they are not below them: whoever started one may have ended."""
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            line = process.cmdline()
            if fork_server.__name__ in line and int(line[line.index(fork_server.__name__) + 2]) in owners:
                yield process


def status_kib(pid: int) -> dict[str, int]:
    """Gives the sizes in `/proc/PID/status`, in KiB."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    fields = (line.split() for line in lines)
    return {field[0].rstrip(":"): int(field[1]) for field in fields if len(field) == 3 and field[2] == "kB"}


@contextmanager
def watched() -> Iterator[Peaks]:
    """Samples in the background while the block runs."""
    peaks, ended = Peaks(), threading.Event()
    peaks.reset()

    def watch() -> None:
        while not ended.wait(SAMPLE_S):
            peaks.sample()

    thread = threading.Thread(target=watch, name="bench-peaks", daemon=True)
    thread.start()
    try:
        yield peaks
    finally:
        ended.set()
        thread.join()
        peaks.sample()
