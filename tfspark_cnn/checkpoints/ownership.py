"""Whose a folder of checkpoints is: one run's at a time, and a lineage of runs that continue each other.

A run that dies is continued by the next one with the same folder, in the same lineage. A run that ended is not: the
next one begins a lineage of its own, and the checkpoints of the old one are not resumed from.
"""

from __future__ import annotations

import contextlib
import json
import re
import socket
from collections.abc import Collection
from dataclasses import asdict, dataclass

from tfspark_cnn.errors import CheckpointError

ANSWER_WITHIN_S = 2.0
"""Enough for a connection across a continent, and a short wait where the host is gone without a trace."""

_ID = re.compile(r"[A-Za-z0-9_-]{1,100}")


@dataclass(frozen=True)
class RunRecord:
    """Who uses the folder, as `run.json` keeps it.

    Attributes:
        run: the run's own name.
        lineage: the name of the run that this one continues, over any number of runs; its own if it continues none.
        address: of its coordinator, `host:port`.
        ended: whether it came to its end, and is not to be continued.
    """

    run: str
    lineage: str
    address: str
    ended: bool = False

    def to_json(self) -> bytes:
        """Gives the bytes of `run.json`."""
        return json.dumps(asdict(self), indent=2).encode()

    @classmethod
    def from_json(cls, body: bytes) -> RunRecord:
        """Reads `run.json`.

        Raises:
            CheckpointError: it is not what `to_json` gives.
        """
        try:
            return cls(**json.loads(body))
        except (ValueError, TypeError) as error:
            raise CheckpointError(
                f"expected run.json to say whose the checkpoints are: {error}",
                hint="delete the checkpoints folder, or use another model_dir",
            ) from error


@dataclass(frozen=True)
class Claim:
    """What a run got with the folder.

    Attributes:
        resume: whether checkpoints of its lineage, if there are any, are to be continued from.
        lineage: which checkpoints are its own.
    """

    resume: bool
    lineage: str


def check_run_id(run: str) -> str:
    """Gives the name back if it can be a part of file names: letters, digits, `-` and `_`.

    Raises:
        CheckpointError: it cannot.
    """
    if not _ID.fullmatch(run):
        raise CheckpointError(
            f"expected the name of a run of up to 100 letters, digits, '-' and '_', received {run[:120]!r}",
            hint="name the run otherwise",
        )
    return run


def is_contested(found: RunRecord | None, own: Collection[str]) -> bool:
    """Tells whether another run may be using the folder now, so that it must be asked whether it is alive."""
    return found is not None and found.run not in own and not found.ended


def claim_of(found: RunRecord | None, run: str, own: Collection[str]) -> Claim:
    """Gives what a run gets, once it is known that no other is alive; `own` are its names, of all its attempts."""
    if found is None or (found.ended and found.run not in own):
        return Claim(False, run)
    return Claim(True, found.lineage)


def shared(found: RunRecord | None, run: str, uri: str) -> CheckpointError:
    """Gives the error of a run whose folder is no longer its own."""
    if found is None:
        return CheckpointError(
            f"run {run} lost its checkpoint directory {uri}: run.json is gone", hint="do not delete it during a run"
        )
    return CheckpointError(
        f"two runs share the checkpoint directory {uri}: run {found.run} (coordinator at {found.address}) took it "
        f"from run {run}",
        hint="use another model_dir for one of them",
    )


def in_use(found: RunRecord, uri: str) -> CheckpointError:
    """Gives the error of a run that came second."""
    return CheckpointError(
        f"the checkpoint directory {uri} is used by another run that is alive (run {found.run}, coordinator at "
        f"{found.address})",
        hint="use another model_dir, or stop that run; if it is long gone and something else answers there, delete "
        "run.json",
    )


def answers(address: str, *, within_s: float = ANSWER_WITHIN_S) -> bool:
    """Tells whether something accepts TCP connections at `host:port`; what refuses or cannot be reached does not."""
    host, _, port = address.rpartition(":")
    with contextlib.suppress(OSError, ValueError):
        with socket.create_connection((host.strip("[]"), int(port)), timeout=within_s):
            return True
    return False
