"""A process that writes checkpoints without end is killed at any moment: what it leaves can be read and continued."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tfspark_cnn.checkpoints.archive import decode
from tfspark_cnn.checkpoints.store import CheckpointStore

pytestmark = pytest.mark.beside

ROUNDS = 30
LONGEST_S = 0.03

# Forks a writer for each line it reads, so that the libraries are loaded once and not at every round.
PROGRAM = """
import os, sys, numpy as np
from tfspark_cnn.checkpoints.store import CheckpointStore
from tfspark_cnn.checkpoints.writer import BackgroundWriter

def say(*words):
    os.write(1, (" ".join(map(str, words)) + "\\n").encode())

def write_on(run):
    store = CheckpointStore(sys.argv[1])
    claim = store.claim(run, "127.0.0.1:1")
    found = store.newest(lineage=claim.lineage)
    step = found[0].step if found else 0
    say("begins", os.getpid(), step)
    writer = BackgroundWriter(store, run=run, keep=3, written=lambda entry, meta: say("wrote", entry.step))
    while True:
        step += 1
        writer.submit(step, {"weights": np.full(100_000, step, np.float32)}, {"step": step})

for line in sys.stdin:
    child = os.fork()
    if not child:
        write_on(line.strip())
    os.waitpid(child, 0)
    say("gone")
"""


@pytest.fixture
def program(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", PROGRAM, str(tmp_path / "model")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1) as process:
        yield process
        assert process.stdin is not None
        process.stdin.close()
        process.wait(10)


def killed_once(program: subprocess.Popen[str], run: str) -> tuple[int, int]:
    """Starts a writer and kills it a random time after its first checkpoint: the step it began at, the last it told."""
    assert program.stdin is not None
    assert program.stdout is not None
    program.stdin.write(f"{run}\n")
    word, pid, began = program.stdout.readline().split()
    assert word == "begins"
    word, told = program.stdout.readline().split()
    time.sleep(random.uniform(0, LONGEST_S))
    os.kill(int(pid), signal.SIGKILL)
    while (words := program.stdout.readline().split()) != ["gone"]:
        told = words[1]
    return int(began), int(told)


def test_a_writer_killed_at_any_moment_leaves_only_whole_checkpoints(
    program: subprocess.Popen[str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = CheckpointStore(tmp_path / "model")
    newest, halves = 0, 0
    for number in range(ROUNDS):
        began, told = killed_once(program, f"run-{number}")
        assert began == newest, "continues what the one before left"
        entries = store.entries()
        for entry in entries:
            archive = decode(store.read(entry))
            assert archive.meta == {"step": entry.step}
            np.testing.assert_array_equal(archive.arrays["weights"], np.full(100_000, entry.step, np.float32))
        newest = entries[0].step
        # It may have been killed between the last write and the word of it.
        assert newest in (told, told + 1)
        assert len(entries) <= 4
        halves += any(name.startswith(".part.") for name in os.listdir(tmp_path / "model" / "checkpoints"))
    assert caplog.records == [], "none was skipped"
    assert halves, "no writer was killed while it wrote: the test shows nothing"
    assert store.claim("last", "127.0.0.1:1").lineage == "run-0"
    assert not any(name.startswith(".part.") for name in os.listdir(tmp_path / "model" / "checkpoints"))
    print(f"killed {ROUNDS} writers, {halves} of them while they wrote; {newest} checkpoints")
