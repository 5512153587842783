"""The texts of a display: the line, the head, and a table with as many columns as the width has room for. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tfspark_cnn.display.view import NodeView, RunView, metric_words

NARROWEST = 20


@dataclass(frozen=True)
class Column:
    """A column of the table of nodes: its title, the text of a node, and how gladly it is left out, 0 never."""

    title: str
    text: Callable[[NodeView], str]
    left_out: int = 0


COLUMNS = (
    Column("node", lambda node: node.name),
    Column("state", lambda node: node.state, 1),
    Column("step", lambda node: "" if node.step_s is None else milliseconds(node.step_s), 2),
    Column("waits for rows", lambda node: "" if node.waited is None else f"{node.waited:.0%}", 3),
    Column("memory", lambda node: "" if node.memory_bytes is None else size(node.memory_bytes), 4),
    Column("GPU", lambda node: "" if node.gpu_percent is None else f"{node.gpu_percent:.0f}%", 5),
)


def line(view: RunView, now_s: float) -> str:
    """Gives one line: `epoch 3/20  step 7/23  loss 0.4100  12,345 images/s  0:41 left`, or the phase before the first.

    Args:
        view: of the run.
        now_s: Unix seconds.
    """
    if not view.epoch:
        return view.phase
    return "  ".join(part for part in (place(view), metric_words(view.metrics), pace(view, now_s)) if part)


def place(view: RunView) -> str:
    """Gives `epoch 3/20  step 7/23`."""
    of = f"/{view.steps}" if view.steps else ""
    return f"epoch {view.epoch}/{view.epochs or '?'}  step {view.step}{of}"


def pace(view: RunView, now_s: float) -> str:
    """Gives `12,345 images/s  0:41 left`; without the end where that is unknown or over."""
    left_s = view.left_s(now_s) if view.done() < 1 else None
    rate = f"{view.images_per_s():,.0f} images/s"
    return rate if left_s is None or not view.epoch else f"{rate}  {clock(left_s)} left"


def bar(part: float, width: int) -> str:
    """Gives a bar of text, filled for a part of 0 to 1.

    Example:
        >>> bar(0.5, 8)
        '━━━━────'
    """
    filled = round(min(1.0, max(0.0, part)) * width)
    return "━" * filled + "─" * (width - filled)


def table(nodes: Sequence[NodeView], width: int) -> list[list[str]]:
    """Gives the titles and the rows of the table of nodes that fit into a width, two blanks between columns.

    A column nobody has a value for is left out; of the others the least wanted, until the rest fits.
    """
    columns = [one for one in COLUMNS if any(one.text(node) for node in nodes)]
    while len(columns) > 1 and _width(columns, nodes) > width:
        columns.remove(max(columns, key=lambda one: one.left_out))
    return [[one.title for one in columns], *([one.text(node) for one in columns] for node in nodes)]


def _width(columns: Sequence[Column], nodes: Sequence[NodeView]) -> int:
    return sum(max(len(one.title), *(len(one.text(node)) for node in nodes)) + 2 for one in columns) - 2


def clock(seconds: float) -> str:
    """Gives `0:41`, `12:05` or `1:02:03`."""
    whole = int(seconds)
    hours, minutes = whole // 3600, whole // 60 % 60
    return f"{hours}:{minutes:02}:{whole % 60:02}" if hours else f"{minutes}:{whole % 60:02}"


def milliseconds(seconds: float) -> str:
    """Gives `3.2 ms`, `41 ms` or `2.1 s`."""
    if seconds >= 1:
        return f"{seconds:.1f} s"
    return f"{seconds * 1000:.0f} ms" if seconds >= 0.01 else f"{seconds * 1000:.1f} ms"


def size(nbytes: float) -> str:
    """Gives `812 MiB` or `3.4 GiB`."""
    return f"{nbytes / 2**30:.1f} GiB" if nbytes >= 2**30 else f"{nbytes / 2**20:.0f} MiB"
