"""Errors of TensorFlowOnSpark, which come as text in exceptions of Spark, as errors of our tree."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from tfspark_cnn.cluster.ancestor_arguments import ENGINE
from tfspark_cnn.errors import ClusterError, ConfigError, FeedError, FeedTimeout, NodeError, TFSparkError, by_name

_MARK = "tfspark_cnn node failed: "
_KERAS = "/keras/src/"  # tf_keras, where fit runs, is in another folder
_KERAS_SAYS = ("PerReplica", "Invalid reduction dimension")
_FEED_TIMEOUT = "Timeout while feeding partition"
_WHERE = (
    "No executor_id file found", "No TFManager found", "Duplicate cluster node id", "Duplicate worker/task",
    "TFManager already started",
)  # fmt: skip
"""What it says where tasks did not come to the executors that it thinks they come to."""


@dataclass(frozen=True)
class NodeFailed:
    """How map_fun failed on a node, as a line that comes through an exception of whoever is in between.

    Attributes:
        node: as `worker:1`.
        host: where it ran.
        kind: class of the exception.
        message: what it said.
        hint: what to do, where it is an error of our tree.
        traceback: as text.
    """

    node: str
    host: str
    kind: str
    message: str
    hint: str | None
    traceback: str

    def line(self) -> str:
        """Gives it as one line."""
        return _MARK + json.dumps(asdict(self))

    def error(self) -> TFSparkError:
        """Gives the driver's exception: an error of our tree stays what it is, all others become `NodeError`."""
        kind = by_name(self.kind)
        message = self.message if kind else f"{self.kind}: {self.message}"
        text = f"{message} (host {self.host})\nTraceback on the node:\n{self.traceback.rstrip()}"
        error = (kind or NodeError)(text, hint=self.hint, node=self.node)
        error.__dict__.update(host=self.host, remote_traceback=self.traceback)
        return error


def said(text: str) -> NodeFailed | None:
    """Gives the first failure of a node in a text, or None."""
    for found in re.finditer(re.escape(_MARK) + r"(?=\{)", text):
        try:
            body, _ = json.JSONDecoder().raw_decode(text, found.end())
            return NodeFailed(**body)
        except (ValueError, TypeError):  # cut by whoever brought it
            continue
    return None


def translated(error: BaseException, *, status: Any = None) -> TFSparkError:
    """Gives the error that a call to it has failed with.

    Args:
        error: what it raised, `SystemExit` included.
        status: what it noted of the job that holds its nodes.
    """
    if isinstance(error, TFSparkError):
        return error
    text = f"{status or ''}\n{error}"
    failed = said(text)
    if failed is not None:
        return failed.error()
    if _FEED_TIMEOUT in text:
        return FeedTimeout(
            f"{ENGINE} gave up a partition: {_FEED_TIMEOUT.lower()}",
            hint="map_fun has ended or is stuck, or the partition takes longer: it counts its whole time; raise "
            "feed_timeout, and look at the stderr of the executors",
        )
    known = next((words for words in _WHERE if words in text), None)
    if known is not None:
        return ClusterError(
            f"{ENGINE}: {known}",
            hint="it needs as many executors as nodes with one slot each, and one cluster at a time",
        )
    return FeedError(f"{ENGINE} has failed: {last_line(text)}", hint="look at the stderr of the executors")


def last_line(text: str) -> str:
    """Gives the line of a text that says what went wrong: the last exception of Python's in it, or else the first."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    python = [line for line in lines if re.match(r"[A-Za-z_][\w.]*(Error|Exception|Exit)(: |$)", line)]
    return (python[-1] if python else lines[0] if lines else "no reason was given")[:2000]


def keras_fit(message: str, files: Sequence[str]) -> ConfigError | None:
    """Gives what to say of Keras 3's `fit` on several workers, which this package mends and it does not, or None.

    Args:
        message: of an exception.
        files: those of the frames of its traceback.
    """
    # Its trainer itself is not among them: Keras takes its own frames out of a traceback, but for the one that does so.
    if not (any(_KERAS in file for file in files) and any(words in message for words in _KERAS_SAYS)):
        return None
    return ConfigError(
        f"Keras 3's fit, evaluate and predict do not run on several workers, and {ENGINE} does not mend them",
        hint="use tf_keras, or a training loop with strategy.run; or engine='native', where they do",
    )
