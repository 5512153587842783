"""What comes of TensorFlowOnSpark's errors."""

from __future__ import annotations

import pytest

from tfspark_cnn.cluster.ancestor_errors import NodeFailed, keras_fit, said, translated
from tfspark_cnn.errors import ClusterError, ConfigError, FeedError, FeedTimeout, NodeError, SchemaError

FAILED = NodeFailed("worker:1", "host-b", "ValueError", 'no "room"\nleft', None, "Traceback:\n  in map_fun\n")


def through_spark(line: str) -> str:
    """As it stands in the text of a Py4JJavaError."""
    above = ["An error occurred", ": org.apache.spark.SparkException: Job aborted", "Exception: Exception in worker:"]
    return "\n".join([*above, "Traceback", f"RuntimeError: {line}", "", "\tat org.apache.spark.x"])


def test_a_failure_of_a_node_comes_through_the_text_of_others() -> None:
    assert said(through_spark(FAILED.line())) == FAILED
    error = translated(Exception(through_spark(FAILED.line())))
    assert type(error) is NodeError and error.node == "worker:1" and error.host == "host-b"
    assert error.message.startswith('ValueError: no "room"\nleft (host host-b)\nTraceback on the node:\nTraceback:')
    assert error.remote_traceback == FAILED.traceback


def test_an_error_of_our_tree_stays_what_it_is() -> None:
    failed = NodeFailed("chief:0", "a", "SchemaError", "no column", "name it", "Traceback")
    error = translated(Exception(through_spark(failed.line())))
    assert type(error) is SchemaError and error.hint == "name it" and error.message.startswith("no column (host a)")
    again = ClusterError("as it was")
    assert translated(again) is again


def test_what_it_noted_of_its_job_counts_where_it_wants_to_exit() -> None:
    assert translated(SystemExit(1), status=through_spark(FAILED.line())).node == "worker:1"


def test_a_line_that_is_cut_is_passed_over() -> None:
    assert said(FAILED.line()[:-5]) is None
    assert said(FAILED.line()[:-5] + "\n" + FAILED.line()) == FAILED


@pytest.mark.parametrize(
    ("text", "kind", "words"),
    [
        ("Exception: Timeout while feeding partition", FeedTimeout, "gave up a partition"),
        ("Exception: No executor_id file found on this node", ClusterError, "No executor_id file found"),
        ("Duplicate cluster node id detected (host=a)", ClusterError, "Duplicate cluster node id"),
        ("x\nZeroDivisionError: division by zero\n\tat java", FeedError, "has failed: ZeroDivisionError: division by"),
        ("", FeedError, "no reason was given"),
    ],
)
def test_what_it_says_itself_is_an_error_of_ours_with_a_cure(text: str, kind: type[Exception], words: str) -> None:
    error = translated(Exception(text))
    assert type(error) is kind and words in error.message and error.hint


KERAS = "/x/site-packages/keras/src/utils/traceback_utils.py"


def test_fit_of_keras_3_is_known_by_where_and_how_it_fails() -> None:
    unsupported = "Attempt to convert a value (PerReplica:{...}) with an unsupported type to a Tensor"
    error = keras_fit(unsupported, ["/x/program.py", KERAS])
    assert isinstance(error, ConfigError) and "tf_keras" in (error.hint or "")
    assert keras_fit("Invalid reduction dimension 0 for input with 0 dimensions", [KERAS])
    assert (
        keras_fit(unsupported, ["/x/program.py", "/x/tf_keras/src/engine.py"]) is None
        and keras_fit("no such layer", [KERAS]) is None
    )
