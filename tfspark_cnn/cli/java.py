"""Finds the Java that Spark will run on, before Spark tries and fails with a page of text."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tfspark_cnn import env
from tfspark_cnn.errors import ConfigError

OLDEST = 17  # Spark 4 needs it
INSTALL = (
    "install it: `apt-get install openjdk-17-jre-headless` on Debian or Ubuntu, `brew install openjdk@17` on macOS"
)
ANSWER_TIMEOUT_S = 30.0


@dataclass(frozen=True)
class Java:
    """A Java that was found.

    Attributes:
        program: path of `java`.
        version: its feature release, as 17.
    """

    program: Path
    version: int


def find() -> Java:
    """Gives the Java that Spark will take: JAVA_HOME's where that is set, else the one on PATH.

    Raises:
        ConfigError: There is none, or it is older than 17.
    """
    home = env.java_home()
    program = home / "bin" / "java" if home else _on_path()
    cure = f"let JAVA_HOME name a Java {OLDEST} or later, or unset it" if home else INSTALL
    if program is None or not program.is_file():
        where = f"in JAVA_HOME, {home}" if home else "on PATH"
        raise ConfigError(f"expected Java {OLDEST} or later, received none {where}", hint=cure)
    version = feature_release(_answer(program, cure))
    if version < OLDEST:
        raise ConfigError(f"expected Java {OLDEST} or later, received Java {version} ({program})", hint=cure)
    return Java(program, version)


def feature_release(answer: str) -> int:
    """Gives the feature release from what `java -version` says: 17 from `17.0.9`, 8 from `1.8.0_392`; 0 if unclear."""
    found = re.search(r'version "(?:1\.)?(\d+)', answer)
    return int(found.group(1)) if found else 0


def _on_path() -> Path | None:
    found = shutil.which("java", path=env.search_path())
    return Path(found) if found else None


def _answer(program: Path, cure: str) -> str:
    try:
        told = subprocess.run(
            [program, "-version"], capture_output=True, text=True, timeout=ANSWER_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ConfigError(f"{program} does not run: {error}", hint=cure) from error
    return told.stderr + told.stdout
