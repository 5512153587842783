from __future__ import annotations

from types import SimpleNamespace

import pytest

from bench.ancestor_inference import ratios
from bench.shared_inference import checked_rate, give_labels, sum_of_labels


class Feed:
    """Two batches and an empty one, as `ctx.get_data_feed(train_mode=False)` may give them."""

    def __init__(self) -> None:
        self.left = [[([0.5], 3), ([0.5], 4)], [([0.5], 5)], []]
        self.results: list[list[int]] = []

    def should_stop(self) -> bool:
        return not self.left

    def next_batch(self, rows: int) -> list[tuple[list[float], int]]:
        return self.left.pop(0)

    def batch_results(self, results: list[int]) -> None:
        self.results.append(results)


def test_a_row_is_answered_by_its_label():
    feed = Feed()
    modes: list[bool] = []
    give_labels(None, SimpleNamespace(get_data_feed=lambda train_mode: modes.append(train_mode) or feed))
    assert feed.results == [[3, 4], [5]]
    assert modes == [False]


def test_labels_go_round():
    assert [sum_of_labels(count) for count in (0, 10, 12)] == [0, 45, 46]


def test_a_rate_counts_only_when_the_results_are_those_of_the_rows():
    assert checked_rate(46.0, 2.0, count=12) == 6.0
    with pytest.raises(ValueError, match="expected results of 12 rows that add up to 46, received 45"):
        checked_rate(45, 2.0, count=12)


def test_both_ways_of_ours_stand_against_the_same_rounds():
    frame, rows = ratios({"ancestor": [10.0, 20.0], "frame": [100.0, 100.0], "rdd": [20.0, 40.0]})
    assert (frame.ratios, rows.ratios) == ([10.0, 5.0], [2.0, 2.0])
