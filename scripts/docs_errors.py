"""The page of errors: what each can say, and its cure, as they stand in the code. Pure, but for reading files."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from tfspark_cnn import errors

BLANK = "…"
"""Stands for what a message is made with."""


def error_reference(package: Path) -> str:
    """Gives every class of the tree, what it means, and the messages that are raised by it, with their cures."""
    found: dict[str, set[tuple[str, str]]] = defaultdict(set)
    for path in package.rglob("*.py"):
        for name, message, hint in raised(path.read_text(encoding="utf-8")):
            found[name].add((message, hint))
    return "\n\n".join(_section(kind, sorted(found[kind.__name__])) for kind in classes())


def classes() -> list[type[errors.TFSparkError]]:
    """Gives the tree, parents first."""
    known = [one for one in vars(errors).values() if isinstance(one, type) and issubclass(one, errors.TFSparkError)]
    return [one for one in known if one.__module__ == errors.__name__]


def raised(source: str) -> Iterator[tuple[str, str, str]]:
    """Gives class, message and hint of every error that a module makes with a message of its own.

    Example:
        >>> list(raised('raise ConfigError(f"{key} is wrong", hint="mend it")'))
        [('ConfigError', '… is wrong', 'mend it')]
    """
    names = {kind.__name__ for kind in classes()}
    for call in (one for one in ast.walk(ast.parse(source)) if isinstance(one, ast.Call)):
        name = call.func.id if isinstance(call.func, ast.Name) else ""
        message = _text(call.args[0]) if name in names and call.args else ""
        hints = [_text(keyword.value) for keyword in call.keywords if keyword.arg == "hint"]
        if message.strip(f"{BLANK} :,"):
            yield name, message.partition("\n")[0], hints[0] if hints else ""


def _text(value: ast.expr) -> str:
    match value:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=parts):
            return "".join(_text(part) for part in parts)
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return _text(left) + _text(right)
    return BLANK


def _section(kind: type[errors.TFSparkError], messages: list[tuple[str, str]]) -> str:
    meaning = (kind.__doc__ or "").strip().partition("\n")[0]
    lines = [f"| {_cell(message)} | {_cell(hint)} |" for message, hint in messages]
    table = ["| message | what to do |", "|---|---|", *lines] if lines else []
    return "\n".join([f"## {kind.__name__}", "", meaning, "", *table]).rstrip()


def _cell(text: str) -> str:
    """Gives it as code, in which nothing is Markdown; `<` too would begin a tag."""
    safe = " ".join(text.split()).replace("|", "\\|").replace("`", "'")
    return f"`{safe}`" if safe.strip(BLANK) else BLANK
