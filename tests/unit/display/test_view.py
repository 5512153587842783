"""What a display knows of a run, from its events."""

from __future__ import annotations

from typing import Any

import pytest

from tfspark_cnn.display import words
from tfspark_cnn.display.view import WINDOW_S, RunView
from tfspark_cnn.events import Event, Kind

NODES = ["chief:0", "worker:0"]


def view(*events: Event) -> RunView:
    found = RunView()
    found.take(Event(0.0, Kind.START, values={"nodes": NODES, "roles": ["chief", "worker"]}))
    for event in events:
        found.take(event)
    return found


def step(second: float, node: str = "chief:0", *, images: int = 0, number: int = 7, **more: Any) -> Event:
    values = {"epoch": 3, "epochs": 20, "step": number, "metrics": {"loss": 0.41}, "images": images}
    return Event(second, Kind.STEP, node, values | more)


def ended(second: float, epoch: int, seconds: float = 2.0, **more: Any) -> Event:
    values = {"epoch": epoch, "epochs": 10, "step": 23, "seconds": seconds, "metrics": {"loss": 1 / epoch}, "images": 9}
    return Event(second, Kind.EPOCH_END, "chief:0", values | more)


def test_before_the_first_step_the_line_is_the_phase() -> None:
    assert words.line(RunView(), 0.0) == ""
    assert words.line(view(), 0.0) == "starting 2 nodes"
    up = [Event(1.0, Kind.ENTERED, node) for node in NODES]
    assert words.line(view(*up), 1.0) == "running"
    assert words.line(view(*up, Event(2.0, Kind.FEED)), 2.0) == "feeding"


def test_the_line_tells_epoch_step_loss_and_images_per_second_over_all_nodes() -> None:
    found = view(step(0), step(1, images=1000), step(1, "worker:0", images=500, number=9, metrics={"loss": 9.9}))
    assert words.line(found, 1.0) == "epoch 3/20  step 7  loss 0.4100  1,500 images/s"
    assert found.images == 1500


def test_the_time_before_the_first_report_does_not_count() -> None:
    assert view(step(60, images=100), step(61, images=300)).images_per_s() == 200


def test_the_rate_is_of_the_last_seconds() -> None:
    seconds = range(1, 20)
    found = view(*(step(second, images=(100 if second < 10 else 1000) * second) for second in seconds))
    assert found.images_per_s() == 1000


def test_a_pause_longer_than_the_window_still_gives_a_rate() -> None:
    assert view(step(0, images=0), step(10 * WINDOW_S, images=300)).images_per_s() == 10


@pytest.mark.parametrize("metrics", [{}, {"loss": float("nan")}])
def test_a_loss_that_is_missing_or_not_a_number_breaks_nothing(metrics: dict[str, float]) -> None:
    assert words.line(view(step(1, metrics=metrics)), 1.0).startswith("epoch 3/20  step 7")


def test_a_cluster_without_a_chief_is_spoken_for_by_its_first_worker() -> None:
    found = RunView()
    found.take(Event(0.0, Kind.START, values={"nodes": ["ps:0", "worker:0", "worker:1"]}))
    found.take(step(1, "worker:1", number=9))
    found.take(step(1, "worker:0", number=5))
    assert found.step == 5


def test_after_an_epoch_its_steps_and_the_time_left_are_known() -> None:
    found = view(ended(10, 1, 4.0), step(12, epoch=2, epochs=10, number=11))
    assert found.steps == 23
    assert found.done() == pytest.approx((1 + 11 / 23) / 10)
    assert found.left_s(13.0) == pytest.approx(9 * 4.0 - 1.0)


def test_the_time_left_goes_by_the_last_epochs_and_is_over_at_the_end() -> None:
    assert view(*(ended(epoch, epoch, 100.0 if epoch == 1 else 2.0) for epoch in range(1, 6))).left_s(5.0) == 10.0
    assert view(ended(1, 1, 100.0), ended(2, 2, 2.0)).left_s(2.0) == 16.0, "the first counts while there is no other"
    assert view(ended(1, 10), Event(2, Kind.END, values={"outcome": "done"})).left_s(2.0) is None
    assert view(step(1)).left_s(1.0) is None


def test_a_row_of_a_node_tells_its_steps_waits_memory_and_gpu_lately() -> None:
    first = {"timed_steps": 10, "timed_s": 10.0, "waited_s": 9.0}
    later = {"timed_steps": 20, "timed_s": 11.0, "waited_s": 9.5, "memory_bytes": 3 << 30, "gpu_percent": 88.0}
    found = view(step(1, **first), step(2, **later)).nodes["chief:0"]
    assert (found.step_s, found.waited, found.memory_bytes, found.gpu_percent) == (0.1, 0.5, 3 << 30, 88.0)
    assert found.state == "training"


def test_the_life_of_a_node_is_its_state() -> None:
    def state(*kinds: Kind) -> str:
        return view(*(Event(1.0, kind, "worker:0", {"cause": "x"}) for kind in kinds)).nodes["worker:0"].state

    assert state() == "waits for a slot"
    assert state(Kind.RESERVED) == "starting"
    assert state(Kind.RESERVED, Kind.ENTERED) == "running"
    assert state(Kind.ENTERED, Kind.RETURNED) == "returned"
    assert state(Kind.ENTERED, Kind.DEATH) == "died"
    assert state(Kind.ENTERED, Kind.REPLACED) == "starts again"
    assert state(Kind.ENTERED, Kind.END) == "ended"


def test_a_restart_begins_anew_and_says_so() -> None:
    again = [Event(5, Kind.RESTART, values={"attempt": 2}), Event(5, Kind.ATTEMPT, values={"attempt": 2})]
    found = view(step(1, images=500), Event(4, Kind.DEATH, "worker:0", {"cause": "was ended by SIGKILL\nmore"}), *again)
    assert (found.epoch, found.images, found.phase) == (0, 0, "starting attempt 2")
    assert list(found.notes) == ["worker:0 died: was ended by SIGKILL", "attempt 2 begins"]
    assert {node.state for node in found.nodes.values()} == {"waits for a slot"}


def test_checkpoints_resuming_and_evaluations_are_notes_and_the_last_three_stay() -> None:
    found = view(
        Event(1, Kind.RESUMED, "chief:0", {"step": 40}),
        *(Event(2, Kind.CHECKPOINT, "chief:0", {"step": number}) for number in (50, 60)),
        Event(3, Kind.EVALUATED, "evaluator:0", {"step": 60, "metrics": {"accuracy": 0.5}}),
    )
    told = ["checkpoint at step 50", "checkpoint at step 60", "evaluator:0 scored step 60: accuracy 0.5000"]
    assert list(found.notes) == told


def test_incidents_are_told_once_and_of_very_many_the_newest() -> None:
    found = view(*(Event(n, Kind.RESTART, values={"attempt": n}) for n in range(1, 21)))
    assert found.incidents_after(20) == []
    assert found.incidents_after(18) == ["attempt 19 begins", "attempt 20 begins"]
    assert found.incidents_after(0) == [f"attempt {n} begins" for n in range(5, 21)]


@pytest.mark.parametrize("values", [{}, {"cause": ""}])
def test_a_death_of_no_known_cause_is_told(values: dict[str, str]) -> None:
    assert view(Event(1.0, Kind.DEATH, "worker:0", values)).incidents_after(0) == ["worker:0 died: cause unknown"]
