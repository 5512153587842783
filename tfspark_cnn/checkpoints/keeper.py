"""What the chief does with checkpoints over one run: claim the place, go on from the newest, write, and end."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tfspark_cnn.checkpoints.archive import Array, encode
from tfspark_cnn.checkpoints.options import Checkpoints
from tfspark_cnn.checkpoints.ownership import Claim
from tfspark_cnn.checkpoints.retention import Direction, Entry, Metric, is_better
from tfspark_cnn.checkpoints.store import CheckpointStore
from tfspark_cnn.checkpoints.writer import BackgroundWriter

log = logging.getLogger(__name__)

CLOSE_S = 600.0
"""The last checkpoint is waited for so long; a larger one would not have been written in time before, either."""


class Keeper:
    """The chief's hold on the checkpoints of a run.

    Args:
        store: of the run's `model_dir`.
        claim: what the run got of it.
        run: its name.
        options: what the user asked for.
        judges: whether the chief says which epoch is the best; else an evaluator does.
        written: called from a thread after each checkpoint, with its entry and what is known of it.
    """

    def __init__(
        self,
        store: CheckpointStore,
        claim: Claim,
        *,
        run: str,
        options: Checkpoints,
        judges: bool,
        written: Callable[[Entry, Mapping[str, Any]], None],
    ) -> None:
        self._store, self._claim, self._run, self._judges = store, claim, run, judges
        self._writer = BackgroundWriter(store, run=run, keep=options.keep, written=written)
        found = store.best_record() if claim.resume else None
        mine = found is not None and found.entry.lineage == claim.lineage
        self._best: Metric | None = Metric(found.metric, found.value) if found is not None and mine else None

    @classmethod
    def open(
        cls,
        uri: str,
        *,
        run: str,
        before: Sequence[str],
        address: str,
        options: Checkpoints,
        judges: bool,
        written: Callable[[Entry, Mapping[str, Any]], None],
    ) -> Keeper:
        """Claims the checkpoints of a `model_dir`.

        Args:
            uri: of the `model_dir`.
            run: the name of this run.
            before: names of those that it goes on with, even where they came to their end.
            address: of its coordinator, `host:port`.
            options: what the user asked for.
            judges: as of the class.
            written: as of the class.

        Raises:
            CheckpointError: it cannot be written, or another run that is alive uses it.
        """
        store = CheckpointStore(uri)
        store.check_writable()
        claim = store.claim(run, address, before=before)
        return cls(store, claim, run=run, options=options, judges=judges, written=written)

    def has_any(self) -> bool:
        """Tells whether there are checkpoints to go on from."""
        return self._claim.resume and bool(self._store.entries(self._claim.lineage))

    def newest(self) -> memoryview | None:
        """Gives the newest checkpoint to go on from that can be read, or None."""
        found = self._store.newest(lineage=self._claim.lineage) if self._claim.resume else None
        if found is None:
            return None
        entry, archive = found
        log.info("going on from checkpoint %s in %s", entry.name, self._store.uri)
        return encode(archive.arrays, archive.meta)

    def improves(self, judged: tuple[str, float, bool] | None) -> Metric | None:
        """Gives by which value an epoch is the best so far, or None if it is not.

        Args:
            judged: the metric, its value, and whether more is better; None: epochs are not judged.
        """
        if judged is None or not self._judges:
            return None
        name, value, more = judged
        known = self._best.value if self._best is not None and self._best.name == name else None
        if not is_better(value, known, Direction.MAX if more else Direction.MIN):
            return None
        self._best = Metric(name, value)
        return self._best

    def submit(
        self, step: int, arrays: Mapping[str, Array], meta: Mapping[str, Any], *, best: Metric | None = None
    ) -> None:
        """Hands a checkpoint to the thread that writes.

        Raises:
            CheckpointError: an earlier one could not be written.
        """
        self._writer.submit(step, arrays, meta, best=best)

    def flush(self) -> None:
        """Returns when everything is written."""
        self._writer.flush(CLOSE_S)

    def close(self, *, ended: bool) -> None:
        """Writes what is left. `ended` says that the run came to its end, and is not to be continued by another."""
        self._writer.close(CLOSE_S)
        if ended:
            self._store.end(self._run)
