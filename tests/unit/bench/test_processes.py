from __future__ import annotations

import os
import subprocess
import sys
from contextlib import contextmanager

import pytest

from bench import processes
from bench.processes import DRIVER, DRIVER_JVM, EXECUTOR_JVM, FEEDER, NODE, Peaks, kind, status_kib

HOG = "import sys; kept = bytearray(b'x' * (96 << 20)); del kept; print('gone', flush=True); sys.stdin.read()"

READER = """
import mmap, sys
with open(sys.argv[1]) as file:
    mapped = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
sum(mapped[i] for i in range(0, len(mapped), 4096))
print("read", flush=True)
sys.stdin.read()
"""

TURNCOAT = """
import os, sys
print("up", flush=True)
sys.stdin.readline()
code = "import sys; print('another', flush=True); sys.stdin.read()"
os.execv(sys.executable, [sys.executable, "-c", code, "test-" + "feeder"])
"""


@pytest.fixture
def own_marks(monkeypatch):
    """Names that no process has but those of these tests: Spark's own may run below pytest."""
    monkeypatch.setattr(processes, "MARKS", {"test-feeder": FEEDER, "test-node": NODE})


@contextmanager
def running(code: str, *arguments: str):
    """A process below this one, once it has said that it is ready."""
    with subprocess.Popen(
        [sys.executable, "-c", code, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process
        process.communicate()


@pytest.mark.parametrize(
    ("command", "name"),
    [
        ("java -cp ... org.apache.spark.deploy.SparkSubmit pyspark-shell", DRIVER_JVM),
        ("java ... org.apache.spark.executor.CoarseGrainedExecutorBackend --driver-url", EXECUTOR_JVM),
        ("python -m pyspark.daemon pyspark.worker", FEEDER),
        ("python -m tfspark_cnn.cluster.node_process", NODE),
        ("sh -c read -r _; kill -9 0", None),
    ],
)
def test_processes_are_known_by_their_command_line(command, name):
    assert kind(command) == name


def test_sizes_of_this_process():
    sizes = status_kib(os.getpid())
    assert sizes["VmHWM"] >= sizes["VmRSS"] > 1024
    assert sizes["VmRSS"] >= sizes["RssAnon"] > 0


def test_a_peak_between_two_samples_counts_until_it_is_reset(own_marks):
    with running(HOG, "test-feeder"):
        peaks = Peaks()
        peaks.sample()
        assert peaks.mib[FEEDER] > 96
        peaks.reset()
        peaks.sample()
        assert 1 < peaks.mib[FEEDER] < 96
        assert peaks.mib[DRIVER] > 1


def test_what_a_node_has_mapped_from_a_file_does_not_count(own_marks, tmp_path):
    file = tmp_path / "segment"
    file.write_bytes(b"x" * (96 << 20))
    with running(READER, str(file), "test-node") as process:
        peaks = Peaks()
        peaks.sample()
        assert status_kib(process.pid)["VmRSS"] > 96 << 10
        assert peaks.mib[NODE] < 96


def test_a_child_is_known_by_the_program_it_runs_in_the_end(own_marks):
    with running(TURNCOAT) as process:
        peaks = Peaks()
        peaks.sample()
        assert FEEDER not in peaks.mib
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write("\n")
        process.stdin.flush()
        process.stdout.readline()
        peaks.sample()
        assert peaks.mib[FEEDER] > 1


def test_watching_ends_with_the_block():
    with processes.watched() as peaks, running(HOG, "pyspark.daemon"):
        pass
    assert peaks.mib[DRIVER] > 1
