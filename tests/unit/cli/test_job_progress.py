"""What is told of Spark's jobs while a command waits for them."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from py4j.protocol import Py4JNetworkError

from tfspark_cnn.cli.job_progress import job_progress, part_done


@dataclass
class Tracker:
    """Spark's, as it is look by look: the tasks of each stage that runs; then it fails, as when Spark has ended."""

    looks: list[dict[int, tuple[int, int] | None]]
    over: threading.Event = field(default_factory=threading.Event)

    def getActiveStageIds(self) -> list[int]:
        if not self.looks:
            self.over.set()
            raise Py4JNetworkError("the JVM is gone")
        self.now = self.looks.pop(0)
        return list(self.now)

    def getStageInfo(self, stage: int) -> Any:
        found = self.now[stage]
        return found and SimpleNamespace(numCompletedTasks=found[0], numTasks=found[1])


@dataclass
class Shown:
    phases: list[str] = field(default_factory=list)

    def phase(self, text: str) -> None:
        self.phases.append(text)


def shown(*looks: dict[int, tuple[int, int] | None]) -> list[str]:
    tracker, display = Tracker(list(looks)), Shown()
    spark: Any = SimpleNamespace(sparkContext=SimpleNamespace(statusTracker=lambda: tracker))
    with job_progress(spark, display, "scoring a", look_s=0.0):  # type: ignore[arg-type]
        assert tracker.over.wait(10)
    return display.phases


def test_tasks_of_stages_that_run_are_added_up() -> None:
    assert part_done([]) == (0, 0)
    assert part_done([(3, 8), (0, 4)]) == (3, 12)


@pytest.mark.parametrize("nothing", [{}, {1: (0, 40)}, {1: None}])
def test_nothing_is_told_before_a_task_has_ended(nothing: dict[int, Any]) -> None:
    assert shown(nothing, nothing) == ["scoring a"]


def test_a_line_is_told_for_each_tenth() -> None:
    looks: list[dict[int, tuple[int, int] | None]] = [{1: (ended, 1000)} for ended in range(1, 1001)]
    told = shown(*looks)
    assert told[:3] == ["scoring a", "scoring a: 1 of 1,000 tasks", "scoring a: 100 of 1,000 tasks"]
    assert len(told) == 12


def test_a_stage_that_begins_is_told_too() -> None:
    assert shown({1: (8, 8)}, {}, {2: (0, 4)}, {2: (4, 4)})[1:] == [
        "scoring a: 8 of 8 tasks", "scoring a: 4 of 4 tasks"
    ]  # fmt: skip
