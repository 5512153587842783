"""Runs a program of a user in a process of its own: one that needs its own Spark, dies, or is interrupted."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

from conftest import spark_environment

HEAD = """
import sys, map_funs
from pyspark.sql import SparkSession
from tfspark_cnn import InputMode, TFCluster, errors

def session(master, **conf):
    builder = SparkSession.builder.master(master).config("spark.ui.enabled", "false")
    builder = builder.config("spark.ui.showConsoleProgress", "false").config("spark.driver.host", "127.0.0.1")
    for key, value in conf.items():
        builder = builder.config(key.replace("__", "."), value)
    spark = builder.getOrCreate()
    spark.sparkContext.setLogLevel("OFF")
    return spark
"""


def start(folder: Path, body: str, **variables: str) -> subprocess.Popen[str]:
    """Starts a program in its own process group; its output is piped."""
    program = folder / "program.py"
    program.write_text(HEAD + textwrap.dedent(body))
    return subprocess.Popen(
        [sys.executable, str(program)],
        env={**os.environ, **spark_environment(), **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=folder,
        start_new_session=True,
    )


def run(folder: Path, body: str, *, timeout_s: float = 100, **variables: str) -> str:
    """Runs a program to its end and gives what it printed; it must end well."""
    process = start(folder, body, **variables)
    try:
        out, err = process.communicate(timeout=timeout_s)
    finally:
        end(process)
    assert process.returncode == 0, f"exit {process.returncode}\n{out[-3000:]}\n{err[-6000:]}"
    return out


def end(process: subprocess.Popen[str]) -> None:
    """Kills what is left of a program's group."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    for stream in (process.stdout, process.stderr):
        if stream:
            stream.close()


def line_of(process: subprocess.Popen[str], word: str) -> str:
    """Reads the program's output up to the line that starts with a word."""
    assert process.stdout
    for line in process.stdout:
        if line.startswith(word):
            return line.strip()
    raise AssertionError(f"the program ended before it printed {word!r}: {process.stderr.read()[-4000:]}")
