"""Where a display is drawn: a terminal, the cell of a notebook, or plain lines."""

from __future__ import annotations

import html
import sys
from typing import TYPE_CHECKING, Any, Protocol, TextIO

from tfspark_cnn.display import words
from tfspark_cnn.display.view import RunView, metric_words

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

CELL_COLUMNS = 1000
"""A browser wraps by itself: every column is shown."""


class Screen(Protocol):
    """Takes the state of a run as often as it is drawn."""

    each_change: bool

    def draw(self, view: RunView, now_s: float) -> None:
        """Shows a run as it is now."""

    def close(self) -> None:
        """Draws no more; what was drawn last stays."""


class Lines:
    """Plain lines, where there is no terminal: phases as they begin, deaths, a line for each epoch that has ended.

    Args:
        stream: that they are written to.
    """

    each_change = True

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._said: object = None
        self._incidents = 0

    def draw(self, view: RunView, now_s: float) -> None:
        """Writes a line where there is something new to say."""
        self._stream.writelines(f"{one}\n" for one in view.incidents_after(self._incidents))
        self._incidents = view.incidents_ever
        if not view.epoch:
            self._say(view.phase, once_for=(view.attempt, view.phase))
        elif view.epoch_ended:
            self._say(words.line(view, now_s), once_for=view.epochs_ended)

    def close(self) -> None:
        """There is nothing to close."""

    def _say(self, text: str, *, once_for: object) -> None:
        if text and once_for != self._said:
            self._said = once_for
            self._stream.write(text + "\n")
            self._stream.flush()


class Terminal:
    """A few lines of a terminal, which are redrawn in place.

    Args:
        console: rich's.
    """

    each_change = False

    def __init__(self, console: Console) -> None:
        from rich.live import Live

        self._console = console
        # What else is written to this terminal meanwhile goes above; what is piped goes where it is meant to.
        self._live = Live(
            console=console,
            auto_refresh=False,
            redirect_stdout=sys.stdout.isatty(),
            redirect_stderr=sys.stderr.isatty(),
        )
        self._live.start()

    def draw(self, view: RunView, now_s: float) -> None:
        """Redraws it."""
        self._live.update(rendered(view, now_s, width=self._console.width), refresh=True)

    def close(self) -> None:
        """Leaves the terminal as it is."""
        self._live.stop()


def rendered(view: RunView, now_s: float, *, width: int) -> RenderableType:
    """Gives what a terminal of a width shows of a run."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    found: list[RenderableType] = [Text(one, style=style, overflow="ellipsis", no_wrap=True)
                                   for one, style in _head(view, now_s, width=width)]  # fmt: skip
    if view.nodes:
        titles, *rows = words.table(list(view.nodes.values()), width)
        table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
        for number, title in enumerate(titles):
            table.add_column(title, justify="left" if number < 2 else "right", no_wrap=True)
        for row in rows:
            table.add_row(*map(Text, row))
        found.append(table)
    found += [Text(note, style="yellow", overflow="ellipsis", no_wrap=True) for note in view.notes]
    return Group(*found)


def _head(view: RunView, now_s: float, *, width: int) -> list[tuple[str, str]]:
    elapsed = words.clock(view.elapsed_s(now_s))
    if not view.epoch:
        return [(f"{view.phase}  {elapsed}", "bold")]
    done = f" {view.done():4.0%}"
    lines = [(words.place(view), "bold"), (words.bar(view.done(), max(4, min(60, width - len(done)))) + done, "cyan")]
    said = [metric_words(view.metrics), words.pace(view, now_s), elapsed]
    return [*lines, *((one, "") for one in _filled([part for part in said if part], width))]


def _filled(parts: list[str], width: int) -> list[str]:
    """Puts as many texts into each line as it has room for."""
    lines = [parts[0]]
    for part in parts[1:]:
        if len(lines[-1]) + 2 + len(part) <= width:
            lines[-1] += "  " + part
        else:
            lines.append(part)
    return lines


class Cell:
    """One output of a notebook's cell, which is replaced; without ipywidgets, so that it is stored and rendered."""

    each_change = False

    def __init__(self) -> None:
        from IPython.display import display

        show: Any = display
        self._handle = show({"text/plain": ""}, raw=True, display_id=True)

    def draw(self, view: RunView, now_s: float) -> None:
        """Replaces it."""
        self._handle.update({"text/html": as_html(view, now_s), "text/plain": words.line(view, now_s)}, raw=True)

    def close(self) -> None:
        """What was drawn last stays."""


def as_html(view: RunView, now_s: float) -> str:
    """Gives what a notebook shows of a run."""
    head = "".join(f"<div>{html.escape(text)}</div>" for text in _cell_head(view, now_s))
    width = f"width:{view.done():.1%}"
    filled = f'<div style="background:#1f77b4;height:100%;{width}"></div>'
    bar = f'<div style="background:#8884;height:6px;max-width:40em;margin:4px 0">{filled}</div>' if view.epoch else ""
    notes = "".join(f"<div>{html.escape(note)}</div>" for note in view.notes)
    return f'<div class="tfspark-cnn-run" style="font-family:monospace">{head}{bar}{_cell_table(view)}{notes}</div>'


def _cell_head(view: RunView, now_s: float) -> list[str]:
    elapsed = words.clock(view.elapsed_s(now_s))
    if not view.epoch:
        return [f"{view.phase}  {elapsed}"]
    told = [f"{words.place(view)}  {metric_words(view.metrics)}", f"{words.pace(view, now_s)}  {elapsed}"]
    return [*told, *([view.outcome] if view.outcome not in ("", "done") else [])]


def _cell_table(view: RunView) -> str:
    if not view.nodes:
        return ""
    titles, *rows = words.table(list(view.nodes.values()), CELL_COLUMNS)
    cells = "".join(f'<th style="text-align:left">{html.escape(title)}</th>' for title in titles)
    body = "".join(f"<tr>{''.join(f'<td>{html.escape(text)}</td>' for text in row)}</tr>" for row in rows)
    return f"<table><thead><tr>{cells}</tr></thead><tbody>{body}</tbody></table>"


def in_notebook() -> bool:
    """Tells whether this program runs in the kernel of a notebook, which shows HTML. Imports nothing for it."""
    shell = sys.modules.get("IPython")
    found = shell.get_ipython() if shell is not None else None
    return found is not None and hasattr(found, "kernel")


def screen(stream: TextIO | None = None) -> Screen:
    """Gives the screen that suits where this program runs.

    Args:
        stream: of the terminal or of the lines; None: standard error, so that results can be piped.
    """
    if in_notebook():
        return Cell()
    out = stream or sys.stderr
    if not out.isatty():
        return Lines(out)
    from rich.console import Console

    return Terminal(Console(file=out))
