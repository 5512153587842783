"""`tfspark-cnn bench` as somebody types it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from test_cli import cli

pytestmark = [pytest.mark.beside, pytest.mark.more]


@pytest.mark.timeout(420)
def test_one_and_two_nodes_are_measured(tmp_path: Path) -> None:
    done = cli("bench", "--nodes", "2", "--rows", "1024", "--json", cwd=tmp_path, timeout_s=400)
    assert done.returncode == 0, done.stderr
    alone, both = json.loads(done.stdout)
    assert (alone["nodes"], both["nodes"]) == (1, 2)
    for one in (alone, both):
        assert min(one["start_s"], one["fed_rows_per_s"], one["step_ms"], one["rows_per_s"], one["speedup"]) > 0
    assert alone["reduced_mb_per_s"] is None and both["reduced_mb_per_s"] > 0
    assert "measuring with 2 nodes" in done.stderr
