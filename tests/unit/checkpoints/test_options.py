"""When checkpoints are made: what the user may ask for, and the plan by which all nodes meet."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfspark_cnn.checkpoints.options import Checkpoints, Schedule
from tfspark_cnn.errors import ConfigError


@pytest.mark.parametrize("wrong", [{"every_s": -1}, {"every_steps": 0}, {"keep": 0}, {"keep": True}])
def test_numbers_that_cannot_be_are_refused(wrong: dict[str, int]) -> None:
    (name,) = wrong
    with pytest.raises(ConfigError, match=rf"Checkpoints\({name}={wrong[name]}\), expected "):
        Checkpoints(**wrong)


@pytest.mark.parametrize(
    ("best", "logs", "metric"),
    [
        ("auto", {"loss": 2.0, "val_loss": 3.0}, ("val_loss", 3.0, False)),
        ("auto", {"loss": 2.0}, ("loss", 2.0, False)),
        ("auto", {"mae": 2.0}, None),
        ("val_accuracy", {"val_accuracy": 0.5}, ("val_accuracy", 0.5, True)),
        ("val_accuracy", {"accuracy": 0.5}, None),
        (None, {"loss": 2.0}, None),
    ],
)
def test_an_epoch_is_judged_by_a_metric_it_has(best, logs, metric) -> None:
    assert Checkpoints(best=best).metric(logs) == metric


def met(options: Checkpoints, step_s: float, steps: int) -> tuple[list[int], int]:
    """Trains steps of one length; gives those at which a checkpoint was due, and how often nodes met."""
    schedule = Schedule(options, now_s=0.0, step=0)
    _, following = schedule.meet(0, now_s=0.0)
    due, meetings, last = [], 0, 0
    for step in range(1, steps + 1):
        if step < last + following:
            continue
        meetings, last = meetings + 1, step
        is_due, following = schedule.meet(step, now_s=step * step_s)
        due += [step] * is_due
    return due, meetings


def test_checkpoints_come_every_so_many_steps_and_at_no_other() -> None:
    assert met(Checkpoints(every_steps=40, every_s=None), 0.01, 200)[0] == [40, 80, 120, 160, 200]


def test_checkpoints_come_every_so_many_seconds_whatever_a_step_takes() -> None:
    for step_s in (0.001, 0.02, 0.5):
        steps = int(200 / step_s)
        due, meetings = met(Checkpoints(every_s=60), step_s, steps)
        assert [round(step * step_s) for step in due] == [60, 120, 180]
        assert meetings <= 3 + 12 + steps / 1000, "a message now and then"


def test_without_either_nodes_still_meet_so_that_training_can_be_ended() -> None:
    due, meetings = met(Checkpoints(every_s=None), 0.01, 5000)
    assert (due, meetings) == ([], 5)


@given(
    st.lists(st.floats(0.001, 30), min_size=1, max_size=300), st.floats(0.5, 100), st.none() | st.integers(1, 50)
)
def test_steps_of_any_length_never_keep_nodes_from_meeting(
    steps_s: list[float], every_s: float, every_steps: int | None
) -> None:
    options = Checkpoints(every_s=every_s, every_steps=every_steps)
    schedule = Schedule(options, now_s=0.0, step=0)
    _, following = schedule.meet(0, now_s=0.0)
    now_s, last, saved = 0.0, 0, 0
    for step, step_s in enumerate(steps_s, 1):
        now_s += step_s
        assert 1 <= following <= Schedule.LONGEST_STEPS
        if step < last + following:
            continue
        last = step
        is_due, following = schedule.meet(step, now_s=now_s)
        if every_steps is not None:
            assert step - saved <= every_steps
        saved = step if is_due else saved
