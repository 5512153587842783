"""Each node's own share of a list of files."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfspark_cnn.data.shares import share_of
from tfspark_cnn.errors import ConfigError

SIZES = st.lists(st.integers(0, 1 << 40), max_size=60)
COUNTS = st.integers(1, 9)


def shares(sizes: list[int], count: int) -> list[list[str]]:
    files = [(f"part-{number}", size) for number, size in enumerate(sizes)]
    return [share_of(files, number, count) for number in range(count)]


@given(SIZES, COUNTS)
def test_every_file_is_in_exactly_one_share(sizes: list[int], count: int) -> None:
    taken = [file for share in shares(sizes, count) for file in share]
    assert sorted(taken) == sorted(f"part-{number}" for number in range(len(sizes)))


@given(SIZES, COUNTS)
def test_no_share_is_larger_than_another_by_more_than_its_smallest_file(sizes: list[int], count: int) -> None:
    held = [sorted(sizes[int(file[5:])] for file in share) for share in shares(sizes, count)]
    lightest = min(sum(share) for share in held)
    assert all(not share or sum(share) - share[0] <= lightest for share in held)


@given(SIZES, COUNTS, st.randoms(use_true_random=False))
def test_the_order_of_the_list_does_not_matter(sizes: list[int], count: int, luck: random.Random) -> None:
    files = [(f"part-{number}", size) for number, size in enumerate(sizes)]
    mixed = luck.sample(files, len(files))
    assert [share_of(files, n, count) for n in range(count)] == [share_of(mixed, n, count) for n in range(count)]


def test_empty_files_are_spread_and_files_of_one_name_are_all_kept() -> None:
    assert [len(share) for share in shares([0] * 6, 3)] == [2, 2, 2]
    assert share_of([("a", 1), ("a", 1)], 0, 1) == ["a", "a"]


@pytest.mark.parametrize(("number", "count"), [(2, 2), (-1, 2), (0, 0)])
def test_a_node_that_cannot_be_is_refused(number: int, count: int) -> None:
    with pytest.raises(ConfigError, match=rf"received number={number} and count={count}\n.*ctx\.num_workers"):
        share_of([("a", 1)], number, count)
