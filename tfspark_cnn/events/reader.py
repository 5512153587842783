"""Reads the file of events of a run, also while it is still being written."""

from __future__ import annotations

import os
from pathlib import Path

from tfspark_cnn.errors import SourceError
from tfspark_cnn.events.schema import Event, parse

PATTERN = "events-*.jsonl"


def read(path: str | os.PathLike[str]) -> list[Event]:
    """Gives the events of a run, in the order of their times.

    Args:
        path: of the file, or of the `log_dir` of the run; of several runs in there the newest.

    Raises:
        SourceError: there is no such file, or none in the folder.
        CorruptFileError: a line is no event. The last one may be cut, as that of a run that was killed.
    """
    file = _file(Path(path))
    try:
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        raise SourceError(f"{file}: {error.strerror or error}", hint="pass the log_dir of a run") from error
    lines = text.split("\n")[:-1]  # after the last end of a line is nothing, or a line that was cut
    found = [parse(line, place=f"{file}, line {number}") for number, line in enumerate(lines, 1) if line]
    return sorted(found, key=lambda event: event.time_s)


def _file(path: Path) -> Path:
    if not path.is_dir():
        return path
    found = sorted(path.glob(PATTERN), key=lambda one: one.stat().st_mtime)
    if not found:
        raise SourceError(
            f"{path} has no {PATTERN}", hint="pass the log_dir of a run, or run it with TFCluster.run(log_dir=...)"
        )
    return found[-1]
