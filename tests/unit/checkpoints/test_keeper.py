"""The chief's hold on the checkpoints of a run: what it goes on from, which is the best, and how it ends."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tfspark_cnn.checkpoints.archive import decode
from tfspark_cnn.checkpoints.keeper import Keeper
from tfspark_cnn.checkpoints.options import Checkpoints
from tfspark_cnn.checkpoints.retention import Entry, Metric
from tfspark_cnn.checkpoints.store import CheckpointStore
from tfspark_cnn.errors import CheckpointError

NOBODY = "127.0.0.1:1"


class Told:
    """What a keeper says was written."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.threads: set[str] = set()

    def __call__(self, entry: Entry, meta: Mapping[str, Any]) -> None:
        self.entries.append(entry)
        self.threads.add(threading.current_thread().name)


def keeper_of(
    folder: Path, run: str, told: Told | None = None, *, before: tuple[str, ...] = (), judges: bool = True
) -> Keeper:
    options, written = Checkpoints(keep=2), told or Told()
    return Keeper.open(
        str(folder), run=run, before=before, address=NOBODY, options=options, judges=judges, written=written
    )


def fill(keeper: Keeper, *steps: int, best: Metric | None = None) -> None:
    for step in steps:
        keeper.submit(step, {"kernel": np.full(3, step)}, {"step": step}, best=best)
        keeper.flush()


def step_of(keeper: Keeper) -> int | None:
    body = keeper.newest()
    return None if body is None else int(decode(body).meta["step"])


def test_a_run_that_died_is_gone_on_with_and_one_that_ended_is_not(tmp_path: Path) -> None:
    told = Told()
    first = keeper_of(tmp_path, "a-1", told)
    assert not first.has_any() and step_of(first) is None
    fill(first, 10, 20, 30)
    first.close(ended=False)
    assert [entry.step for entry in told.entries] == [10, 20, 30] and threading.main_thread().name not in told.threads
    second = keeper_of(tmp_path, "b-1")
    assert second.has_any() and step_of(second) == 30
    second.close(ended=True)
    third = keeper_of(tmp_path, "c-1")
    assert not third.has_any() and step_of(third) is None
    third.close(ended=False)


def test_the_next_attempt_goes_on_even_after_the_end_was_written(tmp_path: Path) -> None:
    first = keeper_of(tmp_path, "a-1")
    fill(first, 10)
    first.close(ended=True)
    again = keeper_of(tmp_path, "a-2", before=("a-1",))
    assert step_of(again) == 10
    again.close(ended=False)


def test_an_attempt_that_is_over_cannot_write_any_more(tmp_path: Path) -> None:
    first = keeper_of(tmp_path, "a-1")
    fill(first, 10)
    second = keeper_of(tmp_path, "a-2", before=("a-1",))
    with pytest.raises(CheckpointError, match="two runs share the checkpoint directory"):
        fill(first, 20)
    assert step_of(second) == 10
    first.close(ended=False)
    second.close(ended=False)


def test_the_best_epoch_is_known_over_attempts(tmp_path: Path) -> None:
    first = keeper_of(tmp_path, "a-1")
    assert first.improves(("val_loss", 0.5, False)) == Metric("val_loss", 0.5)
    fill(first, 10, best=Metric("val_loss", 0.5))
    fill(first, 20, 30, 40)
    first.close(ended=False)
    assert [one.step for one in CheckpointStore(tmp_path).entries()] == [40, 30, 10], "the last two, and the best"
    second = keeper_of(tmp_path, "a-2", before=("a-1",))
    assert second.improves(("val_loss", 0.6, False)) is None
    assert second.improves(("val_loss", 0.4, False)) == Metric("val_loss", 0.4)
    assert second.improves(("accuracy", 0.4, True)) == Metric("accuracy", 0.4), "of another metric nothing is known"
    assert second.improves(None) is None
    second.close(ended=False)


def test_where_an_evaluator_judges_the_chief_does_not(tmp_path: Path) -> None:
    keeper = keeper_of(tmp_path, "a-1", judges=False)
    assert keeper.improves(("val_loss", 0.5, False)) is None
    keeper.close(ended=False)
