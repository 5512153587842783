"""Results on standard output."""

from __future__ import annotations

import json
import math

import pytest
from rich.table import Table

from tfspark_cnn.cli.printing import show, show_json


def test_a_path_in_a_table_is_whole_where_there_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    path = "/data/" + "/".join(f"folder-{number}" for number in range(30))
    table = Table(show_header=False)
    table.add_row("model", path)
    show(table)
    assert path in capsys.readouterr().out


def test_what_is_no_number_is_a_text_in_json(capsys: pytest.CaptureFixture[str]) -> None:
    show_json({"loss": (1.5, math.nan), "nodes": [{"rate": math.inf}], "model": "NaN", "rows": 3})
    told = capsys.readouterr().out
    found = json.loads(told, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert found == {"loss": [1.5, "NaN"], "nodes": [{"rate": "Infinity"}], "model": "NaN", "rows": 3}
