"""Which waits for rows the training felt."""

from __future__ import annotations

import pytest

from tfspark_cnn.feed.step_clock import StepClock


@pytest.mark.parametrize(
    ("done", "ended_s", "seconds", "given", "felt_s"),
    [
        (5, 10.0, 3.0, 5, 1.0),  # from 8 to 11, and the last step with rows ended at 10
        (5, 7.0, 3.0, 5, 3.0),  # it had ended before the wait began
        (5, 10.0, 3.0, 6, 0.0),  # a step with rows was under way all the time
        (0, 9.0, 2.0, 0, 2.0),  # an epoch had just begun
    ],
)
def test_a_wait_counts_from_the_end_of_the_last_step_that_had_rows(done, ended_s, seconds, given, felt_s) -> None:
    clock = StepClock(steps=done, ended_s=ended_s)
    clock.waited(seconds, given=given, now_s=11.0)
    assert clock.starved_s == pytest.approx(felt_s)


def test_where_nobody_tells_of_steps_no_wait_counts() -> None:
    clock = StepClock()
    clock.waited(3.0, given=0)
    assert clock.starved_s == 0
