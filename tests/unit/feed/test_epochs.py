from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfspark_cnn.errors import ConfigError, EmptyFeedError
from tfspark_cnn.feed.epochs import EpochPlan, full_steps, plan, split_replicas


@st.composite
def epochs(draw: st.DrawFn) -> tuple[list[int], list[int], int]:
    workers = draw(st.integers(1, 5))
    replicas = draw(st.integers(1, 4))
    totals = draw(st.lists(st.integers(replicas, 500), min_size=workers, max_size=workers))
    return totals, draw(st.lists(st.integers(replicas, 40), min_size=workers, max_size=workers)), replicas


@pytest.mark.parametrize(
    ("totals", "sizes", "full", "tail"),
    [
        ([100, 70], [32, 32], 1, 3),
        ([64, 64], [32, 32], 1, 1),
        ([1, 1], [32, 32], 0, 1),
        ([33, 1], [32, 32], 0, 1),
        ([96, 1], [32, 32], 0, 1),
        ([1000, 1000], [64, 32], 14, 18),
        ([7], [2], 2, 2),
    ],
)
def test_plans_are_as_written_down(totals: list[int], sizes: list[int], full: int, tail: int) -> None:
    assert plan(totals, sizes) == EpochPlan(tuple(totals), tuple(sizes), full, tail)


@pytest.mark.parametrize(
    ("rows", "steps"), [([0, 500], 0), ([31, 500], 0), ([32, 500], 0), ([63, 500], 0), ([64, 500], 1), ([500, 500], 14)]
)
def test_the_last_full_step_is_held_back(rows: list[int], steps: int) -> None:
    assert full_steps(rows, [32, 32]) == steps


@given(epochs())
def test_each_row_is_taken_once_in_order_in_batches_that_are_not_empty(epoch: tuple[list[int], list[int], int]) -> None:
    totals, sizes, replicas = epoch
    made = plan(totals, sizes, replicas=replicas)
    for worker, total in enumerate(totals):
        batches = list(made.batches(worker))
        assert len(batches) == made.steps
        assert [start for start, _ in batches] == [0, *(stop for _, stop in batches[:-1])]
        assert batches[-1][1] == total
        assert all(stop - start >= replicas for start, stop in batches)


@given(epochs())
def test_full_steps_are_full_and_tail_sizes_differ_by_at_most_one(epoch: tuple[list[int], list[int], int]) -> None:
    totals, sizes, replicas = epoch
    made = plan(totals, sizes, replicas=replicas)
    for worker, full in enumerate(sizes):
        taken = [made.size(worker, step) for step in range(made.steps)]
        assert taken[: made.full_steps] == [full] * made.full_steps
        tail = taken[made.full_steps :]
        assert tail == sorted(tail, reverse=True)
        assert tail[0] - tail[-1] <= 1


@given(epochs())
def test_batches_exceed_their_size_only_where_another_worker_has_too_little(
    epoch: tuple[list[int], list[int], int],
) -> None:
    totals, sizes, replicas = epoch
    made = plan(totals, sizes, replicas=replicas)
    left = [total - made.full_steps * size for total, size in zip(totals, sizes, strict=True)]
    wanted = max(-(-rest // size) for rest, size in zip(left, sizes, strict=True))
    if wanted * replicas <= min(left):
        assert all(made.size(w, s) <= sizes[w] for w in range(len(totals)) for s in range(made.steps))


@given(st.integers(1, 8), st.integers(32, 5000), st.data())
def test_shares_as_even_as_dealing_makes_them_never_exceed_the_batch_size(
    workers: int, rows: int, data: st.DataObject
) -> None:
    totals = data.draw(st.lists(st.integers(rows, rows + 16), min_size=workers, max_size=workers))
    made = plan(totals, [32] * workers)
    assert max(made.size(w, s) for w in range(workers) for s in range(made.steps)) <= 32


@given(epochs(), st.data())
def test_what_runs_while_rows_arrive_is_a_prefix_of_the_plan(
    epoch: tuple[list[int], list[int], int], data: st.DataObject
) -> None:
    totals, sizes, replicas = epoch
    arrived = [data.draw(st.integers(0, total)) for total in totals]
    early, made = full_steps(arrived, sizes), plan(totals, sizes, replicas=replicas)
    assert early <= made.full_steps
    for worker, size in enumerate(sizes):
        ran = [(step * size, (step + 1) * size) for step in range(early)]
        assert list(itertools.islice(made.batches(worker), early)) == ran
        assert early * size <= arrived[worker]


@given(epochs())
def test_global_rows_add_up_to_the_epoch(epoch: tuple[list[int], list[int], int]) -> None:
    totals, sizes, replicas = epoch
    made = plan(totals, sizes, replicas=replicas)
    assert sum(made.global_rows(step) for step in range(made.steps)) == sum(totals)


@pytest.mark.parametrize(
    ("totals", "replicas", "message", "hint"),
    [
        ([0, 5], 1, r"at least 1 row on each worker, received \[0, 5\]", "fewer workers"),
        ([0, 0], 1, r"received \[0, 0\]", "there are no rows"),
        ([3, 5], 4, r"at least 4 rows on each worker, received \[3, 5\]", "fewer workers"),
    ],
)
def test_workers_without_rows_are_refused(totals: list[int], replicas: int, message: str, hint: str) -> None:
    with pytest.raises(EmptyFeedError, match=message) as refused:
        plan(totals, [8, 8], replicas=replicas)
    assert refused.value.hint is not None and hint in refused.value.hint


@pytest.mark.parametrize(
    ("totals", "sizes", "replicas", "message"),
    [
        ([5, 5], [8], 1, "received 1 for 2"),
        ([], [], 1, "received 0 for 0"),
        ([5, 5], [8, 0], 1, r"batch sizes are \[8, 0\]"),
        ([5, 5], [8, 2], 4, "received 4 replicas"),
        ([5, 5], [8, 8], 0, "received 0 replicas"),
    ],
)
def test_impossible_batch_sizes_are_refused(totals: list[int], sizes: list[int], replicas: int, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        plan(totals, sizes, replicas=replicas)


@pytest.mark.parametrize(("worker", "step"), [(-1, 0), (2, 0), (0, -1), (0, 4)])
def test_bounds_of_what_is_not_in_the_plan_are_refused(worker: int, step: int) -> None:
    with pytest.raises(IndexError, match=f"received worker {worker}, step {step}"):
        plan([100, 70], [32, 32]).bounds(worker, step)


@given(st.integers(0, 1000), st.integers(1, 16))
def test_replicas_share_a_batch_as_equally_as_can_be(size: int, replicas: int) -> None:
    parts = split_replicas(size, replicas)
    assert (sum(parts), len(parts)) == (size, replicas)
    assert max(parts) - min(parts) <= 1


def test_a_batch_cannot_be_split_over_no_replicas() -> None:
    with pytest.raises(ConfigError, match="replicas is 0"):
        split_replicas(8, 0)
