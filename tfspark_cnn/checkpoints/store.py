"""The checkpoints of one model_dir: `<model_dir>/checkpoints/checkpoint-<step>-<lineage>.npz`, and whose they are.

Example:
    >>> store = CheckpointStore("s3://bucket/digits")
    >>> claim = store.claim("run-7", "driver:4711")
    >>> found = store.newest(lineage=claim.lineage) if claim.resume else None
    >>> entry = store.write(100, encode(arrays, {"epoch": 2}), run="run-7")
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable, Collection
from dataclasses import replace
from typing import Any

from tfspark_cnn.checkpoints.archive import Archive, decode
from tfspark_cnn.checkpoints.folder import Body, Folder, resolve
from tfspark_cnn.checkpoints.ownership import Claim, RunRecord, answers, check_run_id, claim_of, in_use, is_contested
from tfspark_cnn.checkpoints.ownership import shared as shared_by_two
from tfspark_cnn.checkpoints.retention import Best, Entry
from tfspark_cnn.errors import CheckpointError, DamagedCheckpointError

log = logging.getLogger(__name__)

FOLDER = "checkpoints"
_RUN = "run.json"
_BEST = "best.json"
_NAME = re.compile(r"checkpoint-(\d{9,})-([A-Za-z0-9_-]+)\.npz")


def entry_of(name: str) -> Entry:
    """Gives the checkpoint that a file is.

    Raises:
        CheckpointError: it is none, by its name.
    """
    found = _NAME.fullmatch(name)
    if found is None:
        raise CheckpointError(f"expected the name of a checkpoint, received {name[:100]!r}")
    return Entry(int(found[1]), found[2], name)


class CheckpointStore:
    """Writes, lists and reads checkpoints. It keeps no connection and no thread; several processes may each have one.

    Args:
        uri: the model_dir, as a local path or a URI of `pyarrow.fs`.
        filesystem: a `pyarrow.fs.FileSystem` in which `uri` is a path, where it is open already.

    Attributes:
        damaged: what `newest` found unreadable.
    """

    def __init__(self, uri: str | os.PathLike[str], *, filesystem: Any = None) -> None:
        found, path = (filesystem, os.fspath(uri)) if filesystem is not None else resolve(uri)
        self.uri = f"{os.fspath(uri).rstrip('/')}/{FOLDER}"
        self.damaged: set[Entry] = set()
        self._folder = Folder(f"{path.rstrip('/')}/{FOLDER}", filesystem=found)

    def check_writable(self) -> None:
        """Raises CheckpointError, with the cure, where checkpoints cannot be written."""
        self._folder.check_writable()

    def claim(
        self, run: str, address: str, *, before: Collection[str] = (), alive: Callable[[str], bool] = answers
    ) -> Claim:
        """Makes the directory this run's, and says whether its checkpoints are to be continued from.

        They are where the same run claims it again, and where the run before it died. They are not where that one
        ended. Two that claim at the same moment both get it; the one that was first fails at its next `write`.

        Args:
            run: its name; the same one for all attempts.
            address: of its coordinator, `host:port`: by whether it answers, others know whether this run is alive.
            before: runs that this one continues even where they have ended: its own attempts before.
            alive: asks the address of another run.

        Raises:
            CheckpointError: another run uses it and is alive, or it cannot be written.
        """
        check_run_id(run)
        found = self._record()
        own = {run, *before}
        if found is not None and is_contested(found, own) and alive(found.address):
            raise in_use(found, self.uri)
        claim = claim_of(found, run, own)
        self._folder.put(_RUN, RunRecord(run, claim.lineage, address).to_json())
        self._folder.sweep()
        return claim

    def end(self, run: str) -> None:
        """Says that the run came to its end: the next one does not continue it."""
        self._folder.put(_RUN, replace(self._owned(run), ended=True).to_json())

    def write(self, step: int, body: Body, *, run: str) -> Entry:
        """Writes a checkpoint; it is listed when it is whole, and replaces one of the same step and lineage.

        Args:
            step: global steps taken.
            body: what `encode` gives.
            run: which has claimed the directory.

        Raises:
            CheckpointError: the directory is another run's by now, or storage failed.
        """
        lineage = self._owned(run).lineage
        entry = Entry(step, lineage, f"checkpoint-{step:09d}-{lineage}.npz")
        self._folder.sweep(run)
        self._folder.put(entry.name, body, owner=run)
        self.damaged.discard(entry)
        return entry

    def entries(self, lineage: str | None = None) -> list[Entry]:
        """Gives the checkpoints of one lineage, or of all, the latest step first."""
        found = [entry_of(name) for name in self._folder.names() if _NAME.fullmatch(name)]
        return sorted((one for one in found if lineage in (None, one.lineage)), reverse=True)

    def read(self, entry: Entry) -> bytes:
        """Gives the bytes of a checkpoint.

        Raises:
            CheckpointError: it is gone, or storage failed.
        """
        body = self._folder.get(entry.name)
        if body is None:
            raise CheckpointError(f"checkpoint {entry.name} is gone from {self.uri}", hint="do not delete it in a run")
        return body

    def delete(self, entry: Entry) -> None:
        """Deletes a checkpoint; one that is not there is no error."""
        self._folder.delete(entry.name)
        self.damaged.discard(entry)

    def newest(
        self, *, lineage: str | None = None, refuse: Callable[[Archive], str | None] | None = None
    ) -> tuple[Entry, Archive] | None:
        """Gives the latest checkpoint that can be used, or None. Each that cannot is named in a warning.

        Args:
            lineage: which to look at; all by default.
            refuse: says why one cannot be used, or None where it can. What it raises is passed on.

        Raises:
            CheckpointError: storage failed and no checkpoint could be used, or the latest is of another format.
        """
        unread: CheckpointError | None = None
        for entry in self.entries(lineage):
            try:
                body = self.read(entry)
            except CheckpointError as error:
                unread = unread or error
                log.warning("checkpoint %s is skipped for the one before: %s", entry.name, error.message)
                continue
            archive = self._decoded(entry, body, refuse)
            if archive is not None:
                return entry, archive
        if unread is not None:
            # Not None: a storage that is away for a moment must not make a run begin anew.
            raise unread
        return None

    def mark_best(self, entry: Entry, metric: str, value: float) -> bool:
        """Says that a checkpoint is the best one, and by which value of which metric.

        Returns:
            Whether it is marked. It is not where it is gone by now: who judges late must not unmark the best before.
        """
        if entry not in self.entries():
            return False
        self._folder.put(_BEST, Best(entry, metric, value).to_json())
        return True

    def best_record(self) -> Best | None:
        """Gives what `mark_best` was told last, or None; also None when that checkpoint is gone."""
        body = self._folder.get(_BEST)
        best = None if body is None else Best.from_json(body)
        return best if best is not None and best.entry in self.entries() else None

    def best(self) -> Entry | None:
        """Gives the best checkpoint, or None where none was marked."""
        found = self.best_record()
        return None if found is None else found.entry

    def _decoded(self, entry: Entry, body: bytes, refuse: Callable[[Archive], str | None] | None) -> Archive | None:
        try:
            archive = decode(body)
        except DamagedCheckpointError as error:
            self.damaged.add(entry)
            log.warning("checkpoint %s is skipped for the one before: %s", entry.name, error.message)
            return None
        why = refuse(archive) if refuse else None
        if why is not None:
            log.warning("checkpoint %s is skipped for the one before: %s", entry.name, why)
        return archive if why is None else None

    def _record(self) -> RunRecord | None:
        body = self._folder.get(_RUN)
        return None if body is None else RunRecord.from_json(body)

    def _owned(self, run: str) -> RunRecord:
        found = self._record()
        if found is None or found.run != run:
            raise shared_by_two(found, run, self.uri)
        return found
