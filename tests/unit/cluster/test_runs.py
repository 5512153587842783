from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfspark_cnn.cluster.messages import Abort, Entered, Failed, Joining, Leave, Returned, RunEnded
from tfspark_cnn.cluster.runs import LOST_S, Answer, Runs
from tfspark_cnn.errors import ClusterError

FIRST, SECOND = 10, 11  # Spark's numbers of two tries of a task


def fields(**known: object) -> dict[str, object]:
    """What travels of a failure."""
    return dataclasses.asdict(Failed(0, host="h", message="was ended", **known))  # type: ignore[arg-type]


def begun(count: int = 1, *, retries: int = 0, speculative: bool = False) -> Runs:
    """Runs of which the first has begun."""
    runs = Runs(count, retries=retries, speculative=speculative)
    assert runs.ask(0, task=FIRST, host="h", now_s=0.0) == (Answer.BEGIN, [])
    return runs


def again(runs: Runs) -> Answer:
    return runs.ask(0, task=SECOND, host="h2", now_s=1.0)[0]


def test_a_run_that_returned_is_let_go_at_once_and_its_result_ends_it() -> None:
    runs = begun()
    assert runs.handle(Entered(0, pid=7)) == []
    assert runs.handle(Returned(0)) == [Leave(0)]
    assert not runs.done
    runs.home(0, task=FIRST, result=b"r")
    assert runs.done and runs.by_number[0].result == b"r" and runs.failures == []
    assert again(runs) is Answer.NOTHING, "Spark tries a task again whose end it has not seen"


def test_what_failed_by_itself_never_begins_again() -> None:
    for known in ({"error": "ValueError"}, {"exit_code": 9}, {"error": "ValueError", "signal": "SIGTERM"}):
        runs = begun(retries=5)
        runs.handle(RunEnded(0, FIRST, fields(**known)))
        assert runs.done and again(runs) is Answer.NOTHING


@pytest.mark.parametrize("retries", [0, 1, 3])
def test_what_a_signal_ended_begins_again_as_often_as_told(retries: int) -> None:
    runs = Runs(1, retries=retries)
    for _ in range(retries + 1):
        assert runs.ask(0, task=FIRST, host="h", now_s=0.0) == (Answer.BEGIN, [])
        runs.handle(RunEnded(0, FIRST, fields(signal="SIGKILL")))
    assert runs.ask(0, task=FIRST, host="h", now_s=0.0) == (Answer.NOTHING, [])
    assert [failure.signal for failure in runs.failures] == ["SIGKILL"]
    assert runs.by_number[0].begun == retries + 1


def test_without_speculation_another_try_of_the_task_says_that_the_first_is_lost() -> None:
    runs = begun()
    answer, news = runs.ask(0, task=SECOND, host="h2", now_s=1.0)
    assert answer is Answer.NOTHING and [type(one) for one in news] == [Abort]
    (failure,) = runs.failures
    assert "lost" in failure.message and "retries=1" in (failure.hint or "") and failure.host == "h"


def test_with_retries_left_it_begins_at_the_second_try_and_what_the_first_still_says_is_dropped() -> None:
    runs = begun(retries=1)
    assert again(runs) is Answer.BEGIN
    runs.home(0, task=FIRST, result=b"old")
    runs.handle(RunEnded(0, FIRST, fields(exit_code=1)))
    runs.handle(RunEnded(0, FIRST))
    assert not runs.done and runs.by_number[0].host == "h2"
    runs.home(0, task=SECOND, result=b"new")
    assert runs.by_number[0].result == b"new"


def test_with_speculation_a_second_try_waits_for_the_first_and_map_fun_is_not_called_twice() -> None:
    runs = begun(speculative=True)
    assert again(runs) is Answer.WAIT
    runs.home(0, task=FIRST, result=b"r")
    assert again(runs) is Answer.NOTHING


def test_a_line_that_broke_is_a_loss_only_if_nobody_says_more_in_time() -> None:
    runs = begun()
    runs.broken(0, now_s=5.0)
    runs.expire(5.0 + LOST_S - 0.1)
    assert not runs.done
    runs.handle(RunEnded(0, FIRST, fields(signal="SIGKILL")))
    runs.expire(100.0)
    assert [failure.signal for failure in runs.failures] == ["SIGKILL"]
    runs = begun()
    runs.broken(0, now_s=5.0)
    runs.expire(5.0 + LOST_S)
    assert "without a word" in runs.failures[0].message


def test_a_line_that_ends_after_map_fun_has_returned_is_no_loss() -> None:
    runs = begun()
    runs.handle(Returned(0))
    runs.broken(0, now_s=5.0)
    runs.expire(100.0)
    assert not runs.done, "the result is on its way"


def test_after_an_abort_no_run_begins_and_none_fails() -> None:
    runs = begun(3)
    assert runs.abort("enough") == [Abort(0, "enough")] and runs.abort("again") == []
    runs.handle(RunEnded(0, FIRST))
    assert runs.ask(1, task=12, host="h", now_s=0.0) == (Answer.NOTHING, [])
    assert runs.failures == [] and not runs.done


def test_it_is_said_where_runs_stand() -> None:
    runs = begun(2)
    assert runs.where(0, now_s=9.2) == "run:0 (on h for 9 s)"
    assert runs.where(1, now_s=9.2) == "run:1 (no slot yet)"
    runs = begun(retries=1)
    runs.handle(RunEnded(0, FIRST))
    assert runs.where(0, now_s=9.2) == "run:0 (lost, not begun again)"


def test_the_log_says_what_happens_to_each() -> None:
    runs = begun(2, retries=1)
    runs.handle(Entered(0, pid=7))
    runs.handle(RunEnded(0, FIRST, fields(signal="SIGKILL")))
    runs.ask(1, task=12, host="h", now_s=0.0)
    runs.home(1, task=12, result=b"")
    runs.ask(0, task=FIRST, host="h", now_s=0.0)
    runs.handle(RunEnded(0, FIRST, fields(error="ValueError")))
    assert runs.said == [
        "[run:0] runs on h as process 7",
        "[run:0] was ended; it begins again, 0 retries are left",
        "[run:1] returned: 1 of 2 runs have ended",
        "[run:0] failed, was ended: 2 of 2 runs have ended",
    ]


def test_strange_messages_are_refused_and_those_of_nodes_are_of_no_interest() -> None:
    runs = begun()
    assert runs.handle(Joining(0)) == []
    with pytest.raises(ClusterError, match="there is no run 4 among 1"):
        runs.handle(Joining(4))
    with pytest.raises(ClusterError, match="the failure of run 0 cannot be read"):
        runs.handle(RunEnded(0, FIRST, {"nonsense": 1}))


@given(
    st.integers(0, 2),
    st.lists(st.tuples(st.sampled_from(["ask", "signal", "fail", "told", "home", "break"]), st.integers(0, 3))),
)
def test_whatever_happens_a_run_begins_at_most_retries_and_once_and_never_after_its_end(
    retries: int, events: list[tuple[str, int]]
) -> None:
    runs, ends = Runs(1, retries=retries), 0
    run = runs.by_number[0]
    for now_s, (event, task) in enumerate(events):
        was_done, before = run.done, run.begun
        if event == "ask":
            answer, _ = runs.ask(0, task=task, host="h", now_s=now_s)
            assert (answer is Answer.BEGIN) == (run.begun == before + 1)
        elif event == "home":
            runs.home(0, task=task, result=b"r")
        elif event == "break":
            runs.broken(0, now_s=now_s)
            runs.expire(now_s + LOST_S)
        else:
            known = {"signal": fields(signal="SIGKILL"), "fail": fields(error="E"), "told": None}[event]
            runs.handle(RunEnded(0, task, known))
        ends += run.done and not was_done
        assert run.done or not was_done, "what has ended stays so"
        assert run.begun == before or not was_done
    assert run.begun <= retries + 1 and ends <= 1
    assert not (run.result is not None and run.failure is not None)
