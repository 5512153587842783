"""Which checkpoints stay and which is the best. Pure."""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Iterable
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from tfspark_cnn.errors import CheckpointError


@dataclass(frozen=True, order=True)
class Entry:
    """One checkpoint of a folder; later steps sort later.

    Attributes:
        step: global steps that had been taken.
        lineage: of the runs it belongs to.
        name: of its file.
    """

    step: int
    lineage: str
    name: str


class Direction(StrEnum):
    """Which values of a metric are better."""

    MIN = "min"
    MAX = "max"


@dataclass(frozen=True)
class Metric:
    """What a checkpoint is judged by, as `val_loss` 0.31."""

    name: str
    value: float


@dataclass(frozen=True)
class Best:
    """The best checkpoint so far, as `best.json` keeps it."""

    entry: Entry
    metric: str
    value: float

    def to_json(self) -> bytes:
        """Gives the bytes of `best.json`."""
        return json.dumps(asdict(self), indent=2, default=float).encode()

    @classmethod
    def from_json(cls, body: bytes) -> Best:
        """Reads `best.json`.

        Raises:
            CheckpointError: it is not what `to_json` gives.
        """
        try:
            fields: dict[str, Any] = json.loads(body)
            return cls(Entry(**fields["entry"]), str(fields["metric"]), float(fields["value"]))
        except (ValueError, TypeError, LookupError) as error:
            raise CheckpointError(
                f"expected best.json to say which checkpoint is the best: {error}", hint="delete best.json"
            ) from error


def is_better(value: float, than: float | None, direction: Direction | str) -> bool:
    """Tells whether a value is better than the best so far (None: there is none). NaN is never better.

    Example:
        >>> is_better(0.2, 0.3, "min")
        True
    """
    if math.isnan(value):
        return False
    if than is None or math.isnan(than):
        return True
    return value < than if Direction(direction) is Direction.MIN else value > than


def surplus(
    entries: Iterable[Entry],
    *,
    keep: int,
    newest: Entry,
    best: Entry | None = None,
    damaged: Collection[Entry] = (),
) -> list[Entry]:
    """Gives the checkpoints to delete after one was written, oldest first.

    What stays: `newest`, the last `keep` of its lineage up to it, the best, and, until there are `keep`, those of other
    lineages. Of its own lineage, later steps than `newest` are left alone: they are overwritten when they are reached.

    Args:
        keep: at least 1.
        newest: the one just written, known to be whole.
        best: never deleted.
        damaged: known to be unreadable: deleted, and not counted.
    """
    if keep < 1:
        raise CheckpointError(f"expected to keep 1 checkpoint or more, received {keep}", hint="pass keep=1")
    broken = set(damaged) - {newest}
    whole = sorted(set(entries) - broken)
    own = [one for one in whole if one.lineage == newest.lineage and one.step <= newest.step]
    others = [one for one in whole if one.lineage != newest.lineage] if len(own) >= keep else []
    return sorted({*broken.intersection(entries), *own[:-keep], *others} - {best})
