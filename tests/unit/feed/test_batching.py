from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfspark_cnn.errors import ConfigError
from tfspark_cnn.feed.batching import SHUFFLE_WINDOW_ROWS, epoch_order, ready_rows, step_seed, window_order

seeds = st.integers(-(2**70), 2**70)
small = st.integers(0, 100)


def test_orders_are_the_same_on_every_machine() -> None:
    assert window_order(0, 8, seed=1, epoch=0, node=0).tolist() == [6, 5, 3, 1, 4, 7, 0, 2]
    assert epoch_order(8, seed=1, epoch=1, node=0).tolist() == [6, 1, 3, 0, 7, 2, 5, 4]


@given(st.integers(0, 300), seeds, small, small, small)
def test_orders_are_permutations_that_repeat(rows: int, seed: int, epoch: int, node: int, window: int) -> None:
    for order in (
        lambda: window_order(window, rows, seed=seed, epoch=epoch, node=node),
        lambda: epoch_order(rows, seed=seed, epoch=epoch, node=node),
    ):
        assert order().dtype == np.int64
        assert sorted(order().tolist()) == list(range(rows))
        assert order().tolist() == order().tolist()


def test_seeds_epochs_nodes_and_windows_each_give_another_order() -> None:
    sides = list(itertools.product(range(3), repeat=3))
    whole = {tuple(epoch_order(50, seed=s, epoch=e, node=n)) for s, e, n in sides}
    windows = {tuple(window_order(w, 50, seed=s, epoch=e, node=n)) for s, e, n in sides for w in range(3)}
    assert len(whole | windows) == len(sides) * 4


def test_seeds_of_any_size_do_not_run_into_epochs() -> None:
    assert epoch_order(50, seed=2**32, epoch=0, node=0).tolist() != epoch_order(50, seed=0, epoch=1, node=0).tolist()


@pytest.mark.parametrize(
    ("rows", "window", "complete", "ready"),
    [(0, 8, False, 0), (7, 8, False, 0), (8, 8, False, 8), (23, 8, False, 16), (23, 8, True, 23), (23, 1, False, 23)],
)
def test_whole_windows_are_ready_until_the_epoch_is_complete(
    rows: int, window: int, complete: bool, ready: int
) -> None:
    assert ready_rows(rows, window=window, complete=complete) == ready


@given(st.integers(0, 10**6), st.integers(0, 10**6), st.integers(1, 10**5))
def test_what_is_ready_never_shrinks(rows: int, more: int, window: int) -> None:
    first = ready_rows(rows, window=window, complete=False)
    second = ready_rows(rows + more, window=window, complete=False)
    assert first <= second <= ready_rows(rows + more, window=window, complete=True)


def test_the_default_window_is_the_documented_one() -> None:
    assert ready_rows(SHUFFLE_WINDOW_ROWS + 1, complete=False) == SHUFFLE_WINDOW_ROWS == 4096


def test_a_window_without_rows_is_refused() -> None:
    with pytest.raises(ConfigError, match="window is 0 rows"):
        ready_rows(5, window=0, complete=False)


def test_the_seed_of_a_step_depends_on_all_it_is_given() -> None:
    base: dict[str, Any] = {"feed": "input-1", "step": 3, "seed": 7, "epoch": 2, "node": 1}
    others = [{**base, "feed": "input-2"}, *({**base, key: base[key] + 1} for key in ("step", "seed", "epoch", "node"))]
    found = [step_seed(**one).tolist() for one in [base, *others]]
    assert len({tuple(seed) for seed in found}) == 6


def test_the_seed_of_a_step_is_the_same_on_every_machine() -> None:
    found = step_seed("input-1", 0, seed=0, epoch=0, node=0)
    assert (found.dtype, found.tolist()) == (np.int32, [-1988256903, -142760576])
