"""Real TensorFlow workers as local processes, for tests: start, collect what each returns, and always end them.

Example:
    >>> run_workers("keras_fit_scenarios:train", 2, arguments=({"epochs": 1},), timeout_s=60)
    [{'loss': [...]}, {'loss': [...]}]
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import pickle
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tfspark_cnn.cluster import whole_imports

_HERE = Path(__file__).resolve()
_POLL_S = 0.05


class WorkerFailed(AssertionError):
    """A process ended without a result; the message has the end of what it wrote."""


@dataclass(frozen=True)
class _Worker:
    process: subprocess.Popen[bytes]
    result: Path
    output: Path

    def failed(self) -> bool:
        return self.process.poll() is not None and not self.result.exists()

    def tail(self) -> str:
        return self.output.read_text(errors="replace")[-4000:]


def run_workers(
    function: str,
    workers: int,
    *,
    arguments: Sequence[Any] = (),
    timeout_s: float,
    environment: dict[str, str] | None = None,
) -> list[Any]:
    """Calls a function in `workers` new processes that form one TensorFlow cluster, and gives what each returned.

    Args:
        function: `module:name`, the module found from this folder; called as `name(*arguments)`.
        workers: how many; with 0 a single process runs, without TF_CONFIG.
        arguments: picklable.
        timeout_s: for all of it; the processes are killed then.
        environment: further variables, which replace those written here.
    """
    with start_workers(function, workers, arguments=arguments, environment=environment) as started:
        return collect(started, timeout_s=timeout_s)


@contextlib.contextmanager
def start_workers(
    function: str,
    workers: int,
    *,
    arguments: Sequence[Any] = (),
    environment: dict[str, str] | None = None,
) -> Iterator[list[_Worker]]:
    """Starts the processes, and kills their groups at the end of the block whatever happens. See `run_workers`."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        # Held until the end: TensorFlow binds them too (TF_GRPC_REUSE_PORT), and nobody else can in between.
        addresses = [f"127.0.0.1:{stack.enter_context(_held_port()).getsockname()[1]}" for _ in range(workers)]
        started = []
        for index in range(max(1, workers)):
            config = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}
            own = {"TF_CONFIG": json.dumps(config)} if workers else {}
            worker = _start(folder / str(index), function, arguments, {**own, **(environment or {})})
            stack.callback(_kill, worker.process)
            started.append(worker)
        yield started


def collect(workers: Sequence[_Worker], *, timeout_s: float) -> list[Any]:
    """Waits for the results of all, then lets all go; raises `WorkerFailed` as soon as one cannot have any."""
    deadline = time.monotonic() + timeout_s
    while not all(worker.result.exists() for worker in workers):
        late = time.monotonic() > deadline
        for index, worker in enumerate(workers):
            if worker.failed() or (late and not worker.result.exists()):
                raise WorkerFailed(f"worker {index} {'is late' if late else 'failed'}:\n{worker.tail()}")
        time.sleep(_POLL_S)
    # A worker that leaves early breaks the coordination service for the others, so all wait for this.
    results = [pickle.loads(worker.result.read_bytes()) for worker in workers]
    for index, result in enumerate(results):
        if isinstance(result, WorkerFailed):
            raise WorkerFailed(f"worker {index}: {result}")
    return results


@contextlib.contextmanager
def _held_port() -> Iterator[socket.socket]:
    with socket.socket() as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        held.bind(("127.0.0.1", 0))
        yield held


def _start(folder: Path, function: str, arguments: Sequence[Any], environment: dict[str, str]) -> _Worker:
    folder.mkdir()
    (folder / "call").write_bytes(pickle.dumps((function, tuple(arguments))))
    quiet = {"TF_GRPC_REUSE_PORT": "true", "TF_CPP_MIN_LOG_LEVEL": "2", "CUDA_VISIBLE_DEVICES": ""}
    inherited = {name: value for name, value in os.environ.items() if name != "TF_CONFIG"}
    python_path = os.pathsep.join([str(_HERE.parent), str(_HERE.parents[2]), inherited.get("PYTHONPATH", "")])
    with open(folder / "output", "wb") as output:
        process = subprocess.Popen(
            [sys.executable, str(_HERE), str(folder)],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**inherited, **quiet, "PYTHONPATH": python_path, **environment},
            start_new_session=True,
        )
    return _Worker(process, folder / "result", folder / "output")


def _kill(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    if process.stdin:
        process.stdin.close()


def _main(folder: Path) -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    whole_imports.install()  # as a node does
    function, arguments = pickle.loads((folder / "call").read_bytes())
    try:
        module, name = function.split(":")
        result = getattr(importlib.import_module(module), name)(*arguments)
    except BaseException:
        # By its canonical name, as this file runs as __main__ here.
        result = importlib.import_module("tf_processes").WorkerFailed(traceback.format_exc())
    partial = folder / "result.partial"
    partial.write_bytes(pickle.dumps(result))
    partial.rename(folder / "result")
    threading.Event().wait()  # until killed with its group, so that no worker leaves before the others are done


def _end_with_parent() -> None:
    sys.stdin.buffer.read()  # nothing is written to it; it ends when the test process is gone, however that came
    os._exit(1)


if __name__ == "__main__":
    _main(Path(sys.argv[1]))
