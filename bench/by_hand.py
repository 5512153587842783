"""Two workers started by hand: TF_CONFIG, no Spark, none of this package's strategy, `fit` or feed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import IO, Any

from bench.fit_network import Speed
from bench.spark import NODES, ROOT
from tfspark_cnn.cluster.ports import hold


@dataclass(frozen=True)
class Pair:
    """The running processes.

    Attributes:
        processes: of `fit_by_hand`.
        log: what they write to stderr.
        steps: of an epoch, on each of them.
    """

    processes: tuple[subprocess.Popen[str], ...]
    log: IO[bytes]
    steps: int

    def fit(self, epochs: int) -> Speed:
        """Has both train, and gives the speed of the slower one."""
        return Speed(self.steps, max((tuple(each) for each in self.tell(epochs)), key=sum))

    def tell(self, what: Any) -> list[Any]:
        """Tells both the same, and gives their answers."""
        for process in self.processes:
            assert process.stdin is not None
            process.stdin.write(json.dumps(what) + "\n")
            process.stdin.flush()
        return [self._answer(process) for process in self.processes]

    def _answer(self, process: subprocess.Popen[str]) -> Any:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            self.log.seek(0)
            raise RuntimeError(f"a worker started by hand ended:\n{self.log.read().decode(errors='replace')[-4000:]}")
        return json.loads(line)


@contextmanager
def by_hand(count: int) -> Iterator[Pair]:
    """Starts the processes, which train on `count` rows together, and ends them."""
    with ExitStack() as stack:
        log = stack.enter_context(tempfile.TemporaryFile())
        ports = [hold() for _ in range(NODES)]
        addresses = [f"127.0.0.1:{port.number}" for port in ports]
        started = tuple(_start(addresses, index, log) for index in range(NODES))
        for process in started:
            stack.callback(_end, process)
        steps = Pair(started, log, 0).tell(count)  # answered when all of them are there
        for port in ports:
            port.release()
        yield Pair(started, log, steps[0])


def _start(addresses: list[str], index: int, log: IO[bytes]) -> subprocess.Popen[str]:
    config = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}
    environment = {
        **os.environ,
        "TF_CONFIG": json.dumps(config),
        "TF_GRPC_REUSE_PORT": "true",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "CUDA_VISIBLE_DEVICES": "",
    }
    return subprocess.Popen(
        [sys.executable, "-m", "bench.fit_by_hand"],
        cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True,
    )  # fmt: skip


def _end(process: subprocess.Popen[str]) -> None:
    process.kill()  # a worker that leaves first makes the other wait for it
    process.wait()
    for end in (process.stdin, process.stdout):
        if end is not None:
            end.close()
