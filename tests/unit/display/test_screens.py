"""Where a display is drawn: terminals of any width, HTML, plain lines."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from tfspark_cnn.display.display import Display
from tfspark_cnn.display.screens import Lines, Terminal, as_html, in_notebook, rendered, screen
from tfspark_cnn.display.view import RunView
from tfspark_cnn.events import Event, Kind

START = Event(0.0, Kind.START, values={"nodes": ["chief:0", "worker:0"]})


def ended(epoch: int, node: str = "chief:0", **more: Any) -> Event:
    values = {"epoch": epoch, "epochs": 20, "step": 23, "images": 700 * epoch, "seconds": 2.0}
    figures = {"metrics": {"loss": 1 / epoch, "accuracy": 0.5}, "timed_steps": 20, "timed_s": 1.0, "waited_s": 0.25}
    return Event(float(epoch), Kind.EPOCH_END, node, values | figures | {"memory_bytes": 900 << 20} | more)


def trained() -> RunView:
    view = RunView()
    for event in (START, ended(1), ended(2), ended(2, "worker:0"), Event(2, Kind.CHECKPOINT, values={"step": 46})):
        view.take(event)
    return view


def drawn(view: RunView, width: int) -> list[str]:
    stream = io.StringIO()
    Console(file=stream, width=width).print(rendered(view, 3.0, width=width))
    return stream.getvalue().splitlines()


def test_a_terminal_shows_the_epoch_a_bar_the_metrics_the_speed_and_each_node() -> None:
    lines = drawn(trained(), 100)
    assert lines[0].startswith("epoch 2/20  step 23/23")
    assert "10%" in lines[1] and lines[1].startswith("━")
    assert lines[2].split("  ")[:2] == ["loss 0.5000", "accuracy 0.5000"] and "images/s  0:36 left" in lines[2]
    assert [line.split() for line in lines[4:6]] == [
        ["chief:0", "training", "50", "ms", "25%", "900", "MiB"],
        ["worker:0", "training", "50", "ms", "25%", "900", "MiB"],
    ]
    assert lines[-1].strip() == "checkpoint at step 46"


@pytest.mark.parametrize("width", [20, 30, 40, 60, 80, 200])
def test_no_line_is_wider_than_the_terminal_and_none_is_wrapped(width: int) -> None:
    lines = drawn(trained(), width)
    assert max(map(len, lines)) <= width
    assert sum(line.startswith(("chief:0", "worker:0")) for line in lines) == 2
    assert len(lines) <= 10


def test_before_training_a_terminal_shows_the_phase_and_the_seconds() -> None:
    view = RunView()
    view.take(START)
    assert drawn(view, 60)[0].strip() == "starting 2 nodes  0:03"


def test_html_has_the_same_and_nothing_of_a_node_is_taken_for_markup() -> None:
    view = trained()
    view.take(Event(3.0, Kind.DEATH, "worker:0", {"cause": "<script>alert(1)</script>"}))
    html = as_html(view, 3.0)
    assert "<script>" not in html and "&lt;script&gt;" in html
    assert html.count("<tr>") == 3 and "epoch 2/20" in html and "width:10.0%" in html and "900 MiB" in html


def lines_of(*events: Event) -> list[str]:
    stream = io.StringIO()
    with Display(Lines(stream), clock=lambda: 3.0) as display:
        display.phase("starting Spark")
        for event in events:
            display.take(event)
    return stream.getvalue().splitlines()


def test_without_a_terminal_deaths_attempts_and_where_it_goes_on_are_lines() -> None:
    died = Event(2.0, Kind.DEATH, "worker:0", {"cause": "was ended by SIGKILL\nto do: more room"})
    again = Event(3.0, Kind.RESTART, values={"attempt": 2})
    saved = Event(1.5, Kind.CHECKPOINT, "chief:0", {"step": 23, "epoch": 1, "name": "a"})
    begun, on = Event(3.0, Kind.ATTEMPT, values={"attempt": 2}), Event(4.0, Kind.RESUMED, "chief:0", {"step": 23})
    told = lines_of(START, ended(1), saved, died, again, begun, on, ended(2))
    assert [line.partition("  step")[0] for line in told] == [
        "starting Spark", "starting 2 nodes", "epoch 1/20", "worker:0 died: was ended by SIGKILL", "attempt 2 begins",
        "starting attempt 2", "goes on from step 23", "epoch 2/20",
    ]  # fmt: skip


def test_without_a_terminal_each_phase_and_each_epoch_is_one_line() -> None:
    more = Event(1.5, Kind.STEP, "chief:0", {"epoch": 2, "epochs": 20, "step": 3, "metrics": {"loss": 0.7}})
    told = lines_of(START, ended(1), ended(1, "worker:0"), more, more, ended(2, "worker:0"), ended(2))
    assert [line.partition("  loss")[0] for line in told] == [
        "starting Spark", "starting 2 nodes", "epoch 1/20  step 23/23", "epoch 2/20  step 23/23",
    ]  # fmt: skip
    assert told[-1].startswith("epoch 2/20  step 23/23  loss 0.5000  accuracy 0.5000  ") and "images/s" in told[-1]


def test_a_second_fit_has_lines_of_its_own() -> None:
    told = lines_of(START, ended(1, epochs=1), ended(1, "worker:0", epochs=1), ended(1, epochs=2), ended(2, epochs=2))
    assert [line.partition("  step")[0] for line in told[2:]] == ["epoch 1/1", "epoch 1/2", "epoch 2/2"]


def test_a_stream_that_is_no_terminal_gets_lines() -> None:
    assert isinstance(screen(io.StringIO()), Lines)
    assert not in_notebook()


def test_a_terminal_is_redrawn_in_place_and_keeps_the_last_state() -> None:
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, width=80)
    with Display(Terminal(console), clock=lambda: 3.0) as display:
        display.phase("starting Spark")
        for event in (START, ended(1), ended(2)):
            display.take(event)
    text = stream.getvalue()
    assert "\x1b[1A" in text or "\x1b[2K" in text, "the cursor goes up, and lines are cleared"
    assert text.rindex("epoch 2/20") > text.rindex("\x1b[2K")


def test_a_display_that_cannot_be_drawn_takes_nothing_down() -> None:
    class Broken(Lines):
        def draw(self, view: RunView, now_s: float) -> None:
            raise OSError("the terminal is gone")

    with Display(Broken(io.StringIO())) as display:
        display.take(START)
    assert display.view.nodes.keys() == {"chief:0", "worker:0"}
