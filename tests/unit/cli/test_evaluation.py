"""Accuracy and counts of classes, from labels and predictions."""

from __future__ import annotations

import io
import json

import pytest
from rich.console import Console

from tfspark_cnn.cli.evaluation import ClassCounts, evaluated
from tfspark_cnn.errors import EmptyFeedError

COUNTS = [(0, 0, 8), (0, 1, 2), (1, 1, 10), (1, 0, 1), (1, 2, 4), (4, 1, 5)]


def test_rows_are_counted_by_class() -> None:
    found = evaluated(COUNTS, names=("cat", "dog", "pig"))
    assert (found.rows, found.right, found.accuracy) == (30, 18, 0.6)
    assert found.classes == (
        ClassCounts(0, "cat", rows=10, right=8, predicted=9, mistaken_for="dog"),
        ClassCounts(1, "dog", rows=15, right=10, predicted=17, mistaken_for="pig"),
        ClassCounts(2, "pig", rows=0, right=0, predicted=4, mistaken_for=""),
        ClassCounts(4, "4", rows=5, right=0, predicted=0, mistaken_for="dog"),
    )


def test_of_equal_mistakes_the_first_class_is_named() -> None:
    assert evaluated([(0, 3, 2), (0, 2, 2)]).classes[0].mistaken_for == "2"


def test_it_is_json_and_a_table() -> None:
    found = evaluated([(0, 0, 1500), (1, 0, 500)], names=("[cat]", "dog"))
    told = json.loads(json.dumps(found.as_dict()))
    assert (told["accuracy"], told["classes"][1]["mistaken_for"]) == (0.75, "[cat]")
    console = Console(file=io.StringIO(), width=100)
    console.print(found.as_table())
    lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert lines[0].strip() == "accuracy 0.7500 (1,500 of 2,000 rows)"
    assert any("[cat]" in line and "1,500" in line and "100.0" in line for line in lines)


def test_no_rows_are_an_error() -> None:
    with pytest.raises(EmptyFeedError, match="no rows to evaluate on"):
        evaluated([])
