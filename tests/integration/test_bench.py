"""Benchmarks run at a tiny scale, without the ancestor, so that they cannot rot between two `make bench`.

Those that are left out (`rdd`, `lifecycle`, `overlap`, `fit_workers`, `ancestor_training`, `cpu`) are made of the same
parts, and would take minutes.
"""

from __future__ import annotations

import math

import pytest

from bench import ancestor, ancestor_epochs, ancestor_inference, epochs, feed, memory, scoring
from bench.part import Options
from bench.processes import DRIVER, DRIVER_JVM, EXECUTOR_JVM, FEEDER, NODE
from bench.rounds import Ratio

pytestmark = [pytest.mark.beside, pytest.mark.more]
FEEDS = ("cluster", "frame", "feed", "feed")
TINY = Options(rounds=1, scale=0.002, dry=True)


def check(ratios: list[Ratio], count: int) -> None:
    """Each of them has its rounds, and figures that can be."""
    assert len(ratios) == count
    for ratio in ratios:
        assert len(ratio.ours) == len(ratio.theirs) == TINY.rounds, ratio.what
        assert all(0 < figure < math.inf for figure in ratio.ours + ratio.theirs), ratio.what


@pytest.mark.parametrize("rows", feed.SIZES[3:], ids=lambda rows: rows.name)
def test_a_dataframe_is_fed_and_gone_over(spark, rows):
    check([feed.measure_rows(spark, rows.with_count(64), TINY.rounds)], 1)


@pytest.mark.parametrize(
    ("part", "count", "asked"),
    [
        (ancestor, 8, [*FEEDS, "feed", "feed", "end", *FEEDS, "end"]),
        (ancestor_epochs, 2, ["cluster", "later", "later", "end"]),
        (ancestor_inference, 2, ["cluster", "infer", "infer", "end"]),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_our_side_of_the_comparisons_with_the_ancestor(spark, part, count, asked):
    told: list[str] = []

    def peer(do: str, **given: object) -> float:
        told.append(do)
        return 1.0

    check(part.measure(spark, peer, TINY), count)
    assert told == asked


def test_later_epochs_are_compared_on_the_node(spark):
    check(epochs.measure(spark, TINY, caches=("disk",)), 4)


def test_scoring_is_compared_with_that_of_pyspark(spark):
    check(scoring.measure(spark, TINY, partitions=1), 2)


def test_every_kind_of_process_has_a_peak(spark):
    grown = memory.growth(spark, memory.ROWS.with_count(64), "none")
    assert set(grown) == {DRIVER, DRIVER_JVM, EXECUTOR_JVM, FEEDER, NODE}
    check(memory.ratios("none", [grown]), 5)
