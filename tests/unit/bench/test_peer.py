from __future__ import annotations

import subprocess
import sys
import tempfile
from contextlib import contextmanager

import pytest

from bench.peer import Peer

ECHO = "import sys\nfor line in sys.stdin: print(line, end='', flush=True)"
ENDS = "import sys; sys.stdin.readline(); sys.exit('no Java here')"


@contextmanager
def program(code: str):
    with tempfile.TemporaryFile() as log:
        with subprocess.Popen(
            [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True
        ) as process:
            yield Peer(process, log)


def test_a_line_is_asked_and_a_line_is_answered():
    with program(ECHO) as ancestor:
        assert ancestor("feed") == {"do": "feed"}
        assert ancestor("cluster", count=3) == {"do": "cluster", "count": 3}


def test_a_program_that_ends_is_quoted():
    with program(ENDS) as ancestor, pytest.raises(RuntimeError, match="ended while it had to feed:\n(?s:.*)no Java"):
        ancestor("feed")
