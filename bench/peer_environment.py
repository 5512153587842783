"""`python -m bench.peer_environment`: makes `.venv-peer`, the environment that the ancestor runs in.

It has a setuptools and a tensorflowonspark of its own. Everything else, TensorFlow and pyspark above all, it sees in
the environment that runs this: both sides are measured with the same versions, and nothing large is installed twice.
"""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

from bench.spark import ROOT

DIRECTORY = ROOT / ".venv-peer"
PYTHON = DIRECTORY / "bin" / "python"
REQUIREMENTS = Path(__file__).with_name("requirements-peer.txt")
STAMP = DIRECTORY / ".installed"


def make() -> Path:
    """Makes the environment if it is missing or its requirements have changed; gives its interpreter."""
    wanted = f"{sys.executable}\n{REQUIREMENTS.read_text(encoding='utf-8')}"
    if STAMP.exists() and STAMP.read_text(encoding="utf-8") == wanted:
        return PYTHON
    venv.create(DIRECTORY, with_pip=True, clear=True)
    pip = [PYTHON, "-m", "pip", "install", "--disable-pip-version-check", "--quiet", "--no-deps"]
    subprocess.run([*pip, "-r", REQUIREMENTS], check=True)
    # Lines of a .pth file come last on the path, so what was just installed goes before the same in our environment.
    packages = sysconfig.get_path("purelib", vars={"base": str(DIRECTORY)})
    Path(packages, "packages-of-ours.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    STAMP.write_text(wanted, encoding="utf-8")
    return PYTHON


if __name__ == "__main__":
    make()
