"""Clocks are compared as far as the network lets us know."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfspark_cnn.doctor import clocks
from tfspark_cnn.doctor.clocks import Exchange
from tfspark_cnn.doctor.findings import Status
from tfspark_cnn.doctor.observed import Clock

delays = st.floats(0, 5)


@given(st.floats(-1e6, 1e6), st.lists(st.tuples(delays, delays), min_size=1, max_size=6))
def test_the_true_difference_is_within_the_error_that_is_told(ahead_s: float, trips: list[tuple[float, float]]) -> None:
    """A message takes `there`, the answer `back`; the node's clock shows the driver's time and `ahead_s`."""
    exchanges, now_s = [], 1000.0
    for there, back in trips:
        exchanges.append(Exchange(now_s + ahead_s, now_s + there, now_s + there + back + ahead_s))
        now_s += there + back
    found = clocks.clock(exchanges)
    assert found is not None
    assert abs(found.ahead_s - ahead_s) <= found.error_s + 1e-6
    assert found.error_s == pytest.approx(min(there + back for there, back in trips) / 2, abs=1e-6)


def test_without_an_answer_nothing_is_known(seen: Any) -> None:
    assert clocks.clock([]) is None
    assert clocks.clocks([seen.node(clock=None)]) is None


@pytest.mark.parametrize(
    ("clock", "status"),
    [
        (Clock(0.3, 0.1), Status.OK),
        (Clock(4.0, 3.5), Status.OK),  # it may be half a second, and no more is sure
        (Clock(-4.0, 0.1), Status.WARNING),
        (Clock(400.0, 0.1), Status.FAILED),
    ],
)
def test_only_what_is_surely_off_is_told(seen: Any, clock: Clock, status: Status) -> None:
    found = clocks.clocks(seen.nodes(clock=clock))
    assert found is not None and found.status is status


def test_the_direction_is_told(seen: Any) -> None:
    found = clocks.clocks(seen.nodes(clock=Clock(-4.0, 0.1)))
    assert found is not None and "node 1 (10.0.0.6) is 4.0 s behind the driver's" in found.seen and "NTP" in found.cure
