from __future__ import annotations

import timeit
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfspark_cnn.errors import ConfigError
from tfspark_cnn.feed.dealing import MAX_BLOCK_ROWS, Dealer, splitmix64

dealers = st.builds(Dealer, partition=st.integers(0, 10**6), workers=st.integers(1, 300))


@pytest.mark.parametrize(
    ("number", "mixed"),
    [(0, 0xE220A8397B1DCDAF), (0x9E3779B97F4A7C15, 0x6E789E6AA1B965F4), (2**64, 0xE220A8397B1DCDAF)],
)
def test_splitmix64_gives_the_published_sequence(number: int, mixed: int) -> None:
    assert splitmix64(number) == mixed


def test_blocks_double_up_to_sixteen_rows() -> None:
    dealer = Dealer(partition=0, workers=1)
    starts = [dealer._round_of(row)[0] for row in range(64)]
    assert sorted(Counter(starts).items()) == [(0, 1), (1, 2), (3, 4), (7, 8), (15, 16), (31, 16), (47, 16), (63, 1)]


def test_the_first_rows_of_a_partition_are_dealt_as_written_down() -> None:
    owners = [Dealer(partition=0, workers=2).owner(row) for row in range(14)]
    assert owners == [1, 0, 1, 1, 0, 0, 1, 1, 1, 1, 0, 0, 0, 0]


@given(dealers, st.integers(0, 20_000), st.integers(0, 500))
def test_each_row_of_a_batch_goes_to_its_owner_once_in_ascending_order(dealer: Dealer, first: int, rows: int) -> None:
    dealt = dealer.deal(first, rows)
    assert len(dealt) == dealer.workers
    assert sorted(np.concatenate(dealt).tolist()) == list(range(rows))
    for worker, share in enumerate(dealt):
        assert share.dtype == np.int64
        assert (np.diff(share) > 0).all()
        assert all(dealer.owner(first + row) == worker for row in share.tolist())


@given(dealers, st.lists(st.integers(0, 200), max_size=6))
def test_dealing_does_not_depend_on_how_the_partition_is_cut(dealer: Dealer, sizes: list[int]) -> None:
    whole = dealer.deal(0, sum(sizes))
    firsts = np.cumsum([0, *sizes])[:-1].tolist()
    parts = [[share + first for share in dealer.deal(first, size)] for first, size in zip(firsts, sizes, strict=True)]
    for worker in range(dealer.workers):
        together = np.concatenate([np.empty(0, np.int64), *(part[worker] for part in parts)])
        assert together.tolist() == whole[worker].tolist()


@given(dealers, st.integers(0, 20_000))
def test_share_rows_counts_what_is_dealt(dealer: Dealer, rows: int) -> None:
    assert dealer.share_rows(rows) == tuple(len(share) for share in dealer.deal(0, rows))


@pytest.mark.parametrize(
    ("partition", "workers", "worker", "rows"),
    [
        (0, 1, 0, list(range(40))),
        (0, 2, 0, [1, 4, 5, 10, 11, 12, 13, 22]),
        (0, 2, 1, [0, 2, 3, 6, 7, 8, 9, 14]),
    ],
)
def test_the_rows_of_a_share_are_these(partition: int, workers: int, worker: int, rows: list[int]) -> None:
    dealer = Dealer(partition, workers)
    assert [dealer.row_of(worker, share_row) for share_row in range(len(rows))] == rows


@given(dealers, st.integers(0, 5000))
def test_row_of_is_the_inverse_of_deal(dealer: Dealer, rows: int) -> None:
    for worker, share in enumerate(dealer.deal(0, rows)):
        assert [dealer.row_of(worker, share_row) for share_row in range(len(share))] == share.tolist()


@given(dealers, st.data())
def test_row_of_belongs_to_its_worker_and_place(dealer: Dealer, data: st.DataObject) -> None:
    worker, share_row = data.draw(st.integers(0, dealer.workers - 1)), data.draw(st.integers(0, 10**12))
    row = dealer.row_of(worker, share_row)
    assert dealer.owner(row) == worker
    assert dealer.share_rows(row)[worker] == share_row


@given(dealers, st.integers(0, 10**12))
def test_shares_differ_by_at_most_one_block(dealer: Dealer, rows: int) -> None:
    shares = dealer.share_rows(rows)
    assert sum(shares) == rows
    assert max(shares) - min(shares) <= MAX_BLOCK_ROWS


@given(dealers, st.integers(0, 3000))
def test_the_largest_share_is_at_most_twice_the_smallest_and_a_row(dealer: Dealer, rows: int) -> None:
    shares = dealer.share_rows(rows)
    assert max(shares) <= 2 * min(shares) + 1


@pytest.mark.parametrize("step", [1, 2, 4])
def test_empty_partitions_at_regular_numbers_starve_no_worker(step: int) -> None:
    of_each = np.sum([Dealer(partition, 4).share_rows(2) for partition in range(0, 1000 * step, step)], axis=0)
    assert of_each.min() > 0.85 * of_each.mean()


def test_ten_thousand_rows_are_dealt_in_a_fraction_of_a_millisecond() -> None:
    dealer = Dealer(partition=3, workers=8)
    best_s = min(timeit.repeat(lambda: dealer.deal(0, 10_000), number=1, repeat=30))
    assert best_s < 0.002  # 0.00018 on two cores; the margin is for a busy machine


@pytest.mark.parametrize(("partition", "workers", "message"), [(-1, 2, "partition is -1"), (0, 0, "workers is 0")])
def test_impossible_dealers_are_refused(partition: int, workers: int, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Dealer(partition, workers)
