"""The ancestor, tensorflowonspark, as a program of its own that is told by JSON lines what to measure next.

Its interpreter is that of `.venv-peer`, and it has a Spark application of its own, with the same executors as ours. Its
nodes do not hold the slots they were started in, and it takes one task at a time on an executor
(`spark.task.cpus=2`): two nodes and two feeders on two executors, as ours.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any

from bench import peer_environment
from bench.spark import ROOT

LEAVE_S = 60.0


@dataclass
class Peer:
    """The running program.

    Attributes:
        process: of it.
        log: what it writes to stderr, and its JVM and nodes with it.
    """

    process: subprocess.Popen[str]
    log: IO[bytes]

    def __call__(self, do: str, **given: Any) -> Any:
        """Has it do something, and gives what it answers.

        Args:
            do: the name of a method of `peer_server.Server`.
            **given: its arguments.
        """
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(json.dumps({"do": do, **given}) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            raise RuntimeError(f"the ancestor's program ended while it had to {do}:\n{self._tail()}")
        return json.loads(answer)

    def _tail(self) -> str:
        self.log.seek(0)
        return self.log.read().decode(errors="replace")[-4000:]


@contextmanager
def peer() -> Iterator[Peer]:
    """Starts the program, making its environment first, and ends it."""
    command = [peer_environment.make(), "-m", "bench.peer_server"]
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True
        )
        try:
            yield Peer(process, log)
        finally:
            assert process.stdin is not None and process.stdout is not None
            process.stdin.close()  # upon which it leaves
            try:
                process.wait(LEAVE_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            process.stdout.close()
