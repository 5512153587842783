"""Whether a cluster that has failed begins anew: which failures may pass, and when it would only burn the budget."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from tfspark_cnn.errors import JobError, NodeError, ReservationTimeout, TFSparkError

SAME_ERRORS = 2
"""So many attempts may end by the same exception without a new checkpoint in between: the next would, too."""

SAME_ENDS = 3
"""So many attempts may end by the same signal to the same node without a new checkpoint: chance hits others, too."""

_FRAME = re.compile(r'^\s*File "(?P<file>[^"]*)", line (?P<line>\d+)', re.MULTILINE)


@dataclass(frozen=True)
class Ending:
    """How an attempt ended: its number, the error, and the newest step that a checkpoint of it holds (None: none)."""

    attempt: int
    error: TFSparkError
    saved_step: int | None = None


def may_pass(error: TFSparkError) -> bool:
    """Tells whether a failure may be one of chance: a node that died, by an exception or a signal or with its host.

    Errors of our own tree that map_fun meets (a wrong column, a checkpoint of another model) would come again.
    """
    if isinstance(error, JobError):
        return "cancelled" not in error.message  # by a person, in the Spark UI
    return isinstance(error, NodeError | ReservationTimeout)


def reason_to_stop(endings: Sequence[Ending], *, max_restarts: int) -> str | None:
    """Says why there is no further attempt after those that have ended, or gives None: begin the next.

    Example:
        >>> reason_to_stop([Ending(1, NodeError("was ended by SIGKILL"))], max_restarts=0)
        'max_restarts is 0'
    """
    last = endings[-1]
    if not may_pass(last.error):
        return f"a {type(last.error).__name__} would come again"
    if len(endings) > max_restarts:
        return f"max_restarts is {max_restarts}"
    alike = 1
    while alike < len(endings) and _is_alike(endings[-alike - 1], last):
        alike += 1
    limit = SAME_ERRORS if _by_exception(last.error) else SAME_ENDS
    if alike < limit:
        return None
    where = "before the first checkpoint" if last.saved_step is None else f"after step {last.saved_step}"
    return f"{alike} attempts ended alike {where}, without a newer checkpoint"


def told(error: TFSparkError, endings: Sequence[Ending], reason: str) -> TFSparkError:
    """Gives the error to raise, which also says how many attempts there were and why there is no other."""
    if len(endings) > 1:
        error.message = f"{error.message}\nThis was attempt {len(endings)}; there is no other: {reason}"
    return error


def cause(error: BaseException) -> str:
    """Gives the line that says what ended an attempt."""
    if not isinstance(error, TFSparkError):
        return f"the driver met {type(error).__name__}"
    where = f"[{error.node}] " if error.node else ""
    return where + error.message.partition("\n")[0]


def _is_alike(one: Ending, other: Ending) -> bool:
    return one.saved_step == other.saved_step and _signature(one.error) == _signature(other.error)


def _by_exception(error: TFSparkError) -> bool:
    return bool(getattr(error, "remote_traceback", None))


def _signature(error: TFSparkError) -> tuple[object, ...]:
    """What two failures of one cause have in common. Which node speaks first is chance, where all meet an exception."""
    if isinstance(error, NodeError) and error.remote_traceback:
        frames = _FRAME.findall(error.remote_traceback)
        return error.message.partition(":")[0], frames[-1:]
    if isinstance(error, NodeError):
        return error.node, error.exit_code, error.signal
    return type(error), error.message
