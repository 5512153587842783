"""Which checkpoints stay."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfspark_cnn.checkpoints.retention import Best, Entry, is_better, surplus
from tfspark_cnn.errors import CheckpointError


def entry(step: int, lineage: str = "a") -> Entry:
    return Entry(step, lineage, f"checkpoint-{step:09d}-{lineage}.npz")


def steps(entries: list[Entry]) -> list[str]:
    return [f"{one.step}{one.lineage}" for one in entries]


A = [entry(step) for step in (10, 20, 30, 40)]
B = [entry(step, "b") for step in (50, 60)]


@pytest.mark.parametrize(
    ("entries", "keep", "newest", "best", "damaged", "gone"),
    [
        pytest.param(A, 3, A[3], None, [], ["10a"], id="the last stay"),
        pytest.param(A, 1, A[3], None, [], ["10a", "20a", "30a"], id="only the last"),
        pytest.param(A, 9, A[3], None, [], [], id="fewer than are kept"),
        pytest.param(A, 2, A[3], A[0], [], ["20a"], id="the best stays, besides"),
        pytest.param(A, 2, A[3], A[3], [], ["10a", "20a"], id="the best is among the last"),
        pytest.param([*A[:2], *B], 3, A[1], None, [], [], id="others stay until there are enough"),
        pytest.param([*A, *B], 4, A[3], None, [], ["50b", "60b"], id="others go when there are enough"),
        pytest.param([*A, *B], 4, A[3], B[0], [], ["60b"], id="the best of another lineage stays"),
        pytest.param(A, 2, A[3], None, [A[2]], ["10a", "30a"], id="damaged ones go, and do not count"),
        pytest.param(A, 1, A[1], None, [A[3]], ["10a", "40a"], id="a damaged one ahead goes"),
        pytest.param(A, 1, A[1], None, [], ["10a"], id="those ahead are left alone"),
        pytest.param(A, 1, A[3], None, [A[3]], ["10a", "20a", "30a"], id="one just written is whole again"),
    ],
)
def test_what_goes(
    entries: list[Entry], keep: int, newest: Entry, best: Entry | None, damaged: list[Entry], gone: list[str]
) -> None:
    assert steps(surplus(entries, keep=keep, newest=newest, best=best, damaged=damaged)) == gone


ENTRIES = st.builds(entry, st.integers(0, 20), st.sampled_from("ab"))


@given(st.sets(ENTRIES, min_size=1), st.integers(1, 5), st.data())
def test_the_newest_the_best_and_the_last_always_stay(entries: set[Entry], keep: int, data: st.DataObject) -> None:
    newest = data.draw(st.sampled_from(sorted(entries)))
    best = data.draw(st.none() | st.sampled_from(sorted(entries)))
    damaged = data.draw(st.sets(st.sampled_from(sorted(entries)))) - {best}
    gone = set(surplus(entries, keep=keep, newest=newest, best=best, damaged=damaged))
    left = entries - gone
    own = [one for one in entries - damaged | {newest} if one.lineage == newest.lineage and one.step <= newest.step]
    assert {newest, best or newest} <= left
    assert set(sorted(own)[-keep:]) <= left
    assert gone <= entries


def test_keeping_none_is_refused() -> None:
    with pytest.raises(CheckpointError, match="expected to keep 1 checkpoint or more, received 0"):
        surplus(A, keep=0, newest=A[3])


@pytest.mark.parametrize(
    ("value", "than", "direction", "better"),
    [
        (0.2, 0.3, "min", True),
        (0.3, 0.3, "min", False),
        (0.3, 0.2, "max", True),
        (0.2, None, "max", True),
        (math.nan, None, "min", False),
        (math.nan, 0.3, "max", False),
        (0.4, math.nan, "min", True),
    ],
)
def test_what_is_better(value: float, than: float | None, direction: str, better: bool) -> None:
    assert is_better(value, than, direction) is better


def test_the_best_comes_back_as_it_was() -> None:
    best = Best(entry(10), "val_loss", 0.25)
    assert Best.from_json(best.to_json()) == best


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"entry": {}, "metric": "loss", "value": 1}'])
def test_a_best_that_is_none_says_what_to_do(body: bytes) -> None:
    with pytest.raises(CheckpointError, match="expected best.json to say which") as caught:
        Best.from_json(body)
    assert caught.value.hint == "delete best.json"
