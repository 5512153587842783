"""What importing the package costs: the driver and the command line never load TensorFlow. Fresh interpreters."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TENSORFLOW = {"tensorflow", "keras", "tensorboard", "tfspark_cnn.training", "tfspark_cnn.models"}
SPARK = {"pyspark", "py4j", "pandas", "sklearn"}

# Node-only modules of the driver-side packages may reach training inside functions, but not when they are imported.
DRIVER_SIDE = ("cluster", "feed", "data", "checkpoints", "events", "display", "pictures", "cli", "tensorflowonspark")


def loaded_by(code: str) -> set[str]:
    """Gives the modules that a fresh interpreter has after running `code`."""
    program = f"import json, sys\n{code}\nprint(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, check=True)
    return set(json.loads(done.stdout.splitlines()[-1]))


def modules_of(package: str) -> list[str]:
    folder = ROOT / "tfspark_cnn" / package
    return [f"tfspark_cnn.{package}.{one.stem}" for one in sorted(folder.glob("*.py")) if one.stem != "__init__"]


@pytest.mark.timeout(60)
def test_importing_the_package_loads_no_tensorflow() -> None:
    assert loaded_by("import tfspark_cnn") & TENSORFLOW == set()


@pytest.mark.timeout(60)
def test_the_command_line_starts_without_tensorflow_or_spark() -> None:
    assert loaded_by("import tfspark_cnn.cli.main") & (TENSORFLOW | SPARK) == set()


@pytest.mark.timeout(120)
def test_the_public_names_load_no_tensorflow() -> None:
    code = "import tfspark_cnn\n[getattr(tfspark_cnn, name) for name in getattr(tfspark_cnn, '__all__', [])]"
    assert loaded_by(code) & TENSORFLOW == set()


@pytest.mark.timeout(120)
def test_no_module_of_the_driver_side_loads_tensorflow() -> None:
    modules = [one for package in DRIVER_SIDE for one in modules_of(package)]
    assert loaded_by("\n".join(f"import {one}" for one in modules)) & TENSORFLOW == set()
