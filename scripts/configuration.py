"""Writes docs/configuration.md from the tables of `tfspark_cnn.config`: `python -m scripts.configuration`."""

from __future__ import annotations

import inspect
import re
from dataclasses import MISSING, Field, fields
from pathlib import Path
from typing import Any

from tfspark_cnn import config, env, networks, recipes
from tfspark_cnn.data import names

PAGE = Path(__file__).parents[1] / "docs" / "configuration.md"
COMMAND = "python -m scripts.configuration"

_HEAD = """# Configuration

What `tfspark-cnn train CONF` reads, table by table. Every key may be left out. A key is taken from the first place
that has it: `--set train.epochs=3`, the environment's `TFSPARK_CNN_TRAIN__EPOCHS=3`, the TOML file, the default below.
A key that is not here is refused, with the one that was probably meant. `--dry-run` shows what a run would take.

This page is made by `{command}` from `tfspark_cnn/config.py`.
"""
_TYPES = {"str": "text", "int": "whole number", "float": "number", "bool": "true or false"}
_ATTRIBUTE = re.compile(r"^    (\w+): ((?:.*\n)(?:^ {8}.*\n)*)", re.MULTILINE)


def page() -> str:
    """Gives the text of the page."""
    parts = [_HEAD.format(command=COMMAND), *(_table(name, kind) for name, kind in config.TABLES.items()), _choices()]
    return "\n".join(parts)


def _table(name: str, kind: Any) -> str:
    said = meanings(kind)
    rows = [_row(name, setting, said[setting.name]) for setting in fields(kind)]
    head = "| key | type | default | what it is | variable |\n|---|---|---|---|---|\n"
    return f"## [{name}]\n\n{_summary(kind)}\n\n{head}{''.join(rows)}"


def _summary(kind: Any) -> str:
    text = (inspect.getdoc(kind) or "").partition("\n")[0]
    said = text.partition(": ")[2]
    return said[:1].upper() + said[1:]


def meanings(kind: Any) -> dict[str, str]:
    """Gives what the docstring of a table says of each of its keys."""
    text = (inspect.getdoc(kind) or "").partition("Attributes:\n")[2] + "\n"
    return {name: " ".join(said.split()) for name, said in _ATTRIBUTE.findall(text)}


def _row(table: str, setting: Field[Any], said: str) -> str:
    key = f"{table}.{setting.name}"
    if setting.default is MISSING:
        return f"| `{setting.name}` | table | empty | {said} | |\n"
    expected = setting.metadata["expected"]
    kind = expected if expected != "a text" else _TYPES[str(setting.type)]
    default = str(setting.default).lower() if isinstance(setting.default, bool) else setting.default
    shown = f'`"{default}"`' if isinstance(setting.default, str) else f"`{default}`"
    return f"| `{setting.name}` | {kind} | {shown} | {said} | `{env.variable_of(key)}` |\n"


def _choices() -> str:
    own = [f"| `{name}` | {', '.join(f'`{one}`' for one in given) or 'none'} |" for name, given in _networks()]
    lines = [
        "## What there is to choose\n",
        f"Sources: {', '.join(f'`{name}`' for name in names())}.\n",
        f"Recipes: {', '.join(f'`{name}`' for name in sorted(recipes.RECIPES))}.\n",
        "Networks of this package, and their `[model.parameters]`; besides these all of `keras.applications`:\n",
        "| network | parameters |\n|---|---|",
        *own,
    ]
    return "\n".join(lines) + "\n"


def _networks() -> list[tuple[str, tuple[str, ...]]]:
    return list(networks.NETWORKS.items())


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
