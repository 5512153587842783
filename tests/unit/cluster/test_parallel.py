from __future__ import annotations

import pickle
from types import SimpleNamespace
from typing import Any

import pytest

from tfspark_cnn.cluster.messages import RunEnded
from tfspark_cnn.cluster.parallel import _result, _waited
from tfspark_cnn.cluster.run_arguments import OnError
from tfspark_cnn.cluster.runs import Runs
from tfspark_cnn.errors import JobError, MapFunError, NodeError, RunTimeout, SchemaError

FAILURE = {"host": "h", "message": "map_fun raised ValueError: mine", "error": "ValueError", "traceback": "T"}


def three() -> Runs:
    """Of three runs one is home, one is under way, one has no slot."""
    runs = Runs(3)
    for number in (0, 1):
        runs.ask(number, task=number, host="h", now_s=0.0)
    runs.home(0, task=0, result=pickle.dumps("r"))
    return runs


class Job:
    """A job in which nothing more happens."""

    def __init__(self, runs: Runs, *, ended: bool = False, failure: str = "") -> None:
        self.coordinator = SimpleNamespace(runs=runs, job_ended=ended, job_failure=failure)

    def wait(self, condition: Any, *, timeout_s: float | None) -> bool:
        return bool(condition(self.coordinator.runs))


def waited(job: Any, mode: OnError) -> Any:
    return _waited(job, mode, 7.0)


def test_runs_that_have_not_ended_in_time_are_named_with_where_they_stand() -> None:
    error = waited(Job(three()), OnError.RAISE)
    assert isinstance(error, RunTimeout) and isinstance(error, TimeoutError)
    assert "after 7 s these of 3 runs had not ended: run:1 (on h for " in error.message
    assert error.message.endswith("run:2 (no slot yet)")


def test_a_job_that_spark_ended_says_why_and_what_had_not_ended() -> None:
    error = waited(Job(three(), ended=True, failure="it was cancelled"), OnError.RETURN)
    assert isinstance(error, JobError)
    assert "it was cancelled; these had not ended: run:1 (" in error.message


@pytest.mark.parametrize("mode", list(OnError))
def test_results_stand_in_their_places_and_what_did_not_end_in_that_of_the_others(mode: OnError) -> None:
    runs = three()
    runs.handle(RunEnded(1, 1, FAILURE))
    error = waited(Job(runs), mode)
    assert isinstance(error, NodeError if mode is OnError.RAISE else RunTimeout)
    first, second, third = (_result(run, runs, mode, error) for run in runs.by_number.values())
    assert first == "r" and third is error
    assert (type(second), second.node, second.remote_traceback) == (NodeError, "run:1", "T")


def test_errors_of_this_package_come_as_they_were_raised() -> None:
    runs = three()
    runs.handle(RunEnded(1, 1, {**FAILURE, "error": "SchemaError"}))
    error = waited(Job(runs), OnError.RAISE)
    assert isinstance(error, SchemaError) and error.node == "run:1"


def test_with_all_home_nothing_went_wrong() -> None:
    runs = Runs(1)
    runs.ask(0, task=5, host="h", now_s=0.0)
    runs.home(0, task=5, result=pickle.dumps(None))
    assert waited(Job(runs), OnError.RAISE) is None
    assert _result(runs.by_number[0], runs, OnError.RAISE, None) is None


def test_a_result_that_cannot_be_unpickled_is_an_error_of_its_run() -> None:
    runs = Runs(1)
    runs.ask(0, task=5, host="h", now_s=0.0)
    runs.home(0, task=5, result=b"cno_such_module\nthing\n.")
    run = runs.by_number[0]
    with pytest.raises(MapFunError, match=r"\[run:0\].*No module named 'no_such_module'"):
        _result(run, runs, OnError.RAISE, None)
    assert isinstance(_result(run, runs, OnError.RETURN, None), MapFunError)
