from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfspark_cnn.errors import FeedError
from tfspark_cnn.feed.ledger import Accepted, Ledger, Prefix, checksum


def hashes(rows: int, *, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 2**64, rows, np.uint64)


@pytest.mark.parametrize(
    ("start", "rows", "accepted"),
    [
        (10, 5, Accepted(0, 5)),
        (4, 6, Accepted(6, 0)),
        (0, 3, Accepted(3, 0)),
        (8, 6, Accepted(2, 4)),
        (10, 0, Accepted(0, 0)),
        (2, 0, Accepted(0, 0)),
    ],
)
def test_rows_that_are_held_are_skipped(start: int, rows: int, accepted: Accepted) -> None:
    ledger = Ledger()
    ledger.accept(7, 0, 10)
    assert ledger.accept(7, start, rows) == accepted
    assert ledger.resume(7) == 10 + accepted.take


def test_a_gap_is_refused_with_partition_and_rows() -> None:
    ledger = Ledger()
    ledger.accept(3, 0, 10)
    with pytest.raises(FeedError, match="partition 3: expected row 10 next, received row 12: 2 are missing"):
        ledger.accept(3, 12, 1)
    assert ledger.resume(3) == 10


@pytest.mark.parametrize(("start", "rows"), [(-1, 2), (0, -2)])
def test_negative_ranges_are_refused(start: int, rows: int) -> None:
    with pytest.raises(FeedError, match="expected 0 or more of both"):
        Ledger().accept(0, start, rows)


def test_a_commit_before_all_rows_came_is_refused() -> None:
    ledger = Ledger()
    ledger.accept(2, 0, 10)
    with pytest.raises(FeedError, match="partition 2: expected the 12 rows it was committed with, received 10"):
        ledger.commit(2, 12)


def test_a_commit_may_be_repeated() -> None:
    ledger = Ledger()
    ledger.accept(0, 0, 4)
    ledger.commit(0, 4)
    ledger.commit(0, 4)
    assert ledger.prefix() == Prefix(1, 4)


@pytest.mark.parametrize("rows", [3, 5])
def test_a_commit_with_another_number_says_that_the_partition_changed(rows: int) -> None:
    ledger = Ledger()
    ledger.accept(0, 0, 4)
    ledger.commit(0, 4)
    with pytest.raises(
        FeedError, match=rf"partition 0 changed between tries: expected 4 rows.* received {rows} rows"
    ) as e:
        ledger.commit(0, rows)
    assert e.value.hint is not None and "checkpoint or cache it" in e.value.hint


def test_a_shorter_second_try_says_that_the_partition_changed() -> None:
    ledger = Ledger()
    ledger.accept(0, 0, 4)
    with pytest.raises(FeedError, match="changed between tries"):
        ledger.commit(0, 3)


def test_rows_beyond_a_committed_total_say_that_the_partition_changed() -> None:
    ledger = Ledger()
    ledger.accept(0, 0, 4)
    ledger.commit(0, 4)
    assert ledger.accept(0, 1, 3) == Accepted(3, 0)
    with pytest.raises(FeedError, match="changed between tries"):
        ledger.accept(0, 2, 3)


def test_a_retry_with_other_contents_is_found_out_at_its_commit() -> None:
    ledger, first, second = Ledger(), hashes(10, seed=1), hashes(10, seed=2)
    ledger.accept(0, 0, 6, row_hashes=first[:6])
    ledger.accept(0, 3, 7, row_hashes=second[3:])
    with pytest.raises(FeedError, match="partition 0 changed between tries: expected checksum 0x"):
        ledger.commit(0, 10, checksum=checksum(second))


def test_a_twin_that_commits_other_contents_is_found_out() -> None:
    ledger = Ledger()
    ledger.accept(0, 0, 5, row_hashes=hashes(5))
    ledger.commit(0, 5)
    with pytest.raises(FeedError, match="changed between tries"):
        ledger.commit(0, 5, checksum=checksum(hashes(5)) + 1)


def test_contents_are_not_compared_when_some_rows_came_without_hashes() -> None:
    ledger = Ledger()
    ledger.accept(0, 0, 5)
    ledger.accept(0, 5, 5, row_hashes=hashes(5))
    ledger.commit(0, 10, checksum=1)
    assert ledger.prefix() == Prefix(1, 10)


tries = st.lists(st.tuples(st.lists(st.integers(1, 9), max_size=8), st.integers(0, 40)), max_size=5)


@given(st.integers(0, 40), tries)
def test_any_sequence_of_broken_tries_leaves_each_row_once(total: int, tries: list[tuple[list[int], int]]) -> None:
    ledger, row_hashes, held = Ledger(), hashes(total), []
    for sizes, back in [*tries, ([total], 0)]:
        start = max(0, ledger.resume(0) - back)  # a twin may begin before where the ledger stands
        for size in sizes:
            stop = min(start + size, total)
            done = ledger.accept(0, start, stop - start, row_hashes=row_hashes[start:stop])
            held += range(start + done.skip, start + done.skip + done.take)
            start = stop
    assert held == list(range(total))
    ledger.commit(0, total, checksum=checksum(row_hashes))


@given(st.permutations(range(6)), st.lists(st.integers(0, 5), min_size=6, max_size=6))
def test_the_prefix_is_what_leading_partitions_hold(order: list[int], totals: list[int]) -> None:
    ledger, committed = Ledger(), set[int]()
    ledger.accept(5, 0, totals[5])
    for partition in order:
        ledger.accept(partition, 0, totals[partition])
        ledger.commit(partition, totals[partition])
        committed.add(partition)
        leading = next((p for p in range(6) if p not in committed), 6)
        held = totals[5] if leading == 5 else 0
        assert ledger.prefix() == Prefix(leading, sum(totals[:leading]) + held)


def test_the_prefix_counts_what_is_held_of_the_first_uncommitted_partition() -> None:
    ledger = Ledger()
    ledger.accept(0, 0, 3)
    ledger.commit(0, 3)
    ledger.accept(1, 0, 4)
    ledger.accept(2, 0, 5)
    assert ledger.prefix() == Prefix(1, 7)


def test_the_feed_is_complete_once_closed_and_all_partitions_committed() -> None:
    ledger = Ledger()
    ledger.commit(0, 0)
    assert not ledger.complete
    ledger.close(2)
    assert not ledger.complete
    ledger.accept(1, 0, 1)
    ledger.commit(1, 1)
    assert ledger.complete


def test_a_feed_without_partitions_is_complete_when_closed() -> None:
    ledger = Ledger()
    ledger.close(0)
    assert ledger.complete


def test_closing_twice_with_other_numbers_is_refused() -> None:
    ledger = Ledger()
    ledger.close(2)
    ledger.close(2)
    with pytest.raises(FeedError, match="closed with 3 partitions, expected 2"):
        ledger.close(3)


def test_closing_below_a_partition_that_was_received_is_refused() -> None:
    ledger = Ledger()
    ledger.accept(4, 0, 1)
    with pytest.raises(FeedError, match="closed with 4 partitions, received rows of partition 4"):
        ledger.close(4)


def test_partitions_that_cannot_be_are_refused() -> None:
    ledger = Ledger()
    with pytest.raises(FeedError, match="received rows of partition -1, expected 0 or more"):
        ledger.accept(-1, 0, 1)
    ledger.close(2)
    with pytest.raises(FeedError, match="received rows of partition 2, expected 0 to 1"):
        ledger.accept(2, 0, 1)


def test_ten_thousand_partitions_in_reverse_take_constant_time_a_call() -> None:
    ledger, start_s = Ledger(), time.perf_counter()
    for partition in reversed(range(10_000)):
        ledger.accept(partition, 0, 8)
        ledger.commit(partition, 8)
        ledger.prefix()
    assert ledger.prefix() == Prefix(10_000, 80_000)
    assert time.perf_counter() - start_s < 1.0  # 0.03 s here; quadratic would take over 5 s
