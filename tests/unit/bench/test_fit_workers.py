from __future__ import annotations

import pytest

from bench.fit_network import Speed
from bench.fit_workers import ratios

COSTS = {"callbacks": [10.0, 12.0], "weighing": [50.0, 40.0]}


def test_speed_with_and_without_the_first_epoch():
    speed = Speed(steps=100, epochs_s=(4.0, 1.0, 1.0))
    assert speed.whole == 50.0
    assert speed.later == 100.0


def test_both_speeds_are_asked_to_be_that_of_the_other_side_and_costs_are_told_beside_a_step():
    ours, theirs = [Speed(100, (2.0, 1.0))] * 2, [Speed(100, (1.0, 1.0))] * 2
    whole, later, callbacks, weighing = ratios(ours, theirs, COSTS)
    assert (whole.median, whole.reached) == (pytest.approx(2 / 3), False)
    assert (later.median, later.reached) == (1.0, True)
    assert (callbacks.ours, callbacks.theirs, callbacks.unit) == ([10.0, 12.0], [10_000, 10_000], "µs")
    assert weighing.reached is None


def test_sides_that_take_other_steps_are_not_compared():
    with pytest.raises(AssertionError, match="both take as many steps"):
        ratios([Speed(100, (1.0, 1.0))], [Speed(99, (1.0, 1.0))], COSTS)
