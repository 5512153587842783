"""What runs beside what: see the target `test` of the Makefile."""

from __future__ import annotations

from pathlib import Path

import pytest

HERE = Path(__file__).parent

LONGEST = (
    "test_notebooks", "test_readme", "test_ml", "test_models", "test_examples", "test_spark_submit", "test_cli",
    "test_parameter_servers", "test_keras_fit_parity", "test_driver_ends", "test_feed", "test_restarts",
    "test_score_tables", "test_doctor", "test_jupyterlab", "test_export", "test_parallel", "test_bad_luck",
)  # fmt: skip
"""Files that take longest, first: two processes take file after file, and one that came late would run alone."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Unit tests run beside anything, and last of all: they fill what is left of the time of one of the processes."""
    for item in items:
        if item.path.is_relative_to(HERE / "unit"):
            item.add_marker(pytest.mark.beside)
    items.sort(key=_turn)  # stable: within a file, and among others, nothing changes


def _turn(item: pytest.Item) -> int:
    if item.path.is_relative_to(HERE / "unit"):
        return len(LONGEST) + 1
    return LONGEST.index(item.path.stem) if item.path.stem in LONGEST else len(LONGEST)
