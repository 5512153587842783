"""The files of a source, downloaded into a folder: each checked by its sum, from the first place that has it.

A file is under its name only when its sum is right. What has come of one is in a `.part` file beside it, also after
Ctrl-C, and the next download goes on there.

Example:
    >>> download(published("mnist"), Path("/data/mnist"), tell=print)
    (Fetched(file=PublishedFile(name='train-images-idx3-ubyte.gz', ...), kept=False), ...)
"""

from __future__ import annotations

import shutil
import urllib.parse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from tfspark_cnn.data.published import Published, PublishedFile
from tfspark_cnn.data.transfer import Broken, OtherFile, Part, sha256, transfer
from tfspark_cnn.errors import ConfigError, CorruptFileError, SourceError

__all__ = ["Fetched", "Moment", "News", "download"]

TIMEOUT_S = 30.0
"""Without an answer or a byte. A server far away answers within a second; one that is overloaded may take ten."""

SCHEMES = ("http", "https", "file")


class Moment(StrEnum):
    """What happened to a file."""

    KEPT = "kept"  # it was there, with the right sum
    BEGUN = "begun"  # `text` is the URL
    RECEIVED = "received"
    FAILED = "failed"  # `text` says which place has failed and why; another may be tried
    DONE = "done"


@dataclass(frozen=True)
class News:
    """What is told while files are downloaded.

    Attributes:
        file: which one.
        moment: what happened to it.
        done_bytes: what is there of it.
        text: more on it.
    """

    file: PublishedFile
    moment: Moment
    done_bytes: int = 0
    text: str = ""


@dataclass(frozen=True)
class Fetched:
    """A file that is there now.

    Attributes:
        file: which one.
        kept: whether it was there before.
    """

    file: PublishedFile
    kept: bool


Tell = Callable[[News], None]


def download(
    source: Published,
    folder: Path,
    *,
    tell: Tell,
    owners: Mapping[str, str] | None = None,
    timeout_s: float = TIMEOUT_S,
    free_bytes: Callable[[Path], int] = lambda folder: shutil.disk_usage(folder).free,
) -> tuple[Fetched, ...]:
    """Brings all files of a source into a folder, which is made.

    Args:
        source: the files and the places where they are.
        folder: for them.
        tell: told what happens.
        owners: sources by the sums of their files: those of another source are not written over.
        timeout_s: without an answer, or without a byte.
        free_bytes: gives the room that is left in a folder.

    Raises:
        ConfigError: a place is no URL, or the folder has the files of another source.
        SourceError: no place gives a file, or the folder cannot be written or has no room.
        CorruptFileError: the places give other bytes than were published.
    """
    _check_places(source.places)
    _make(folder)
    kept = {file for file in source.files if _is_there(file, folder, owners or {})}
    missing = [file for file in source.files if file not in kept]
    _check_room(sum(map(_missing_bytes(folder), missing)), free_bytes(folder), folder)
    places = list(source.places)
    for file in source.files:
        if file in kept:
            tell(News(file, Moment.KEPT, file.size_bytes))
        else:
            found = _fetch(file, folder, places, tell=tell, timeout_s=timeout_s)
            places.sort(key=lambda place: place != found)  # one that has failed is tried last for the other files
    return tuple(Fetched(file, file in kept) for file in source.files)


def _check_places(places: Sequence[str]) -> None:
    for place in places:
        parts = urllib.parse.urlsplit(place)
        if parts.scheme not in SCHEMES or not (parts.netloc or parts.scheme == "file"):
            raise ConfigError(
                f"expected a URL with http://, https:// or file://, received {place!r}",
                hint="as https://mirror.example.org/mnist, or file:///data/mnist for a folder",
            )


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SourceError(
            f"could not make the folder {folder}: {error.strerror}", hint="choose one that you may write to"
        ) from error


def _is_there(file: PublishedFile, folder: Path, owners: Mapping[str, str]) -> bool:
    path = folder / file.name
    if not path.is_file():
        return False
    found = sha256(path)
    other = owners.get(found)
    if other is not None and found != file.sha256:
        raise ConfigError(
            f"{path} is a file of {other}, which has the same name as another of this source",
            hint="choose another folder",
        )
    return found == file.sha256  # any other is replaced, when the right one has come


def _missing_bytes(folder: Path) -> Callable[[PublishedFile], int]:
    def missing(file: PublishedFile) -> int:
        part = folder / f"{file.name}.part"
        return max(0, file.size_bytes - (part.stat().st_size if part.is_file() else 0))

    return missing


def _check_room(needed_bytes: int, free_bytes: int, folder: Path) -> None:
    if needed_bytes > free_bytes:
        raise SourceError(
            f"expected room for {needed_bytes / 1e6:,.1f} MB in {folder}, received {free_bytes / 1e6:,.1f} MB",
            hint="make room, or choose a folder on another disk",
        )


def _fetch(file: PublishedFile, folder: Path, places: Sequence[str], *, tell: Tell, timeout_s: float) -> str:
    """Gives the place that had the file."""
    failed: list[tuple[str, Broken]] = []
    with Part(folder / file.name) as part:
        for place in places:
            try:
                _from_place(f"{place}{file.name}", file, part, tell=tell, timeout_s=timeout_s)
            except Broken as error:
                failed.append((place, error))
                tell(News(file, Moment.FAILED, part.size_bytes, f"{_host(place)}: {error}"))
            else:
                part.finish()
                tell(News(file, Moment.DONE, file.size_bytes))
                return place
        if part.size_bytes == 0:
            part.remove()
    raise _nowhere(file, folder, failed)


def _from_place(url: str, file: PublishedFile, part: Part, *, tell: Tell, timeout_s: float) -> None:
    """Fills the part from a URL, twice if what was there before does not belong to it."""
    tell(News(file, Moment.BEGUN, part.size_bytes, url))

    def received(done_bytes: int) -> None:
        tell(News(file, Moment.RECEIVED, done_bytes))

    for begun in (part.size_bytes > 0, False):
        if part.size_bytes != file.size_bytes:  # of one that is whole only the name is missing
            transfer(url, part, size_bytes=file.size_bytes, timeout_s=timeout_s, received=received)
        found, size_bytes = part.sha256(), part.size_bytes
        if found == file.sha256:
            return
        part.empty()
        if not begun:
            more = "more than " if size_bytes > file.size_bytes else ""
            raise OtherFile(
                f"expected {file.size_bytes:,} bytes with sha256 {file.sha256}, "
                f"received {more}{min(size_bytes, file.size_bytes):,} with {found}"
            )


def _nowhere(file: PublishedFile, folder: Path, failed: Sequence[tuple[str, Broken]]) -> SourceError:
    kind = CorruptFileError if all(isinstance(error, OtherFile) for _, error in failed) else SourceError
    reasons = "; ".join(f"{_host(place)}: {error}" for place, error in failed)
    urls = " or ".join(f"{place}{file.name}" for place, _ in failed)
    return kind(
        f"could not download {file.name}: {reasons}",
        hint=f"run it again later, or put the file into {folder} by hand, from {urls}",
    )


def _host(place: str) -> str:
    return urllib.parse.urlsplit(place).hostname or place
