from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfspark_cnn.cluster import policy
from tfspark_cnn.cluster.messages import Failed
from tfspark_cnn.cluster.policy import Vanished, Weight
from tfspark_cnn.cluster.topology import plan
from tfspark_cnn.errors import FeedError, JobError, NodeError, SchemaError

TOPOLOGY = plan(3, master_node="chief")


def failed(node: int = 0, **known: Any) -> Failed:
    return Failed(node, **{"host": "10.0.0.7", "message": "map_fun raised it", **known})


OWN = [
    failed(error="ZeroDivisionError"),
    failed(error="SchemaError"),
    failed(error="InternalError", message="cuDNN could not be loaded"),
    failed(error="ValueError", message="Connection refused by the gatekeeper"),
    failed(exit_code=137, signal="SIGKILL"),
    failed(exit_code=139, signal="SIGSEGV", stderr_tail=["Socket closed"]),
    failed(exit_code=134, signal="SIGABRT", stderr_tail=["terminate called without an active exception"]),
    failed(exit_code=3),
]
CONSEQUENCES = [
    failed(error="UnavailableError"),
    failed(error="AbortedError"),
    failed(error="CancelledError"),
    failed(error="DeadlineExceededError"),
    failed(error="UnknownOpError"),
    failed(error="InternalError", message="Collective ops is aborted by: peer 1"),
    failed(error="InternalError", traceback="...\nfailed to connect to all addresses"),
    failed(exit_code=134, signal="SIGABRT", stderr_tail=["F0000 coordination", "task is set to ERROR by heartbeat"]),
]

failures = st.lists(st.sampled_from(OWN + CONSEQUENCES), min_size=1, max_size=6)


@pytest.mark.parametrize("failure", OWN)
def test_exceptions_statuses_and_signals_of_a_node_itself_are_causes(failure: Failed) -> None:
    assert policy.weight(failure) is Weight.OWN
    assert policy.is_settled([failure])


@pytest.mark.parametrize("failure", CONSEQUENCES)
def test_what_a_node_sees_of_others_is_a_consequence(failure: Failed) -> None:
    assert policy.weight(failure) is Weight.CONSEQUENCE
    assert not policy.is_settled([failure])


@given(failures)
def test_the_first_of_those_that_say_most_is_to_blame(many: list[Failed]) -> None:
    own = [failure for failure in many if failure in OWN]
    assert policy.root_cause(many) is (own or many)[0]
    assert policy.is_settled(many) == bool(own)


def test_a_killed_peer_is_blamed_although_its_neighbours_spoke_first() -> None:
    peers = [failed(1, error="UnavailableError"), failed(2, error="InternalError", message="Connection reset by peer")]
    killed = failed(0, exit_code=137, signal="SIGKILL")
    assert policy.root_cause([*peers, killed]) is killed


def test_nobody_has_settled_anything_before_the_first_failure() -> None:
    assert not policy.is_settled([])


@pytest.mark.parametrize(
    ("exit_code", "signal", "oom_kills", "words", "hint"),
    [
        (137, "SIGKILL", 0, "container's or the kernel's out-of-memory killer sends, or somebody's kill -9", "memoryO"),
        (137, "SIGKILL", 2, "the kernel's out-of-memory killer struck on that host meanwhile", "memoryOverhead"),
        (137, None, 0, "exit 137", "batch_size"),
        (139, "SIGSEGV", 0, "crashed with SIGSEGV (exit 139) in native code", "PYTHONFAULTHANDLER=1"),
        (134, "SIGABRT", 0, "crashed with SIGABRT (exit 134)", "PYTHONFAULTHANDLER=1"),
        (135, "SIGBUS", 0, "crashed with SIGBUS", "PYTHONFAULTHANDLER=1"),
        (132, "SIGILL", 0, "crashed with SIGILL", "PYTHONFAULTHANDLER=1"),
        (136, "SIGFPE", 0, "crashed with SIGFPE", "PYTHONFAULTHANDLER=1"),
        (143, "SIGTERM", 0, "was ended by SIGTERM (exit 143)", "who sent it"),
        (129, "SIGHUP", 5, "was ended by SIGHUP (exit 129)", "who sent it"),
        (0, None, 0, "ended before map_fun returned (exit 0)", "must return"),
        (1, None, 0, "ended with exit 1 before map_fun returned", "stderr"),
        (255, None, 3, "ended with exit 255 before map_fun returned", "stderr"),
    ],
)
def test_an_exit_is_explained(exit_code: int, signal: str | None, oom_kills: int, words: str, hint: str) -> None:
    message, advice = policy.explain_exit(exit_code, signal, oom_kills=oom_kills, peak_mib=321)
    assert words in message
    assert hint in advice
    assert ("321 MiB" in message) == (exit_code == 137)


def test_an_error_of_our_own_tree_keeps_its_class_and_carries_what_is_known() -> None:
    failure = failed(
        1, message="column 'x' is missing", error="SchemaError", hint="pass a column that there is", exit_code=1,
        traceback="Traceback (most recent call last):\n  here\n", stderr_tail=["warming up", "boom"],
    )  # fmt: skip
    error: Any = policy.to_error(failure, TOPOLOGY)
    assert type(error) is SchemaError and isinstance(error, FeedError)
    assert (error.node, error.hint) == ("worker:0", "pass a column that there is")
    assert (error.host, error.exit_code, error.signal) == ("10.0.0.7", 1, None)
    assert error.remote_traceback == failure.traceback
    assert error.stderr_tail == ("warming up", "boom")
    assert str(error).startswith("[worker:0] column 'x' is missing (host 10.0.0.7)\nTraceback on the node:\nTraceback")
    assert "Last lines of its stderr:\n  warming up\n  boom" in str(error)
    assert str(error).endswith("to do: pass a column that there is")


def test_what_tensorflow_always_writes_at_its_start_is_not_shown_as_last_words() -> None:
    noise = [
        "I0000 00:00:1 port.cc:153] oneDNN custom operations are on. You may see slightly different numerical results",
        "WARNING: All log messages before absl::InitializeLog() is called are written to STDERR",
        "I0000 00:00:1 cpu_feature_guard.cc:227] This TensorFlow binary is optimized to use available CPU instructions",
        "To enable the following instructions: AVX2, in other operations, rebuild TensorFlow",
        "E0000 cuda_platform.cc:52] failed call to cuInit: INTERNAL: CUDA error: Failed call: UNKNOWN ERROR (303)",
    ]
    shown = str(policy.to_error(failed(1, stderr_tail=[*noise, "failed call to cuInit: out of memory"]), TOPOLOGY))
    assert shown.split("stderr:\n")[1].splitlines()[0] == "  failed call to cuInit: out of memory"
    quiet = policy.to_error(failed(1, stderr_tail=noise), TOPOLOGY)
    assert "Last lines" not in str(quiet) and quiet.stderr_tail == tuple(noise)


@pytest.mark.parametrize("name", [None, "ZeroDivisionError", "UnavailableError", "Any", "by_name", "annotations"])
def test_any_other_failure_becomes_a_node_error(name: str | None) -> None:
    error = policy.to_error(failed(2, error=name, exit_code=137, signal="SIGKILL"), TOPOLOGY)
    assert type(error) is NodeError
    assert (error.node, error.host, error.exit_code, error.signal) == ("worker:1", "10.0.0.7", 137, "SIGKILL")
    assert error.remote_traceback is None and error.stderr_tail == ()
    assert str(error) == "[worker:1] map_fun raised it (host 10.0.0.7)"


def test_a_node_that_is_gone_without_a_word_is_named_with_its_host() -> None:
    error = policy.lost_error(Vanished(1), TOPOLOGY, "10.0.0.9")
    assert (error.node, error.host) == ("worker:0", "10.0.0.9")
    assert "gone without a word: its executor or its host (10.0.0.9) was lost" in str(error)
    assert "executor's log" in (error.hint or "")


def test_a_job_that_spark_failed_is_told_in_sparks_words() -> None:
    error = policy.job_error("Job aborted")
    assert type(error) is JobError
    assert "Spark failed the job that holds the nodes: Job aborted" in str(error) and "Spark UI" in (error.hint or "")
