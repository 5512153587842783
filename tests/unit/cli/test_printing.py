"""Tables of results."""

from __future__ import annotations

import pytest
from rich.table import Table

from tfspark_cnn.cli.printing import show


def test_a_path_in_a_table_is_whole_where_there_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    path = "/data/" + "/".join(f"folder-{number}" for number in range(30))
    table = Table(show_header=False)
    table.add_row("model", path)
    show(table)
    assert path in capsys.readouterr().out
