"""What nodes say and the driver does, as events."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tfspark_cnn import events
from tfspark_cnn.cluster import watching
from tfspark_cnn.cluster.feed_report import FeedReport, NodeFigures
from tfspark_cnn.cluster.history import History
from tfspark_cnn.cluster.messages import (
    Consumed,
    Entered,
    Failed,
    Report,
    Reserved,
    Restarting,
    Resumed,
    Returned,
    Saved,
    Vitals,
)
from tfspark_cnn.cluster.recorder import Recorder
from tfspark_cnn.cluster.topology import plan
from tfspark_cnn.cluster.verdict import Bound
from tfspark_cnn.errors import ConfigError
from tfspark_cnn.events import Event, Kind
from tfspark_cnn.pictures.timeline import Moment, Span


class FakeClock:
    """Seconds that a test sets."""

    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


class Driver:
    """A recorder with a chief and a worker, and a clock."""

    def __init__(self, log_dir: Path | None = None) -> None:
        self.clock = FakeClock()
        self.recorder = Recorder(
            "run-1", plan(2, master_node="chief"), log_dir=str(log_dir) if log_dir else None, clock=self.clock
        )
        self.recorder.begin_attempt(1)

    def hears(self, second: float, message: Any) -> None:
        self.clock.now_s = 100.0 + second
        self.recorder.take(message)

    def kinds(self, *, node: str | None = None) -> list[str]:
        return [str(event.kind) for event in self.recorder.events() if node in (None, event.node)]


def report(node: int, epoch: int, step: int, *, seconds: float, ended: bool = False, **more: Any) -> Report:
    values = {"epoch": epoch, "epochs": 3, "step": step, "images": 10 * step, "seconds": seconds, "epoch_end": ended}
    return Report(node, values | {"loss": 0.5, "metrics": {"loss": 0.5}, "skipped": 0} | more)


def test_a_whole_run_is_events_in_the_order_of_their_times() -> None:
    driver = Driver()
    for number in (0, 1):
        driver.hears(1 + number, Reserved(number, "host", "host:1", "1"))
        driver.hears(3 + number, Entered(number, pid=7))
    driver.recorder.feed_began("input-1", "input", 3)
    driver.hears(10, report(0, 1, 5, seconds=2.0))
    driver.hears(12, report(0, 1, 9, seconds=4.0, ended=True))
    driver.hears(12.5, Saved(0, 9, 1, "checkpoint-9"))
    driver.hears(13, Returned(0))
    driver.recorder.end("done")
    assert driver.kinds(node="chief:0") == [
        "reserved", "entered", "epoch_begin", "step", "epoch_end", "checkpoint", "returned",
    ]  # fmt: skip
    assert driver.kinds(node="driver") == ["start", "attempt", "feed", "end"]
    begun, ended = (
        next(e for e in driver.recorder.events() if e.kind == kind) for kind in ("epoch_begin", "epoch_end")
    )
    assert (begun.time_s, ended.time_s) == (108.0, 112.0)
    assert ended.values["metrics"] == {"loss": 0.5} and "epoch_end" not in ended.values


def test_reports_of_steps_are_kept_once_a_second_and_shown_to_watchers_all() -> None:
    driver, seen = Driver(), list[Event]()
    driver.recorder.watch(seen.append)
    for number in range(50):
        driver.hears(number / 10, report(0, 1, number + 1, seconds=number / 10))
    assert driver.kinds().count("step") == 5
    assert sum(event.kind is Kind.STEP for event in seen) == 50
    assert seen[0].kind is Kind.START, "what came before is told first"


def test_what_a_node_uses_is_part_of_its_next_report_and_no_step_by_itself() -> None:
    driver = Driver()
    driver.hears(1, Vitals(0, memory_bytes=5, gpu_percent=None))
    driver.hears(5, report(0, 1, 5, seconds=1.0, timed_steps=4, timed_s=0.8, waited_s=0.1))
    *_, last = driver.recorder.events()
    assert (last.values["memory_bytes"], last.values["timed_steps"], last.values["waited_s"]) == (5, 4, 0.1)
    assert "gpu_percent" not in last.values


def test_reports_of_the_users_own_and_what_is_no_event_are_left_out() -> None:
    driver = Driver()
    driver.hears(1, Report(0, {"temperature": 3}))
    driver.hears(1, Consumed(0, "input-1", 0, 1, 1, 1, 0.0))
    assert driver.kinds() == ["start", "attempt"]


def test_a_death_is_told_once_and_a_restart_with_its_cause() -> None:
    driver = Driver()
    driver.hears(1, Failed(1, "host", "was ended by SIGKILL", signal="SIGKILL"))
    driver.recorder.blame("worker:0", "[worker:0] was ended by SIGKILL")
    driver.recorder.begin_attempt(2, cause="[worker:0] was ended by SIGKILL")
    driver.recorder.blame("chief:0", "is gone")  # it vanished, and could say nothing
    driver.hears(2, Resumed(0, 40, 2))
    found = driver.recorder.events()
    assert driver.kinds() == ["start", "attempt", "death", "restart", "attempt", "death", "resumed"]
    assert found[2].values == {"cause": "was ended by SIGKILL", "signal": "SIGKILL"}
    assert found[3].values == {"attempt": 2, "cause": "[worker:0] was ended by SIGKILL"}


def test_a_worker_that_is_started_again_beside_the_others_is_told() -> None:
    driver = Driver()
    driver.hears(1, Restarting(1, "host", "was ended by SIGKILL"))
    assert driver.kinds(node="worker:0") == ["replaced"]


def test_after_the_end_nothing_is_recorded() -> None:
    driver = Driver()
    driver.recorder.end("failed", "why")
    driver.hears(1, Returned(0))
    assert driver.kinds() == ["start", "attempt", "end"]


def test_the_file_has_what_the_history_has(tmp_path: Path) -> None:
    driver = Driver(tmp_path)
    driver.hears(1 / 3, report(0, 1, 9, seconds=1.0, ended=True))
    figures = NodeFigures("chief:0", rows=10, nbytes=80, taken_rows=10, epochs=1, waited_s=0.5)
    driver.recorder.feed_ended("input", FeedReport("input-1", 2.0, 1.0, 1, 0.5, 0.1, 0.2, nodes=(figures,)))
    driver.recorder.end("done")
    assert events.read(tmp_path) == driver.recorder.events()
    assert driver.recorder.path == str(tmp_path / "events-run-1.jsonl")
    assert History.read(tmp_path).metrics == {"loss": [0.5]}


def test_a_remote_log_dir_has_no_file() -> None:
    recorder = Recorder("run-1", plan(1), log_dir="s3://bucket/logs")
    assert recorder.path is None and len(recorder.events()) == 1


def test_a_watcher_that_fails_stops_neither_events_nor_the_others(caplog: pytest.LogCaptureFixture) -> None:
    driver, seen = Driver(), list[Event]()
    driver.recorder.watch(lambda event: 1 / 0)
    driver.recorder.watch(seen.append)
    driver.hears(1, Returned(0))
    assert seen[-1].kind is Kind.RETURNED and "a watcher of events failed" in caplog.text


# --- what is made of them ---


def trained(*, roles: int = 0, **figures: Any) -> History:
    driver = Driver()
    driver.recorder.feed_began("input-1", "input", 3)
    for number in (0, 1):
        timed = {"timed_steps": 50, "timed_s": 5.0, "own_steps": 50, "own_s": 4.8} | figures
        driver.hears(2, report(number, 1, 51, seconds=1.0, ended=True, **timed))
    return History(driver.recorder.events())


def test_the_history_of_a_starved_run_says_that_it_is_input_bound() -> None:
    assert trained(waited_s=3.0).verdict().bound is Bound.INPUT
    assert trained(waited_s=0.1).verdict().bound is Bound.COMPUTE
    assert trained(own_s=2.0).verdict().bound is Bound.COMMUNICATION


def test_of_nodes_that_spark_does_not_feed_nothing_is_said_of_the_input() -> None:
    history = trained()
    unfed = History([event for event in history.events if event.kind is not Kind.FEED])
    assert unfed.verdict().input is None


def test_an_empty_history_has_no_metrics_and_no_verdict() -> None:
    history = History([])
    assert history.metrics == {} and history.verdict().bound is Bound.UNKNOWN
    assert history.timeline().nodes == ()
    with pytest.raises(ConfigError, match=r"no metrics.*\n.*ctx.callbacks"):
        history.plot()


def test_the_timeline_has_a_line_for_each_node_with_what_it_did_when() -> None:
    driver = Driver()
    driver.hears(1, Reserved(0, "host", "host:1", "1"))
    driver.hears(3, Entered(0, pid=7))
    driver.hears(9, report(0, 1, 9, seconds=4.0, ended=True))
    driver.hears(9.5, Saved(0, 9, 1, "checkpoint-9"))
    driver.hears(10, Failed(0, "host", "was ended by SIGKILL"))
    driver.recorder.begin_attempt(2, cause="x")
    driver.clock.now_s = 112.0
    driver.recorder.end("failed", "x")
    line = History(driver.recorder.events()).timeline()
    assert line.nodes == ("driver", "chief:0", "worker:0") and line.seconds == 12
    assert [span for span in line.spans if span.node == "chief:0"] == [
        Span("chief:0", "wait", 0, 1),
        Span("chief:0", "start", 1, 3),
        Span("chief:0", "map_fun", 3, 10),
        Span("chief:0", "epoch", 5, 9, "epoch 1"),
        Span("chief:0", "wait", 10, 12),
    ]
    assert [(one.what, one.node, one.at_s) for one in line.moments] == [
        ("checkpoint", "chief:0", 9.5), ("death", "chief:0", 10), ("restart", "driver", 10), ("end", "driver", 12),
    ]  # fmt: skip
    assert line.moments[0] == Moment("chief:0", "checkpoint", 9.5, "step 9")


# --- who may watch ---


@pytest.mark.parametrize("progress", ["yes", None, 3, "AUTO"])
def test_progress_is_true_false_auto_or_a_display(progress: Any) -> None:
    with pytest.raises(ConfigError, match=r"progress is .*expected True, False or \"auto\""):
        watching.check(progress)


def test_the_end_of_a_run_says_how_it_ended() -> None:
    def outcome(*what: Any) -> tuple[str, str]:
        watched = watching.Watching(Recorder("run-1", plan(1), log_dir=None))
        for method, argument in what:
            getattr(watched, method)(argument)
        watched.end()
        watched.end()
        last = watched.recorder.events()[-1].values
        return last["outcome"], last.get("cause", "")

    assert outcome() == ("done", "")
    assert outcome(("cancelled", "enough")) == ("cancelled", "enough")
    assert outcome(("failed", ConfigError("wrong")), ("cancelled", "enough")) == ("failed", "wrong")
    assert outcome(("failed", KeyboardInterrupt()))[0] == "cancelled"
