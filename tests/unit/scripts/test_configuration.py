"""docs/configuration.md is what config.py says."""

from __future__ import annotations

from dataclasses import fields

from scripts import configuration
from tfspark_cnn import config


def test_the_page_is_not_stale() -> None:
    written = configuration.PAGE.read_text(encoding="utf-8")
    assert written == configuration.page(), f"run `{configuration.COMMAND}`"


def test_every_key_is_told_with_type_default_and_meaning() -> None:
    lines = configuration.page().splitlines()
    for name, kind in config.TABLES.items():
        said = configuration.meanings(kind)
        start = lines.index(f"## [{name}]")
        for setting in fields(kind):
            (row,) = [line for line in lines[start : start + 25] if line.startswith(f"| `{setting.name}` |")]
            cells = [cell.strip() for cell in row.strip("|").split("|")]
            assert len(cells) == 5 and all(cells[:4]), row
            assert said[setting.name].rstrip(".") in cells[3]
