"""Verb `bench` without Spark: its plan, what it refuses, and its figures."""

from __future__ import annotations

import json

import pytest

from tfspark_cnn.cli import main
from tfspark_cnn.cli.bench import BATCH_ROWS, REDUCED_BYTES, measured, with_speedups


def test_a_dry_run_shows_what_would_be_measured(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main.main(["bench", "--nodes", "3", "--dry-run"])
    assert caught.value.code == 0
    assert json.loads(capsys.readouterr().out) == {"nodes": [1, 2, 3], "rows": 20000, "spark": {"master": "local[5]"}}


@pytest.mark.parametrize("given", [("--nodes", "0"), ("--nodes", "3", "--rows", "100")])
def test_fewer_rows_than_a_step_has_are_refused(given: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main.main(["bench", *given])
    assert caught.value.code == 2
    assert capsys.readouterr().err.startswith("error: expected 1 node or more, with 64 rows each, received --nodes ")


def test_the_slowest_node_makes_the_step_and_one_node_sums_nothing() -> None:
    alone = measured([{"step_s": 0.01, "reduce_s": 0.0}], start_s=1.234, fed_rows_per_s=1000.4)
    results = [{"step_s": 0.01, "reduce_s": 0.001}, {"step_s": 0.016, "reduce_s": 0.002}]
    both = measured(results, start_s=2, fed_rows_per_s=1000)
    assert (alone.rows_per_s, alone.reduced_mb_per_s, alone.start_s) == (BATCH_ROWS * 100, None, 1.23)
    assert (both.nodes, both.step_ms, both.rows_per_s) == (2, 16.0, 8000)
    assert both.reduced_mb_per_s == round(REDUCED_BYTES / 0.002 / 1e6, 1)
    assert [one.speedup for one in with_speedups([alone, both])] == [1.0, 1.25]
