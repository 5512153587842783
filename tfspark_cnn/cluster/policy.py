"""What a failure means: which of several is the cause, what it says to a person, and which error it becomes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

from tfspark_cnn.cluster.lockstep import SAME_CALLS
from tfspark_cnn.cluster.messages import Failed
from tfspark_cnn.cluster.topology import Topology
from tfspark_cnn.errors import JobError, NodeError, TFSparkError, by_name

SETTLE_S = 1.0
"""How long to wait for a better explanation when the first sign of a failure is only a consequence of one.

TensorFlow's collectives of the surviving nodes fail within milliseconds of a peer's death, often before the supervisor
of the dead one has spoken; a supervisor needs well under 0.3 s."""

EXECUTOR_LOST = "ExecutorLostFailure"
"""Spark's word in what it says of such a job."""


class Weight(IntEnum):
    """How much a failure says about the cause: the lightest decides."""

    OWN = 0  # an exception of map_fun itself, or an exit status or signal
    CONSEQUENCE = 1  # what a node sees when another one is gone


_CONSEQUENCES = ("UnavailableError", "AbortedError", "CancelledError", "DeadlineExceededError")
_CONSEQUENCE_TEXTS = (
    "Collective ops is aborted", "Connection reset by peer", "Socket closed", "failed to connect to all addresses",
    "task is set to ERROR", "heartbeat timeout", "Broken pipe", "Connection refused",
)  # fmt: skip


_START_OF_TENSORFLOW = re.compile(
    r"oneDNN custom operations are on|cpu_feature_guard|To enable the following instructions|"
    r"All log messages before absl::InitializeLog|failed call to cuInit.*UNKNOWN ERROR \(303\)"
)
"""What TensorFlow writes wherever it is imported, and on hosts without a GPU: never the cause, and taken for it."""

_UNLIKE_TEXTS = ("mismatch in the collective", "Inconsistent collective", "but another member in the group")
UNLIKE_S = 1.0
"""How long a node whose TensorFlow says that nodes did unlike things waits for the coordinator to say which, and what:
it knows when the others have told where they are, which they do at once where it is an error for them too."""


@dataclass(frozen=True)
class Vanished:
    """A node's line to the coordinator broke, and nobody has said why yet."""

    node: int


def weight(failure: Failed) -> Weight:
    """Gives how much a failure says about the cause.

    An error that TensorFlow raises where a peer is gone is a consequence: that the peer is gone says more.
    """
    text = f"{failure.message}\n{failure.traceback or ''}"
    if is_unlike(failure.message):
        return Weight.CONSEQUENCE
    collective = failure.error in _CONSEQUENCES or (failure.error or "").endswith("OpError")
    if collective or (failure.error == "InternalError" and any(mark in text for mark in _CONSEQUENCE_TEXTS)):
        return Weight.CONSEQUENCE
    if failure.signal == "SIGABRT" and any(mark in "\n".join(failure.stderr_tail) for mark in _CONSEQUENCE_TEXTS):
        return Weight.CONSEQUENCE
    return Weight.OWN


def is_unlike(text: str) -> bool:
    """Tells whether an error of TensorFlow's says that nodes did unlike things, as of other shapes."""
    return any(mark in text for mark in _UNLIKE_TEXTS)


def root_cause(failures: Sequence[Failed]) -> Failed:
    """Gives the failure to blame: the first among those that say most."""
    return min(failures, key=weight)


def is_settled(failures: Sequence[Failed]) -> bool:
    """Tells whether the cause is known, so that waiting for a better one is in vain."""
    return any(weight(failure) is Weight.OWN for failure in failures)


def is_executor_lost(job_failure: str | None) -> bool:
    """Tells whether Spark failed the job since it lost an executor: a cause, and nobody is left there to say more."""
    return job_failure is not None and EXECUTOR_LOST in job_failure


def explain_exit(exit_code: int | None, signal_name: str | None, *, oom_kills: int, peak_mib: int) -> tuple[str, str]:
    """Gives what an exit status means, and what to do about it.

    Args:
        exit_code: as the shell counts: 128 + signal number where a signal ended the process.
        signal_name: as `SIGKILL`, or None.
        oom_kills: how many processes the kernel killed for want of memory on that host meanwhile.
        peak_mib: the most memory the process has held, in MiB.
    """
    if exit_code == 137:
        killer = "the kernel's out-of-memory killer struck on that host meanwhile" if oom_kills else (
            "that is what a container's or the kernel's out-of-memory killer sends, or somebody's kill -9"
        )  # fmt: skip
        return (
            f"was ended by SIGKILL (exit 137): {killer}; the process had held up to {peak_mib} MiB",
            "give executors more room outside the JVM (spark.executor.memoryOverhead), or use a smaller batch_size",
        )
    if signal_name in ("SIGSEGV", "SIGBUS", "SIGILL", "SIGFPE", "SIGABRT"):
        return (
            f"crashed with {signal_name} (exit {exit_code}) in native code",
            "the last lines of its stderr are below; PYTHONFAULTHANDLER=1 adds the Python stack",
        )
    if signal_name:
        return f"was ended by {signal_name} (exit {exit_code})", "find who sent it: Spark, its manager, or a person"
    if exit_code == 0:
        return "ended before map_fun returned (exit 0)", "map_fun must return, not call sys.exit or os._exit"
    return f"ended with exit {exit_code} before map_fun returned", "the last lines of its stderr are below"


def to_error(failure: Failed, topology: Topology) -> TFSparkError:
    """Gives the driver's exception for a node's failure.

    An error of our own tree stays what it is, so that `except SchemaError` works on the driver; all others become
    `NodeError`. Either carries host, exit code, signal, traceback and tail.
    """
    node = topology.nodes[failure.node].name
    kind = by_name(failure.error or "") or NodeError
    hint = failure.hint or (SAME_CALLS if is_unlike(failure.message) else None)
    error = kind(_describe(failure), hint=hint, node=node)
    error.__dict__.update(
        host=failure.host,
        exit_code=failure.exit_code,
        signal=failure.signal,
        remote_traceback=failure.traceback,
        stderr_tail=tuple(failure.stderr_tail),
    )
    return error


def _describe(failure: Failed) -> str:
    parts = [f"{failure.message} (host {failure.host})"]
    if failure.traceback:
        parts.append(f"Traceback on the node:\n{failure.traceback.rstrip()}")
    if said := [line for line in failure.stderr_tail if not _START_OF_TENSORFLOW.search(line)]:
        parts.append("Last lines of its stderr:\n" + "\n".join(f"  {line}" for line in said))
    return "\n".join(parts)


def lost_error(vanished: Vanished, topology: Topology, host: str) -> NodeError:
    """Gives the driver's exception for a node that is gone without a word: its executor or its host was lost."""
    node = topology.nodes[vanished.node].name
    error = NodeError(
        f"the node is gone without a word: its executor or its host ({host}) was lost",
        hint="look at the executor's log and at the resource manager's for why it was ended",
        node=node,
    )
    error.host = host
    return error


def job_error(text: str) -> JobError:
    """Gives the driver's exception for a barrier job that Spark failed, when no node has said anything."""
    return JobError(
        f"Spark failed the job that holds the nodes: {text}", hint="look at the Spark UI and the executors' logs"
    )
