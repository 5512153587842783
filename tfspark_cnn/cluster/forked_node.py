"""What a process does that was forked to be a node: it becomes what a process of its own would be.

Whether it would have been the same is seen when map_fun imports TensorFlow: had map_fun changed variables before that
TensorFlow reads while it is imported, or where it is found, it must not have been imported already.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import importlib
import os
import random
import signal
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NoReturn

from tfspark_cnn import env
from tfspark_cnn.cluster import whole_imports
from tfspark_cnn.cluster.fork_request import SET_BY_IMPORTS, Request
from tfspark_cnn.cluster.whole_imports import LARGE
from tfspark_cnn.errors import MapFunError

CLEAN = b"c"
"""What a node reports when it imports TensorFlow as the fork server would have."""

READ = (
    "ABSL_", "CUDA_", "GLOG_", "GRPC_", "HDF5_", "KERAS_", "MKL_", "NCCL_", "NVIDIA_", "OMP_", "ONEDNN_", "PANDAS_",
    "PROTOCOL_BUFFERS_", "SCIPY_", "TF_", "TF2_", "TPU_", "XLA_",
)  # fmt: skip
"""How variables begin that TensorFlow, Keras and what these import may read while they are imported."""

READ_LATER = frozenset({"CUDA_VISIBLE_DEVICES", "TF_CONFIG", *SET_BY_IMPORTS})
"""Those that are read when the first operation or strategy is made, or set by other imports."""

_PR_SET_PDEATHSIG = 1
_ARG_START, _ARG_END = 45, 46  # in /proc/PID/stat behind the name, counted from 0


def run(
    request: Request, descriptors: Sequence[int], main: Callable[[], int], *, parent: int, report: int | None
) -> NoReturn:
    """Runs `main` as the process that was asked for, and ends with its status.

    Args:
        request: what was asked for.
        descriptors: in the order of its targets.
        main: gives the exit status.
        parent: the process that this was forked from.
        report: a descriptor to write `CLEAN` to; None: TensorFlow is imported in this process.
    """
    status = 1
    try:
        if report is not None:
            report = _moved(report, above=max(*request.targets, *descriptors, report))
        _place(descriptors, request.targets)
        end_with(parent)
        _rename(f"python -m tfspark_cnn.cluster.node_process {request.name}")
        _begin(request.environment)
        if report is None:
            whole_imports.hide()
        then = _refuse if report is None else partial(_report, report)
        whole_imports.before_the_first(_changes(request.environment, then))
        status = main()
    except KeyboardInterrupt:  # as the interpreter does, here and below
        traceback.print_exc()
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
    except BaseException:
        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError):
                stream.flush()
        os._exit(status)


def end_with(parent: int) -> None:
    """Has the kernel kill this process when its parent ends, or has ended: nobody could say how it ended any more."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)


def _changes(environment: Mapping[str, str], then: Callable[[list[str]], None]) -> Callable[[], None]:
    """Gives a function that calls `then` with what TensorFlow reads that is no longer as it was."""
    path = list(sys.path)

    def look() -> None:
        changed = [name for name in env.changed(environment) if name.startswith(READ) and name not in READ_LATER]
        places = [place for place in sys.path if place not in path]
        changed += [f"sys.path ({place})" for place in places if any(Path(place, one).exists() for one in LARGE)]
        then(changed)

    return look


def _refuse(changed: list[str]) -> None:
    if changed:
        raise MapFunError(
            f"map_fun changed {', '.join(changed)} before it imported TensorFlow, which it had not done before on this"
            " executor; TensorFlow was imported already",
            hint="pass such variables as node_env={...}, or node_env={'TFSPARK_CNN_FORK_SERVER': 'off'}",
        )


def _report(descriptor: int, changed: list[str]) -> None:
    with contextlib.suppress(OSError):  # the server has ended, and this process ends, too
        if not changed:
            os.write(descriptor, CLEAN)
        os.close(descriptor)


def _place(descriptors: Sequence[int], targets: Sequence[int]) -> None:
    """Gives descriptors the numbers they are to have. First out of each other's way: one may have another's target."""
    above = max(*targets, *descriptors)
    moved = [_moved(descriptor, above=above) for descriptor in descriptors]
    for descriptor, target in zip(moved, targets, strict=True):
        os.dup2(descriptor, target)
        os.close(descriptor)


def _moved(descriptor: int, *, above: int) -> int:
    moved = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, above + 1)
    os.close(descriptor)
    return moved


def _rename(line: str) -> None:
    """Shows another command line in the list of processes, where the kernel lets us write over ours.

    A last byte that is not zero tells the kernel that the line ends at its first zero.
    """
    with contextlib.suppress(OSError, ValueError, IndexError):
        fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
        start, end = (int(fields[number]) for number in (_ARG_START, _ARG_END))
        with open("/proc/self/mem", "r+b", buffering=0) as memory:
            memory.seek(start)
            memory.write(line.encode()[: end - start - 2].ljust(end - start - 1, b"\0") + b".")


def _begin(environment: Mapping[str, str]) -> None:
    """Gives this copy of the server variables, chances and a look at files of its own."""
    env.replace(environment)
    random.seed()
    if numpy := sys.modules.get("numpy"):
        numpy.random.seed()
    importlib.invalidate_caches()
    signal.signal(signal.SIGINT, signal.default_int_handler)
