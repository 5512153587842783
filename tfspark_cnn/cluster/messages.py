"""What nodes tell the coordinator, and what it tells them: frozen values that travel as JSON.

A message is `{"kind": "<class name>", <fields>}`. Unknown kinds and fields, and messages over `MAX_MESSAGE_BYTES`,
are refused: nothing that arrives is ever more than data.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from typing import Any

from tfspark_cnn.errors import ClusterError

MAX_MESSAGE_BYTES = 1 << 20
"""Limit of one control message: a schema with thousands of columns fits, a flood does not."""

MAX_TEXT_CHARS = 20_000
MAX_MESSAGE_CHARS = 4_000
"""Tracebacks and tails are cut to their last so many characters, where the cause stands."""


@dataclass(frozen=True)
class Message:
    """The common root; `node` is the number of the sender or of the addressed node."""

    node: int


# --- node and supervisor -> coordinator ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Reserved(Message):
    """The Spark task of a node runs and holds its port."""

    host: str
    address: str
    executor: str


@dataclass(frozen=True)
class Entered(Message):
    """map_fun is about to be called; `inbox` is where feeders find this node."""

    pid: int
    inbox: str | None = None


@dataclass(frozen=True)
class Report(Message):
    """Figures of a running map_fun; the newest replaces the one before."""

    metrics: dict[str, Any]


@dataclass(frozen=True)
class Vitals(Message):
    """What a node's process uses: resident bytes, how busy its GPUs are on average, and the bytes in use there."""

    memory_bytes: int | None = None
    gpu_percent: float | None = None
    gpu_bytes: int | None = None


@dataclass(frozen=True)
class Returned(Message):
    """map_fun has returned; the process waits to be let go. Its inbox has refused so many calls."""

    refused: int = 0


@dataclass(frozen=True)
class Failed(Message):
    """A node failed. Which of these are known depends on how."""

    host: str
    message: str
    error: str | None = None
    hint: str | None = None
    exit_code: int | None = None
    signal: str | None = None
    traceback: str | None = None
    stderr_tail: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Restarting(Message):
    """The process of a worker has died, and its Spark task starts another: the parameter servers have all it knew."""

    host: str
    message: str
    exit_code: int | None = None
    signal: str | None = None
    stderr_tail: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Exited(Message):
    """The process of a node has ended after it was let go or told to stop."""


@dataclass(frozen=True)
class Arrived(Message):
    """A node is at its `sequence`-th barrier."""

    sequence: int


@dataclass(frozen=True)
class Joining(Message):
    """A node makes its training strategy, which waits for all other data nodes to do so."""


@dataclass(frozen=True)
class Created(Message):
    """A node has made variables under its strategy: `[path, "float32[784, 10]"]` of each from the `first` on.

    What it says again of a variable is the same as before.
    """

    first: int
    variables: list[list[str]]


@dataclass(frozen=True)
class Position(Message):
    """How far a node is in what all nodes that train must do alike, and what its own part of a step takes.

    `variables` made, `reductions` of gradients it was ready for, `reads` of values over all nodes; `call` counts the
    calls of fit and evaluate, and `inside` names the one it is in, `left` the one it has left, `failed` the exception
    by which it did. Where `exact`, no step passed between the reading of the counts. For `own_s` seconds of `measured`
    steps it was not waiting for the gradients of others; at step `nan_at` its loss became NaN or infinite.
    """

    variables: int
    reductions: int
    reads: int
    call: int = 0
    inside: str = ""
    left: str = ""
    failed: str = ""
    epoch: int = 0
    step: int = 0
    exact: bool = True
    measured: int = 0
    own_s: float = 0.0
    nan_at: int = 0


@dataclass(frozen=True)
class Warned(Message):
    """What the driver's log is to say, once for all nodes that say it."""

    text: str


@dataclass(frozen=True)
class TrainingEnded(Message):
    """The chief needs the workers that take its steps no more."""


@dataclass(frozen=True)
class Attached(Message):
    """A node reads a feed: rows per step, what a row looks like to it, rows it takes as a whole while they arrive."""

    feed: str
    reader: int
    batch_rows: int
    spec: str
    window_rows: int = 1


@dataclass(frozen=True)
class Received(Message):
    """How far the inbox of a node is: rows ready in Spark's order, rows in all, bytes in all.

    `lead` is the first partition that is not complete, `streams` are some of those whose feeders are connected; for
    `held_s` seconds feeders were held back; `fill` says in words what is kept.
    """

    feed: str
    ready_rows: int
    rows: int
    nbytes: int
    lead: int = 0
    streams: list[int] = field(default_factory=list)
    held_s: float = 0.0
    fill: str = ""


@dataclass(frozen=True)
class Consumed(Message):
    """How far a reader is: steps and rows of its current pass, passes ended.

    Of the feed: seconds waited, rows taken, and rows left out as undecodable.
    """

    feed: str
    reader: int
    passes: int
    step: int
    rows: int
    waited_s: float
    rows_in_all: int = 0
    skipped: int = 0


@dataclass(frozen=True)
class Resumed(Message):
    """The chief goes on from a checkpoint: `step` of all epochs, in `epoch` (from 0)."""

    step: int
    epoch: int


@dataclass(frozen=True)
class Saved(Message):
    """The chief has written a checkpoint: `step` of all epochs, epochs ended, its name, and what was measured at it."""

    step: int
    epoch: int
    name: str
    metrics: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Evaluated(Message):
    """An evaluator has scored a checkpoint; `best` so far; `stop` asks for the end of training."""

    step: int
    name: str
    metrics: dict[str, float]
    best: bool = False
    stop: bool = False


@dataclass(frozen=True)
class Detached(Message):
    """A node wants no more rows of a queue (`DataFeed.terminate`)."""

    queue: str


@dataclass(frozen=True)
class Asking(Message):
    """A Spark task asks whether the run of its number begins there; `task` is Spark's number of this try of it."""

    task: int
    host: str


@dataclass(frozen=True)
class RunEnded(Message):
    """The process of a run has ended without a result, in that try of its Spark task.

    `failure` holds the fields of a `Failed`; None: it was told to end, or its line broke.
    """

    task: int
    failure: dict[str, Any] | None = None


# --- coordinator -> node ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class FeedOpened(Message):
    """A feed began: its queue, its name, its Arrow schema (IPC, base64), how often it can be read, epochs of `train`.

    `once` says that its rows are not kept: each epoch of the `train` call is a feed of its own.
    """

    queue: str
    feed: str
    schema: str
    num_epochs: int
    train_epochs: int = 1
    once: bool = False


@dataclass(frozen=True)
class ReceivedSeen(Message):
    """The answer to a `Received` of a feed that is read once, after all that follows from it.

    `started` says whether every data node has a row in order.
    """

    feed: str
    ready_rows: int
    started: bool


@dataclass(frozen=True)
class StepsReady(Message):
    """Every node has data for so many full steps of the first epoch."""

    feed: str
    reader: int
    steps: int


@dataclass(frozen=True)
class FeedComplete(Message):
    """All rows are with the nodes: rows of each share, and the number of partitions they came in."""

    feed: str
    totals: list[int]
    partitions: int


@dataclass(frozen=True)
class ReaderAgreed(Message):
    """All data nodes have attached: what each takes per step."""

    feed: str
    reader: int
    batch_rows: list[int]


@dataclass(frozen=True)
class CheckpointWritten(Message):
    """There is a checkpoint to be scored."""

    step: int
    name: str


@dataclass(frozen=True)
class TrainingOver(Message):
    """All nodes that train have returned: no further checkpoint will come."""


@dataclass(frozen=True)
class StopTraining(Message):
    """Training is to end soon, on all nodes after the same step."""

    reason: str


@dataclass(frozen=True)
class QueueClosed(Message):
    """No further feed will come on this queue."""

    queue: str


@dataclass(frozen=True)
class BarrierPassed(Message):
    """All nodes have arrived at the barrier."""

    sequence: int


@dataclass(frozen=True)
class Dismissed(Message):
    """The chief has no further step for this worker."""


@dataclass(frozen=True)
class Leave(Message):
    """The process may end now."""


@dataclass(frozen=True)
class Abort(Message):
    """The process must end at once."""

    reason: str


@dataclass(frozen=True)
class Alive(Message):
    """Sent when there is nothing else to say, so that silence means that the coordinator's host is gone."""


_KINDS = {
    kind.__name__: kind
    for kind in (
        Reserved, Entered, Report, Returned, Failed, Exited, Arrived, Joining, Created, Position, Warned, Attached,
        Received, Consumed, Detached, Resumed, Saved, Evaluated, Asking, RunEnded, FeedOpened, ReceivedSeen,
        StepsReady, FeedComplete, ReaderAgreed, QueueClosed, CheckpointWritten, TrainingOver, StopTraining,
        BarrierPassed, Restarting, TrainingEnded, Dismissed, Leave, Abort, Alive, Vitals,
    )
}  # fmt: skip


def encode(message: Message) -> bytes:
    """Gives the JSON of a message.

    Raises:
        ClusterError: it is larger than `MAX_MESSAGE_BYTES`, or holds what JSON cannot.
    """
    try:
        body = json.dumps({"kind": type(message).__name__, **dataclasses.asdict(message)}).encode()
    except (TypeError, ValueError) as error:
        raise ClusterError(
            f"a {type(message).__name__} holds what JSON cannot: {error}",
            hint="report numbers, strings, and lists or dicts of them",
        ) from error
    if len(body) > MAX_MESSAGE_BYTES:
        raise ClusterError(
            f"a {type(message).__name__} of {len(body)} bytes is over the limit of {MAX_MESSAGE_BYTES}",
            hint="report less at a time; large results are what map_fun returns",
        )
    return body


def decode(body: bytes) -> Message:
    """Gives the message of a JSON body.

    Raises:
        ClusterError: too large, not JSON, an unknown kind, or fields that do not fit it.
    """
    if len(body) > MAX_MESSAGE_BYTES:
        raise ClusterError(f"a message of {len(body)} bytes is over the limit of {MAX_MESSAGE_BYTES}")
    try:
        fields = json.loads(body)
        kind = _KINDS[fields.pop("kind")]
        message: Message = kind(**fields)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ClusterError(f"a message of {len(body)} bytes cannot be read: {type(error).__name__}") from error
    if isinstance(message.node, bool) or not isinstance(message.node, int):
        raise ClusterError(f"a {kind.__name__} names the node {message.node!r}, expected its number")
    return message


def cut(text: str) -> str:
    """Gives the last `MAX_TEXT_CHARS` characters of a text, as of a traceback, which says most at its end."""
    return text if len(text) <= MAX_TEXT_CHARS else "... " + text[-MAX_TEXT_CHARS:]


def cut_end(text: str) -> str:
    """Gives the first `MAX_MESSAGE_CHARS` characters of a text, as of an error's, which says most at its beginning."""
    return text if len(text) <= MAX_MESSAGE_CHARS else text[:MAX_MESSAGE_CHARS] + " ..."
