"""The page for users of TensorFlowOnSpark: each test that it names is there."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "migration-tensorflowonspark.md"
NAMED = re.compile(r"`((?:unit|integration|notebooks)/[\w/]+\.py)::(\w+)`")


def test_every_test_that_is_named_exists() -> None:
    named = NAMED.findall(PAGE.read_text(encoding="utf-8"))
    assert len(named) > 60
    missing = [f"{file}::{test}" for file, test in named if not _has(ROOT / "tests" / file, test)]
    assert missing == []


def test_every_line_of_what_was_reported_names_a_test() -> None:
    _, _, told = PAGE.read_text(encoding="utf-8").partition("## What was reported there")
    lines = [line for line in told.splitlines() if line.startswith("|") and "---" not in line]
    bare = [line for line in lines if not (NAMED.search(line) or line.endswith(("| test |", "| the same |")))]
    assert lines and bare == []


def _has(file: Path, test: str) -> bool:
    return file.exists() and f"\ndef {test}(" in file.read_text(encoding="utf-8")


def test_every_test_that_the_page_of_dfutil_and_pipeline_names_exists() -> None:
    page = (ROOT / "docs" / "migration-dfutil-pipeline.md").read_text(encoding="utf-8")
    files = {path.name: path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py")}
    named = set(re.findall(r"`(?:[a-z/]*/)?(test_\w+(?:\.py)?)`", page))
    functions = {name for name in named if not name.endswith(".py")}
    assert len(named) > 20
    assert [name for name in named - functions if name not in files] == []
    assert [name for name in functions if not any(f"def {name}(" in text for text in files.values())] == []
