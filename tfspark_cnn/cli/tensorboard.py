"""Verb `tensorboard`: the page of a run, finished or not, until Ctrl-C."""

from __future__ import annotations

import contextlib
import json
import logging
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from tfspark_cnn import config as configuration
from tfspark_cnn import env, log
from tfspark_cnn.cluster.tensorboard import TensorBoard
from tfspark_cnn.cluster.tensorboard_options import LOOPBACK, TensorBoardLink, TensorBoardOptions, address
from tfspark_cnn.data import storage
from tfspark_cnn.errors import ClusterError, ConfigError

PORT = 6006  # where TensorBoard has always been
EVENT_FILES = "*.tfevents.*"
LOGS = "logs"  # of the folder of a run

TargetArgument = Annotated[
    str, typer.Argument(metavar="RUN", help="The folder of a run, as runs/digits, a log_dir (also a URI), or its CONF.")
]
HostOption = Annotated[str, typer.Option("--host", help="The address to listen on; 0.0.0.0: all, for everybody.")]
PortOption = Annotated[
    int, typer.Option("--port", min=0, max=65535, help="The first port to try, the next if it is in use; 0: any.")
]
PrefixOption = Annotated[str, typer.Option("--url-prefix", metavar="PATH", help="Of all paths, as /tensorboard.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print where it serves as JSON.")]
DebugOption = Annotated[bool, typer.Option("--debug", help="Show tracebacks.")]


def tensorboard(
    target: TargetArgument, host: HostOption = "", port: PortOption = PORT, url_prefix: PrefixOption = "",
    as_json: JsonOption = False, debug: DebugOption = False,
) -> None:  # fmt: skip
    """Serve the TensorBoard of a run until Ctrl-C.

    Where the run is on, its page follows it. Behind a JupyterHub the URL is the one through its proxy.

    Example: tfspark-cnn tensorboard runs/digits
    """
    log.to_console(sys.stderr, level=logging.DEBUG if debug else logging.WARNING)
    options = TensorBoardOptions(host=host or None, port=port, path_prefix=url_prefix)
    log_dir = log_dir_of(target)
    where = address(options, bind=LOOPBACK, public=socket.getfqdn(), proxy=env.tensorboard_proxy())
    with _local(log_dir) as folder, TensorBoard(folder, where, port=port) as board:
        url = board.await_url()
        _show(log_dir, url, board.port, as_json=as_json)
        board.await_end()
        words = board.last_words().splitlines()[-1:] or ["it said nothing"]
    raise ClusterError(f"TensorBoard has ended by itself: {words[0]}", hint="start it again")


def log_dir_of(target: str) -> str:
    """Gives the folder of event files that is meant by it, by the folder of a run, or by its configuration.

    Raises:
        ConfigError: there is none, or it has no event files.
    """
    if storage.local_path(target) is None:
        return target
    path = Path(storage.local_path(target) or target)
    if path.suffix == ".toml":
        path = Path(configuration.load(path).output.dir).absolute()
    elif path.is_file():
        raise ConfigError(f"expected a folder, received the file {path}", hint=f"pass its folder: {path.parent}")
    if not path.is_dir():
        raise ConfigError(
            f"expected the folder of a run, received {path}: there is nothing", hint="pass output.dir, as runs/digits"
        )
    found = path / LOGS if _has_events(path / LOGS) else path
    if not _has_events(found):
        raise ConfigError(
            f"expected event files under {path}, received none",
            hint="pass the log_dir of a run; the first come when its nodes begin to train",
        )
    return str(found)


def _has_events(folder: Path) -> bool:
    return any(folder.rglob(EVENT_FILES))


@contextlib.contextmanager
def _local(log_dir: str) -> Iterator[str]:
    """Gives a local folder with the event files; those of another file system are copied as they come."""
    if (path := storage.local_path(log_dir)) is not None:
        yield path
        return
    from tfspark_cnn.data.mirror import EVERY_S, LIMIT_BYTES, Mirroring

    with Mirroring(log_dir) as mirror:
        if not _has_events(Path(mirror.folder)):
            raise ConfigError(f"expected event files under {log_dir}, received none", hint="pass the log_dir of a run")
        limit = f"the newest {LIMIT_BYTES >> 30} GiB"
        print(f"{limit} of {log_dir} are copied to {mirror.folder}, anew every {EVERY_S:g} s", file=sys.stderr)
        yield mirror.folder


def _show(log_dir: str, url: TensorBoardLink, port: int, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps({"url": str(url), "port": port, "log_dir": log_dir}), flush=True)
        return
    from rich.console import Console
    from rich.text import Text

    shown = Text.assemble(f"TensorBoard of {log_dir}: ", url.__rich__(), "  (Ctrl-C ends it)")
    console = Console(highlight=False, soft_wrap=True)
    console.print(shown)
    console.file.flush()
