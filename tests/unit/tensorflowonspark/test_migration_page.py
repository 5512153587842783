"""The page for users of TensorFlowOnSpark: each test that it names is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "migration-tensorflowonspark.md"
PAINS = {
    1: "#155", 2: "#288", 3: "#325 #476", 4: "#449 #456 #399 #428 #518 #562 #422", 5: "#480", 6: "#485",
    7: "#400 #398", 8: "#255", 9: "#33 #35", 10: "#55", 11: "#425 #309", 12: "#365 #508 #414 #50", 13: "#519 #495",
    14: "#589", 15: "#391", 16: "#41 #42 #49", 17: "#305", 18: "#261 #432", 19: "#515 #86", 20: "#606",
    21: "#94 #32 #241 #248 #286 #356 #486", 22: "#349 #391 #537 #348", 23: "#319", 24: "#133",
    25: "#251 #322 #315 #109", 26: "#367 #510 #559 #500", 27: "#208 #121 #445 #478", 28: "#49 #558",
    29: "Kubernetes", 30: "#25 #38", 31: "#416", 32: "#120", 33: "#285 #442 #569", 34: "#246",
    35: "#257 #134 #282 #426 #71", 36: "#213 #434 #450 #541 #545", 37: "#353", 38: "#351", 39: "#227 #93 #187 #113",
    40: "#163 #266", 41: "#451 #366 #492", 42: "#187 #93 speed", 43: "#57 #304 #398 #439 #521 #312",
    44: "#61 #62 #345", 45: "#455 #437 #405 #75 #493", 46: "#490", 47: "#568 #585 #408", 48: "#36 #198 #410",
    49: "#87 #72 #197 #269 #545 #405", 50: "#324 #226", 51: "#520 #574", 52: "#587",
}  # fmt: skip
"""What users of TensorFlowOnSpark suffered from, by number, and the threads that say so."""

FLAWS = {
    "the path of rows": [
        "feeding: calls", "feeding: memory", "feeding: gaps", "feeding: examples", "inference: memory",
    ],
    "epochs": ["epochs", "end of the rows", "uneven data"],
    "the life of a cluster": [
        "identity of nodes", "end of the cluster", "time limit", "ends other than exceptions", "the error of a node",
        "start that fails", "waits", "`TF_CONFIG`", "driver_ps_nodes",
    ],
    "imports and processes": ["imports", "logging", "arguments"],
    "what it does to its host": ["one status for all clusters"],
    "security": ["server on the driver", "framing"],
    "TensorBoard": ["TensorBoard"],
    "GPUs": ["names of GPUs", "turns at GPUs", "waiting for GPUs"],
    "paths": ["`hdfs_path`"],
}  # fmt: skip
"""What its source shows; that of `dfutil` and `pipeline` is on the other page."""

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


def rows() -> list[str]:
    """The first column of every table from where the page tells what was reported."""
    _, _, told = PAGE.read_text(encoding="utf-8").partition("## What was reported there")
    return [line.split("|")[1].strip() for line in told.splitlines() if line.startswith("| ")]


@pytest.mark.parametrize("number", range(1, 53))
def test_every_pain_has_its_line(number: int) -> None:
    known = set(re.findall(r"#?\w+", " ".join(rows())))
    assert set(PAINS[number].split()) <= known


@pytest.mark.parametrize("kind", FLAWS)
def test_every_flaw_has_its_line(kind: str) -> None:
    assert [flaw for flaw in FLAWS[kind] if flaw not in rows()] == []


def test_no_line_is_of_a_flaw_that_is_not_listed() -> None:
    _, _, source = PAGE.read_text(encoding="utf-8").partition("## What its source shows")
    told = [line.split("|")[1].strip() for line in source.splitlines() if line.startswith("| ")][1:]
    assert sorted(told) == sorted(flaw for flaws in FLAWS.values() for flaw in flaws)


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
