"""Verb `data`: the files of a source, downloaded and checked, where `data.dir` then finds them; of digits, a table."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tfspark_cnn.data import published, source
from tfspark_cnn.data.download import Fetched, Moment, News, Tell, download
from tfspark_cnn.data.published import Published

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import TaskID

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help=f"One of digits, {', '.join(published.names())}.")]
FolderArgument = Annotated[Path, typer.Argument(metavar="DIR", help="The folder for the files; it is made.")]
UrlOption = Annotated[
    str, typer.Option("--url", metavar="BASE", help="A mirror of your own: https://host/mnist, file:///data/mnist.")
]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Show what would be downloaded from where, as JSON.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
DebugOption = Annotated[bool, typer.Option("--debug", help="Show tracebacks.")]


def data(
    name: NameArgument, folder: FolderArgument, url: UrlOption = "", dry_run: DryRunOption = False,
    as_json: JsonOption = False, debug: DebugOption = False,
) -> None:  # fmt: skip
    """Download the files of a data source, and check their sums.

    What is there with the right sum is kept, and what was broken off goes on. Then DIR is data.dir.

    The digits are bundled, so that DIR gets a table of those that training holds out, for evaluate and predict.

    Example: tfspark-cnn data fashion_mnist data/fashion
    """
    if not source(name).in_folder:
        _show_bundled(name, folder, dry_run=dry_run, as_json=as_json)
        return
    found = published.published(name).at(url) if url else published.published(name)
    if dry_run:
        print(json.dumps(_plan(name, folder, found), indent=2))
        return
    began = time.monotonic()
    with _told() as tell:
        files = download(found, folder, tell=tell, owners=published.owners())
    _show(_result(name, folder, files, time.monotonic() - began), as_json=as_json)


def _plan(name: str, folder: Path, found: Published) -> dict[str, Any]:
    files = [
        {"name": file.name, "bytes": file.size_bytes, "sha256": file.sha256, "urls": found.urls(file.name)}
        for file in found.files
    ]
    return {"name": name, "dir": str(folder), "files": files}


def _result(name: str, folder: Path, files: Sequence[Fetched], seconds: float) -> dict[str, Any]:
    told = [
        {"name": one.file.name, "bytes": one.file.size_bytes, "sha256": one.file.sha256, "kept": one.kept}
        for one in files
    ]
    return {"name": name, "dir": str(folder), "files": told, "seconds": round(seconds, 3)}


def _show_bundled(name: str, folder: Path, *, dry_run: bool, as_json: bool) -> None:
    from tfspark_cnn.data import digits

    began = time.monotonic()
    files = [] if dry_run else [digits.write_held_out(folder)]
    if dry_run or as_json:
        told = [{"name": path.name, "bytes": path.stat().st_size} for path in files]
        seconds = round(time.monotonic() - began, 3)
        print(json.dumps({"name": name, "dir": str(folder), "files": told, "seconds": seconds}))
        return
    print(f"{name} is bundled: nothing is downloaded, and it trains without data.dir")
    print(f"the held-out rows are in {folder}, to score: tfspark-cnn predict MODEL {folder} SCORED")


def _show(result: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(result))
    else:
        count = len(result["files"])
        print(f"{count} file{'s' * (count != 1)} of {result['name']} in {result['dir']}")
        print(f"train on it: tfspark-cnn train CONF --set data.source={result['name']} --set data.dir={result['dir']}")


@contextmanager
def _told() -> Iterator[Tell]:
    """Gives what shows progress: bars on a terminal, else a line for each thing that happens."""
    from rich.console import Console

    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda news: _line(news, console)
        return
    with _bars(console) as tell:
        yield tell


def _line(news: News, console: Console) -> None:
    text = line(news)
    if text:
        print(text, file=console.file, flush=True)


def line(news: News) -> str:
    """Gives what happened as a line; empty for bytes that came.

    Example:
        >>> line(News(PublishedFile("x.gz", 28881, "35..."), Moment.DONE, 28881))
        'x.gz: done, 0.0 MB'
    """
    match news.moment:
        case Moment.BEGUN:
            rest = f", from byte {news.done_bytes:,} on" if news.done_bytes else ""
            return f"{news.file.name}: {news.text}{rest}"
        case Moment.FAILED:
            return f"{news.file.name}: {news.text}"
        case Moment.DONE:
            return f"{news.file.name}: done, {news.file.size_bytes / 1e6:,.1f} MB"
        case Moment.KEPT:
            return f"{news.file.name}: there already"
    return ""


@contextmanager
def _bars(console: Console) -> Iterator[Tell]:
    from rich.markup import escape
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    columns = (
        TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, console=console) as progress:
        bars: dict[str, TaskID] = {}

        def tell(news: News) -> None:
            name = news.file.name
            if name not in bars:
                bars[name] = progress.add_task(escape(name), total=news.file.size_bytes)
            progress.update(bars[name], completed=min(news.done_bytes, news.file.size_bytes))
            if news.moment == Moment.FAILED:
                progress.console.print(escape(line(news)), highlight=False)

        yield tell
