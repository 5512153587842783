"""Metrics by epoch and last figures, from events."""

from __future__ import annotations

import math

from tfspark_cnn.events import Event, Kind
from tfspark_cnn.events.curves import last_figures, metrics_by_epoch


def ended(second: float, epoch: int, node: str = "chief:0", **metrics: float) -> Event:
    return Event(second, Kind.EPOCH_END, node, {"epoch": epoch, "epochs": 3, "metrics": metrics})


def restart(second: float) -> list[Event]:
    return [Event(second, Kind.RESTART, values={"attempt": 2}), Event(second, Kind.ATTEMPT, values={"attempt": 2})]


def test_metrics_are_those_of_the_chief_by_epoch() -> None:
    events = [ended(1, 1, loss=2.0), ended(1, 1, "worker:0", loss=9.0), ended(2, 2, loss=1.0, val_loss=1.5)]
    metrics = metrics_by_epoch(events)
    assert metrics["loss"] == [2.0, 1.0]
    assert math.isnan(metrics["val_loss"][0]) and metrics["val_loss"][1] == 1.5


def test_without_a_chief_the_first_worker_speaks() -> None:
    assert metrics_by_epoch([ended(1, 1, "worker:1", loss=9.0), ended(1, 1, "worker:0", loss=2.0)]) == {"loss": [2.0]}


def test_epochs_that_are_trained_again_after_a_restart_count_once() -> None:
    first = [ended(1, 1, loss=3.0), ended(2, 2, loss=2.0), ended(3, 3, loss=1.0)]
    assert metrics_by_epoch([*first, *restart(4), ended(5, 2, loss=2.5), ended(6, 3, loss=1.5)])["loss"] == [
        3,
        2.5,
        1.5,
    ]


def test_a_second_fit_of_the_same_attempt_is_appended() -> None:
    assert metrics_by_epoch([ended(1, 1, loss=3.0), ended(2, 1, loss=2.0)])["loss"] == [3.0, 2.0]


def test_no_events_have_no_metrics() -> None:
    assert metrics_by_epoch([]) == {} and last_figures([]) == {}


def test_the_last_figures_are_those_of_the_last_attempt_that_has_any() -> None:
    def step(second: float, node: str, timed: int) -> Event:
        return Event(second, Kind.STEP, node, {"timed_steps": timed})

    before = [step(1, "chief:0", 5), step(2, "worker:0", 6), step(3, "chief:0", 7)]
    assert {name: one["timed_steps"] for name, one in last_figures(before).items()} == {"chief:0": 7, "worker:0": 6}
    assert last_figures([*before, *restart(4)]).keys() == {"chief:0", "worker:0"}
    assert last_figures([*before, *restart(4), step(5, "chief:0", 1)]).keys() == {"chief:0"}
