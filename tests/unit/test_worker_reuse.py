"""What a reused Python worker holds is not gone over again for each task."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

PROGRAM = """
import gc, weakref
from tfspark_cnn import worker_reuse

class Knot:
    def __init__(self):
        self.self = self

before = weakref.ref(Knot())
worker_reuse.spare("feed")
assert before() is None, "cycles that nobody holds are freed first"
spared = gc.get_freeze_count()
assert spared > 1000
gone_over = len(gc.get_objects())
assert gone_over < spared / 10, (gone_over, spared)
kept = [Knot() for _ in range(100)]
worker_reuse.spare("feed")
assert gc.get_freeze_count() <= spared, "once"
after = weakref.ref(Knot())
gc.collect()
assert after() is None
worker_reuse.spare("scoring")
assert gc.get_freeze_count() >= spared + 100, "what was imported since"
"""


def test_what_a_worker_holds_is_spared_once_and_what_comes_later_is_collected() -> None:
    ran = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr


ARCHIVES = """
import importlib, sys, zipfile
from pathlib import Path
from tfspark_cnn import worker_reuse

folder = Path(sys.argv[1])
for name in ("pyspark.zip", "users.zip"):
    sys.path.append(str(folder / name))
import of_pyspark, of_users
worker_reuse.spare("feed")
worker_reuse.spare("feed")
for name in ("pyspark.zip", "users.zip"):
    with zipfile.ZipFile(folder / name, "a") as archive:
        archive.writestr(f"later_{name[:-4]}.py", "")
        archive.writestr(f"of_{name[:-4]}/inner/__init__.py", "")
importlib.invalidate_caches()
import later_users, of_users.inner
import of_pyspark.early
try:
    import later_pyspark
except ImportError:
    pass
else:
    raise AssertionError("the directory of Spark's archive was read anew")
"""


def test_sparks_own_archives_are_not_read_anew_for_each_task_and_those_of_users_are(tmp_path: Path) -> None:
    for name in ("pyspark", "users"):
        with zipfile.ZipFile(tmp_path / f"{name}.zip", "w") as archive:
            archive.writestr(f"of_{name}/__init__.py", "")
            archive.writestr(f"of_{name}/early.py", "")
    ran = subprocess.run([sys.executable, "-c", ARCHIVES, str(tmp_path)], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
