"""What is told at the end of a run."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from tfspark_cnn.cli.report import RunReport, summarize
from tfspark_cnn.cluster.attempts import AttemptReport
from tfspark_cnn.cluster.step_report import StepFigures, StepReport
from tfspark_cnn.errors import ClusterError

TIMINGS = {"stop": 0.5, "start": 12.0, "feed": 3.0}


def results() -> list[Any]:
    chief = {
        "node": "chief:0",
        "history": {"loss": [1.5, 0.25]},
        "fit_s": 4.0,
        "images": 100,
        "model": "/runs/model.keras",
        "test_accuracy": 0.9875,
        "test_rows": 360,
    }
    return [None, chief, {"node": "worker:0", "history": {"loss": [1.5, 0.25]}, "fit_s": 5.0, "images": 101}]


def shown(report: RunReport) -> str:
    console = Console(width=100, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    with console.file:
        console.print(report.as_table())
    return re.sub(r"\s*│\s*", "", console.export_text())  # long paths go on in the next line


def test_rows_per_second_are_of_all_nodes_by_the_slowest_fit() -> None:
    report = summarize(results(), timings=TIMINGS)
    assert (report.images, report.rows_per_s) == (201, 201 / 5.0)


def test_phases_come_in_their_order() -> None:
    assert list(summarize(results(), timings=TIMINGS).seconds) == ["start", "feed", "fit", "stop"]


def test_reported_images_stand_in_where_nodes_returned_none() -> None:
    without = [{**one, "images": 0} if one else one for one in results()]
    assert summarize(without, timings={}, images=50).images == 50


def test_the_table_has_accuracy_losses_speed_phases_and_paths(tmp_path: Path) -> None:
    (tmp_path / "chief-0" / "train").mkdir(parents=True)
    (tmp_path / "chief-0" / "train" / "events.out.tfevents.1.host").touch()
    text = shown(summarize(results(), timings=TIMINGS, log_dir=tmp_path))
    for part in (
        "0.9875 on 360",
        "1.5000 0.2500",
        "40 (201 rows)",
        "12.0",
        "3.0",
        "5.0",
        "0.5",
        "model.keras",
        "events.out",
    ):
        assert part in text


def test_the_report_becomes_json() -> None:
    told = json.loads(json.dumps(summarize(results(), timings=TIMINGS).as_dict()))
    assert (told["accuracy"], told["loss"], told["seconds"]["fit"]) == (0.9875, [1.5, 0.25], 5.0)


def test_paths_below_the_working_folder_are_shown_from_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    given = results()
    given[1]["model"] = str(tmp_path / "runs" / "model.keras")
    assert summarize(given, timings={}).model == "runs/model.keras"


def test_a_run_without_an_accuracy_is_an_error() -> None:
    with pytest.raises(ClusterError, match=r"(?s)expected the chief to return a test accuracy.*spark\.log"):
        summarize([None, {"node": "worker:0"}], timings={})


def test_a_straggler_is_in_the_table_and_in_the_json() -> None:
    nodes = (StepFigures("chief:0", 100, 2.0), StepFigures("worker:0", 100, 21.0))
    report = summarize(results(), timings=TIMINGS, steps=StepReport(nodes, ("worker:0",)))
    assert "worker:0 is a straggler: 210 ms per step of its own, the others 20 ms" in shown(report)
    told = json.loads(json.dumps(report.as_dict()))["steps"]
    assert told["stragglers"] == ["worker:0"]
    assert told["nodes"][1] == {"name": "worker:0", "steps": 100, "own_s": 21.0, "mean_s": 0.21}


def test_steps_that_were_not_measured_are_left_out() -> None:
    report = summarize(results(), timings=TIMINGS, steps=StepReport((StepFigures("chief:0", 0, 0.0),)))
    assert report.steps is None and report.as_dict()["steps"] is None
    assert "own time per step" not in shown(report)


def test_attempts_are_told_where_there_was_more_than_one_or_one_went_on() -> None:
    cause = "[chief:0] was ended by SIGKILL (exit 137)"
    first, second = AttemptReport(1, 12.5, cause, "chief:0"), AttemptReport(2, 20.0, resumed_step=299, recovery_s=6.9)
    report = summarize(results(), timings=TIMINGS, attempts=[first, second])
    text = shown(report)
    for part in ("attempt 1: from the beginning; [chief:0] was ended", "12.5 s", "attempt 2: from step 299", "6.9 s"):
        assert part in text, text
    assert [one["resumed_step"] for one in report.as_dict()["attempts"]] == [None, 299]
    alone = AttemptReport(1, 12.5)
    assert "attempt" not in shown(summarize(results(), timings=TIMINGS, attempts=[alone]))
    went_on = AttemptReport(1, 9.0, resumed_step=7)
    assert "from step 7" in shown(summarize(results(), timings=TIMINGS, attempts=[went_on]))


def test_a_run_that_had_nothing_left_to_train_says_where_it_stands() -> None:
    said = summarize(results(), timings=TIMINGS).why_nothing_was_trained(1, folder=Path("/runs"))
    assert "the last checkpoint in /runs is of epoch 2, train.epochs is 1; raise it" in said
