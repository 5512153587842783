"""What is spared is not gone over again, once for each word; what comes later is collected as ever."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import gc, weakref
from tfspark_cnn import worker_memory

class Knot:
    def __init__(self):
        self.self = self

before = weakref.ref(Knot())
worker_memory.spare("feed")
assert before() is None, "cycles that nobody holds are freed first"
spared = gc.get_freeze_count()
assert spared > 1000
gone_over = len(gc.get_objects())
assert gone_over < spared / 10, (gone_over, spared)
kept = [Knot() for _ in range(100)]
worker_memory.spare("feed")
assert gc.get_freeze_count() <= spared, "once"
after = weakref.ref(Knot())
gc.collect()
assert after() is None
worker_memory.spare("scoring")
assert gc.get_freeze_count() >= spared + 100, "what was imported since"
"""


def test_what_a_worker_holds_is_spared_once_and_what_comes_later_is_collected() -> None:
    ran = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
