"""How many reports of steps are kept."""

from __future__ import annotations

from tfspark_cnn.events.sampling import Sampling


def kept(seconds: int) -> int:
    sampling = Sampling(0.0)
    return sum(sampling.keeps("chief:0", tick / 5) for tick in range(5 * seconds))


def test_at_first_one_report_a_second_is_kept() -> None:
    assert 60 <= kept(60) <= 61


def test_a_day_has_some_thousand_and_ten_times_as_long_hardly_more() -> None:
    day = kept(86_400)
    assert 3_000 < day < 4_000


def test_nodes_are_kept_apart() -> None:
    sampling = Sampling(0.0)
    assert sampling.keeps("chief:0", 1.0) and sampling.keeps("worker:0", 1.1) and not sampling.keeps("chief:0", 1.2)
