"""Who is slow: three times the others, over twenty steps, and not for one step that took long."""

from __future__ import annotations

import pytest

from tfspark_cnn.cluster.messages import Position
from tfspark_cnn.cluster.step_report import Paces, StepFigures, StepReport, slow

NAMES = {0: "chief:0", 1: "worker:0", 2: "worker:1"}


def told(*windows):
    """Gives what is said after windows of (steps, own milliseconds per step of each node), and the paces."""
    paces, steps, own_s, said = Paces(NAMES), 0, [0.0] * 3, []
    for count, own_ms in windows:
        steps += count
        for number, each_ms in enumerate(own_ms):
            own_s[number] += count * each_ms / 1000
            said.append(paces.take(Position(number, 0, steps, 0, measured=steps, own_s=own_s[number])))
    return [one for one in said if one], paces


@pytest.mark.parametrize(
    ("mean_ms", "found"),
    [
        ({"a": 20, "b": 20, "c": 210}, ["c"]),
        ({"a": 20, "b": 59}, []),
        ({"a": 20, "b": 61}, ["b"]),
        ({"a": 0.5, "b": 5.0}, []),
        ({"a": 200, "b": 20, "c": 200}, []),
        ({"a": 20}, []),
        ({}, []),
    ],
)
def test_over_three_times_the_others_is_slow(mean_ms, found):
    assert slow({name: ms / 1000 for name, ms in mean_ms.items()}) == found


def test_a_straggler_is_told_once_after_two_windows_in_a_row():
    assert told((10, (20, 20, 210)))[0] == []
    said, paces = told(*[(10, (20, 20, 210))] * 5)
    assert said == ["worker:1 is a straggler: 210 ms per step of its own, the others 20 ms"]
    assert str(paces.report()) == said[0] and paces.report().stragglers == ("worker:1",)


def test_a_window_that_took_long_once_is_no_straggler():
    said, paces = told((10, (20, 20, 210)), (10, (20, 20, 20)), (10, (20, 20, 210)), (10, (20, 20, 20)))
    assert said == [] and paces.report().stragglers == ()


def test_one_that_becomes_slow_late_is_found_by_its_last_steps():
    said, _ = told((1000, (20, 20, 20)), (10, (20, 20, 100)), (10, (20, 20, 100)))
    assert said == ["worker:1 is a straggler: 100 ms per step of its own, the others 20 ms"]


def test_too_few_steps_are_no_reason():
    assert told((4, (20, 20, 900)), (4, (20, 20, 900)))[0] == []


def test_the_report_has_all_nodes_also_before_they_have_said_anything():
    report = Paces(NAMES).report()
    assert [(node.name, node.mean_s) for node in report.nodes] == [(name, 0.0) for name in NAMES.values()]
    assert report.as_dict()["nodes"][0] == {"name": "chief:0", "steps": 0, "own_s": 0.0, "mean_s": 0.0}


def test_figures_are_means_in_milliseconds():
    report = StepReport((StepFigures("chief:0", 10, 0.025), StepFigures("worker:0", 10, 0.31)))
    assert str(report) == "own time per step: chief:0 2.5 ms, worker:0 31 ms"
