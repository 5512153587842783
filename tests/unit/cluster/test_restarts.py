"""Which failures let a cluster begin anew, and when the budget is not burnt."""

from __future__ import annotations

import pytest

from tfspark_cnn.cluster.restarts import Ending, cause, may_pass, reason_to_stop, told
from tfspark_cnn.errors import (
    CheckpointError,
    ClusterError,
    ConfigError,
    FeedError,
    FeedTimeout,
    JobError,
    NodeError,
    ReservationTimeout,
    SchemaError,
)


def raised(line: int = 7, node: str = "worker:0", value: str = "boom") -> NodeError:
    error = NodeError(f"map_fun raised ValueError: {value} (host a)", node=node)
    frames = f'  File "a.py", line 1, in run\n  File "b.py", line {line}, in step\n'
    error.remote_traceback = f"Traceback (most recent call last):\n{frames}ValueError: {value}"
    return error


def killed(node: str = "worker:0", signal: str = "SIGKILL") -> NodeError:
    error = NodeError(f"was ended by {signal}; held up to {id(node)} MiB", node=node)
    error.exit_code, error.signal = 137, signal
    return error


@pytest.mark.parametrize(
    ("error", "passes"),
    [
        (killed(), True),
        (raised(), True),
        (ReservationTimeout("not up"), True),
        (JobError("Spark failed the job that holds the nodes: ExecutorLostFailure"), True),
        (JobError("Spark failed the job that holds the nodes: Job 3 cancelled as part of group"), False),
        (ClusterError("worker:0 has returned, and chief:0 waits for it"), False),
        (ConfigError("no"), False),
        (SchemaError("no such column"), False),
        (CheckpointError("of another model"), False),
        (FeedError("Spark failed the feed"), False),
        (FeedTimeout("nothing has moved"), False),
    ],
)
def test_a_node_that_died_may_be_chance_and_what_the_caller_asked_for_is_not(error, passes):
    assert may_pass(error) is passes
    found = reason_to_stop([Ending(1, error)], max_restarts=5)
    assert found == (None if passes else f"a {type(error).__name__} would come again")


def endings(*errors, saved=None):
    steps = saved or [None] * len(errors)
    return [Ending(n + 1, error, step) for n, (error, step) in enumerate(zip(errors, steps, strict=True))]


@pytest.mark.parametrize(
    ("ended", "reason"),
    [
        (endings(killed()), None),
        (endings(killed(), killed("worker:1")), None),
        (endings(killed(), killed()), None),
        (endings(killed(), killed(), killed()), "3 attempts ended alike before the first checkpoint"),
        (endings(killed(), killed(), killed(signal="SIGSEGV")), None),
        (endings(killed(), killed(), killed(), saved=[10, 20, 30]), None),
        (endings(killed(), killed(), killed(), saved=[10, 10, 10]), "3 attempts ended alike after step 10"),
        (endings(raised(), raised(value="bang")), "2 attempts ended alike before the first checkpoint"),
        (endings(raised(), raised(node="chief:0")), "2 attempts ended alike before the first checkpoint"),
        (endings(raised(), raised(line=8)), None),
        (endings(raised(), killed(), raised()), None),
        (endings(raised(), raised(), saved=[5, 6]), None),
        (endings(raised(), raised(), saved=[5, 5]), "2 attempts ended alike after step 5"),
        (endings(*[killed(f"worker:{n}") for n in range(6)]), "max_restarts is 5"),
    ],
)
def test_a_failure_that_comes_again_without_progress_stops_the_run(ended, reason):
    found = reason_to_stop(ended, max_restarts=5)
    assert (found or "").removesuffix(", without a newer checkpoint") == (reason or "")


def test_the_error_says_which_attempt_it_was_and_why_there_is_no_other():
    ended = endings(killed(), killed())
    error = told(killed(), ended, "max_restarts is 1")
    assert str(error).endswith("\nThis was attempt 2; there is no other: max_restarts is 1")
    assert "attempt" not in str(told(killed(), ended[:1], "max_restarts is 0")), "who asked for none needs no words"


def test_a_cause_is_one_line():
    assert cause(NodeError("is gone\nTraceback ...", node="worker:1")) == "[worker:1] is gone"
    assert cause(KeyboardInterrupt()) == "the driver met KeyboardInterrupt"
