"""The events of a run: their kinds, what their values mean, and their lines of JSON. Pure."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from tfspark_cnn.errors import CorruptFileError

DRIVER = "driver"
"""The node of events that are of no node."""


class Kind(StrEnum):
    """What happened."""

    START = "start"
    ATTEMPT = "attempt"
    RESERVED = "reserved"
    ENTERED = "entered"
    FEED = "feed"
    FED = "fed"
    EPOCH_BEGIN = "epoch_begin"
    STEP = "step"
    EPOCH_END = "epoch_end"
    CHECKPOINT = "checkpoint"
    RESUMED = "resumed"
    EVALUATED = "evaluated"
    DEATH = "death"
    REPLACED = "replaced"
    RESTART = "restart"
    RETURNED = "returned"
    END = "end"


_FIGURES = {
    "epoch": "which one, from 1",
    "epochs": "of the call of fit",
    "step": "steps of the epoch so far",
    "steps": "of an epoch, once one has ended",
    "metrics": "by name: in an epoch_end over all nodes and the whole epoch, in a step those of this node so far",
    "images": "rows that this node has trained since the start",
    "timed_steps": "steps whose time was taken: all of fit but the first of each epoch",
    "timed_s": "seconds of these steps",
    "waited_s": "seconds of `timed_s` in which the node stood still for want of rows",
    "first_waited_s": "seconds that the first steps of the epochs stood still for want of rows",
    "own_steps": "steps of which is known what the node did without the others",
    "own_s": "seconds of these without waiting for the gradients of other nodes",
    "memory_bytes": "of the node's process, resident",
    "gpu_percent": "busy, of the node's GPUs on average",
    "gpu_bytes": "memory in use on all GPUs of the node",
}

VALUES: Mapping[Kind, Mapping[str, str]] = {
    Kind.START: {
        "run": "its id",
        "cache": "where nodes keep rows",
        "nodes": "names of all nodes",
        "roles": "of the nodes, in the same order",
    },
    Kind.ATTEMPT: {"attempt": "which life of the cluster begins, from 1"},
    Kind.RESERVED: {"host": "where the node's Spark task runs"},
    Kind.ENTERED: {"pid": "of the node's process, whose map_fun begins"},
    Kind.FEED: {"feed": "its name", "queue": "what it feeds", "epochs": "of the call of train"},
    Kind.FED: {"feed": "its name", "queue": "what it fed", "report": "as `cluster.feed_reports()` has it"},
    Kind.EPOCH_BEGIN: {"epoch": "which one, from 1", "epochs": "of the call of fit"},
    Kind.STEP: _FIGURES,
    Kind.EPOCH_END: _FIGURES | {"seconds": "of the epoch, with its validation"},
    Kind.CHECKPOINT: {"step": "of all epochs", "epoch": "epochs that had ended", "name": "of the checkpoint"},
    Kind.RESUMED: {"step": "of all epochs at which training goes on", "epoch": "in which that is, from 0"},
    Kind.EVALUATED: {"step": "of the checkpoint", "name": "of it", "metrics": "by name", "best": "of all so far"},
    Kind.DEATH: {"cause": "in a line", "exit_code": "if it is known", "signal": "if one ended it"},
    Kind.REPLACED: {"cause": "why the process of a worker is started again while the others go on"},
    Kind.RESTART: {"attempt": "that begins", "cause": "what ended the one before"},
    Kind.RETURNED: {},
    Kind.END: {"outcome": "done, failed or cancelled", "cause": "unless it is done"},
}
"""What the values of each kind mean; those that are not known are left out. Times are Unix seconds of the driver."""


@dataclass(frozen=True)
class Event:
    """One thing that happened.

    Attributes:
        time_s: when, in Unix seconds by the driver's clock.
        kind: what.
        node: to whom, as `worker:1`, or `driver`.
        values: as `VALUES` says.
    """

    time_s: float
    kind: Kind
    node: str = DRIVER
    values: Mapping[str, Any] = field(default_factory=dict)

    def line(self) -> str:
        """Gives the event as a line of JSON, without its end.

        JSON has no NaN and no infinity: they are the texts `NaN`, `Infinity` and `-Infinity`.

        Example:
            >>> Event(1.5, Kind.RETURNED, "worker:0").line()
            '{"time": 1.5, "kind": "returned", "node": "worker:0", "values": {}}'
        """
        values = to_json(dict(self.values))
        body = {"time": round(self.time_s, 3), "kind": str(self.kind), "node": self.node, "values": values}
        return json.dumps(body, allow_nan=False, default=str)


def parse(line: str, *, place: str = "a line") -> Event:
    """Reads what `Event.line` gave.

    Args:
        line: of JSON.
        place: of the line, for the error.

    Raises:
        CorruptFileError: it is no event.
    """
    try:
        body = json.loads(line)
        return Event(float(body["time"]), Kind(body["kind"]), str(body["node"]), _from_json(dict(body["values"])))
    except (ValueError, KeyError, TypeError) as error:
        raise CorruptFileError(
            f"{place}: expected an event as JSON, received {line[:80]!r}",
            hint="read the events-*.jsonl that a run of this or a later version wrote",
        ) from error


_NO_NUMBERS = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def to_json(value: Any) -> Any:
    """Gives plain values as JSON can have them: what is no number is a text.

    Example:
        >>> to_json({"loss": (1.5, math.nan, -math.inf)})
        {'loss': [1.5, 'NaN', '-Infinity']}
    """
    if isinstance(value, Mapping):
        return {str(name): to_json(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [to_json(one) for one in value]
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value


def _from_json(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _from_json(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_from_json(one) for one in value]
    return _NO_NUMBERS.get(value, value) if isinstance(value, str) else value
