"""What the driver makes of others: Spark's errors in one line, what feeders gave, and a map_fun that cannot be."""

from __future__ import annotations

import functools
import threading
from typing import Any

import cloudpickle
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfspark_cnn.cluster.feed_job import totals
from tfspark_cnn.cluster.launcher import brief
from tfspark_cnn.cluster.map_fun_payload import pickled
from tfspark_cnn.errors import EmptyFeedError, FeedError, MapFunError
from tfspark_cnn.feed.source import Sent

STAGE = "Job aborted due to stage failure: Task 1 in stage 0.0 failed 1 times, most recent failure: "
CALLING = "An error occurred while calling o58.collectToPython."
NODE_ERROR = f"""{CALLING}
: org.apache.spark.SparkException: {STAGE}Lost task 1.0: org.apache.spark.api.python.PythonException:
Traceback (most recent call last):
  File "/x/worker.py", line 1, in process
ValueError: the first of them

The above exception was the direct cause of the following exception:

  File "/x/node_task.py", line 77, in _tell
tfspark_cnn.errors.NodeError: [worker:0] map_fun raised ValueError: boom

\tat org.apache.spark.api.python.BasePythonRunner$ReaderIterator.handlePythonException(PythonRunner.scala:581)
Caused by: java.lang.RuntimeException: whatever
"""
LOST = f"""{STAGE}Lost task 1.0 in stage 0.0 (TID 1):
ExecutorLostFailure (executor 1 exited caused by one of the running tasks) Reason: Container killed
pyspark.errors.exceptions.base.PySparkRuntimeError: other
ValueError: of no importance
"""


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (NODE_ERROR, "tfspark_cnn.errors.NodeError: [worker:0] map_fun raised ValueError: boom"),
        (LOST, "ExecutorLostFailure (executor 1 exited caused by one of the running tasks) Reason: Container killed"),
        ("\n\n  [CANCELLED] Job 3 cancelled\n  more\n", "[CANCELLED] Job 3 cancelled"),
        ("org.apache.spark.SparkError: a\njava.io.IOException: b", "org.apache.spark.SparkError: a"),
        ("first\npyspark.errors.PySparkValueError: no\nscala.MatchError: no", "first"),
        ("first\nKeyboardInterrupt\n", "KeyboardInterrupt"),
        ("first\nan Error: in a sentence", "first"),
        (f"{CALLING}\n: org.apache.X: [CANCELLED] by\n\tat a.b", "org.apache.X: [CANCELLED] by"),
        (CALLING, CALLING),
        ("", "RuntimeError"),
        (" \n ", "RuntimeError"),
    ],
)
def test_one_line_of_a_spark_error_says_what_went_wrong(text: str, line: str) -> None:
    assert brief(RuntimeError(text)) == line


@given(st.text(max_size=300))
def test_whatever_spark_says_becomes_one_line_of_it(text: str) -> None:
    found = brief(RuntimeError(text))
    assert found and len(found.splitlines()) == 1


def test_a_line_without_end_is_cut() -> None:
    assert brief(RuntimeError("x" * 9000)) == "x" * 2000


@pytest.mark.parametrize(
    ("fed", "shares"),
    [
        ([(0, [3, 4])], [3, 4]),
        ([(1, [3, 4]), (0, [1, 0])], [4, 4]),
        ([(0, [0, 0]), (2, [5, 6]), (1, [0, 0])], [5, 6]),
        ([(0, [7])], [7]),
    ],
)
def test_shares_are_added_up_over_the_partitions(fed: list[tuple[int, list[int]]], shares: list[int]) -> None:
    assert totals([Sent(*one) for one in fed]) == shares


@pytest.mark.parametrize("fed", [[], [(0, [0, 0])], [(0, [0]), (1, [0])]])
def test_data_without_rows_is_an_error(fed: list[tuple[int, list[int]]]) -> None:
    with pytest.raises(EmptyFeedError, match="the data has no rows") as caught:
        totals([Sent(*one) for one in fed])
    assert "filters and joins" in (caught.value.hint or "")


def test_data_with_fewer_rows_than_nodes_is_an_error_with_the_shares() -> None:
    with pytest.raises(EmptyFeedError, match=r"has 3 rows, too few for each of 3 nodes to get one: \[2, 0, 1\]"):
        totals([Sent(0, [1, 0, 1]), Sent(1, [1, 0, 0])])


@pytest.mark.parametrize("partitions", [[0, 0], [1], [0, 2], [1, 2], [-1, 0]])
def test_a_partition_that_is_missing_or_came_twice_is_an_error(partitions: list[int]) -> None:
    with pytest.raises(FeedError, match=rf"expected each of {len(partitions)} partitions once, received \["):
        totals([Sent(partition, [1, 1]) for partition in partitions])


class WithState:
    def __call__(self, args: Any, ctx: Any) -> None: ...

    def method(self, args: Any, ctx: Any) -> None: ...


@pytest.mark.parametrize(
    "map_fun",
    [
        lambda args, ctx: None,
        lambda *both: None,
        lambda args, ctx, more=1: None,
        functools.partial(lambda more, args, ctx: None, 1),
        WithState(),
        WithState().method,
        dict,  # a builtin without a signature: the node will tell
    ],
)
def test_what_can_be_called_with_args_and_ctx_is_taken(map_fun: Any) -> None:
    function, args = cloudpickle.loads(pickled(map_fun, {"lr": 1}))
    assert callable(function) and args == {"lr": 1}


def test_a_name_travels_as_it_is() -> None:
    assert cloudpickle.loads(pickled("package.module:run.it", (1, 2))) == ("package.module:run.it", (1, 2))


@pytest.mark.parametrize("name", ["", "package.module", ":run", "package.module:", ":"])
def test_a_name_without_module_and_function_is_refused(name: str) -> None:
    with pytest.raises(MapFunError, match=rf"map_fun is {name!r}, expected 'package\.module:function'"):
        pickled(name, None)


@pytest.mark.parametrize(("map_fun", "kind"), [(None, "NoneType"), (3, "int"), ([print], "list")])
def test_what_is_no_function_is_refused(map_fun: Any, kind: str) -> None:
    with pytest.raises(MapFunError, match=rf"map_fun is a {kind}, expected a function of \(args, ctx\)"):
        pickled(map_fun, None)


@pytest.mark.parametrize(
    "map_fun",
    [
        lambda: None,
        lambda args: None,
        lambda args, ctx, more: None,
        lambda args, *, ctx: None,
        WithState.method,
        functools.partial(lambda args, ctx: None, 1),
    ],
)
def test_a_function_of_other_arguments_is_refused_before_anything_starts(map_fun: Any) -> None:
    with pytest.raises(MapFunError, match=r"map_fun cannot be called as map_fun\(args, ctx\): "):
        pickled(map_fun, None)


def test_what_cannot_be_pickled_is_refused_with_the_reason() -> None:
    lock = threading.Lock()
    with pytest.raises(MapFunError, match=r"or its args cannot be pickled: TypeError: .*lock") as caught:
        pickled(lambda args, ctx: lock, None)
    assert "inside map_fun" in (caught.value.hint or "")
    with pytest.raises(MapFunError, match="cannot be pickled: TypeError"):
        pickled(lambda args, ctx: None, {"lock": lock})
