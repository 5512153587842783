"""The progress line, from reports."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from tfspark_cnn.cli.progress import WINDOW_S, ProgressLine, TrainingProgress, progress_line


class FakeClock:
    """Seconds that a test sets."""

    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def report(node: str = "chief:0", images: int = 0, **more: Any) -> dict[str, Any]:
    return {"node": node, "epoch": 3, "epochs": 20, "step": 7, "loss": 0.41, "images": images, **more}


def test_before_the_first_report_there_is_no_line() -> None:
    assert TrainingProgress().line() == ""


def test_the_line_tells_epoch_step_loss_and_images_per_second_over_all_nodes() -> None:
    clock = FakeClock()
    progress = TrainingProgress(clock=clock)
    progress.received(report(images=0))
    clock.now_s = 1.0
    progress.received(report(images=1000))
    progress.received(report("worker:0", images=500, step=9, loss=9.9))
    assert progress.line() == "epoch 3/20  step 7  loss 0.4100  1,500 images/s"
    assert progress.images == 1500


def test_the_time_before_the_first_report_does_not_count() -> None:
    clock = FakeClock()
    progress = TrainingProgress(clock=clock)
    for now_s, images in ((60.0, 100), (61.0, 300)):
        clock.now_s = now_s
        progress.received(report(images=images))
    assert "200 images/s" in progress.line()


def test_the_rate_is_of_the_last_seconds() -> None:
    clock = FakeClock()
    progress = TrainingProgress(clock=clock)
    for second in range(1, 20):
        clock.now_s = float(second)
        progress.received(report(images=100 * second if second < 10 else 1000 * second))
    assert "1,000 images/s" in progress.line()


def test_a_pause_longer_than_the_window_still_gives_a_rate() -> None:
    clock = FakeClock()
    progress = TrainingProgress(clock=clock)
    progress.received(report(images=0))
    clock.now_s = 10 * WINDOW_S
    progress.received(report(images=300))
    assert "10 images/s" in progress.line()


@pytest.mark.parametrize("loss", [None, float("nan")])
def test_a_loss_that_is_missing_or_not_a_number_breaks_nothing(loss: float | None) -> None:
    progress = TrainingProgress()
    progress.received(report(loss=loss))
    assert progress.line().startswith("epoch 3/20  step 7")


def test_reports_of_a_users_own_metrics_change_nothing() -> None:
    progress = TrainingProgress()
    progress.received({"node": "chief:0", "temperature": 3})
    assert progress.line() == ""


def test_without_a_terminal_each_epoch_is_one_line() -> None:
    shown: list[str] = []
    line = ProgressLine(TrainingProgress(), show=shown.append, terminal=False)
    line.phase("feeding")
    for one in (report(), report("worker:0", epoch_end=True), report(epoch_end=True)):
        line.received(one)
    assert len(shown) == 2
    assert shown[0] == "feeding"


def test_on_a_terminal_every_report_redraws_the_line() -> None:
    shown: list[str] = []
    line = ProgressLine(TrainingProgress(), show=shown.append, terminal=True)
    line.received(report())
    line.received(report("worker:0"))
    assert len(shown) == 2


@pytest.mark.parametrize("terminal", [True, False])
def test_lines_go_to_the_console_that_was_given(terminal: bool) -> None:
    stream = io.StringIO()
    with progress_line(Console(file=stream, force_terminal=terminal), TrainingProgress()) as line:
        line.phase("starting Spark")
        line.received(report(epoch_end=True))
    assert "starting Spark" in stream.getvalue() or terminal
    assert "epoch 3/20" in stream.getvalue()
