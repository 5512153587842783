"""The texts of a display."""

from __future__ import annotations

import pytest

from tfspark_cnn.display import words
from tfspark_cnn.display.view import NodeView

NODES = [
    NodeView("chief:0", "training", step_s=0.0123, waited=0.25, memory_bytes=812 << 20, gpu_percent=91.0),
    NodeView("worker:0", "starting"),
]


def width(table: list[list[str]]) -> int:
    return max(sum(max(len(row[column]) for row in table) + 2 for column in range(len(table[0]))) - 2 for _ in table)


def test_a_wide_table_has_a_row_for_each_node_with_everything_that_is_known() -> None:
    titles, chief, worker = words.table(NODES, 200)
    assert titles == ["node", "state", "step", "waits for rows", "memory", "GPU"]
    assert chief == ["chief:0", "training", "12 ms", "25%", "812 MiB", "91%"]
    assert worker == ["worker:0", "starting", "", "", "", ""]


def test_without_a_gpu_there_is_no_column_for_it() -> None:
    titles, *_ = words.table([NodeView("chief:0", memory_bytes=1 << 30)], 200)
    assert titles == ["node", "state", "memory"]


@pytest.mark.parametrize("columns", [1, 10, 20, 30, 40, 60, 80])
def test_a_narrow_table_leaves_columns_out_and_never_the_name(columns: int) -> None:
    table = words.table(NODES, columns)
    assert table[1][0] == "chief:0"
    assert width(table) <= columns or len(table[0]) == 1


def test_what_matters_least_goes_first() -> None:
    shown = [words.table(NODES, columns)[0] for columns in range(80, 8, -1)]
    kept = [set(one) for one in shown]
    assert all(later <= earlier for earlier, later in zip(kept, kept[1:], strict=False))
    assert shown[-1] == ["node"]


@pytest.mark.parametrize(("seconds", "text"), [(0, "0:00"), (41.9, "0:41"), (725, "12:05"), (3723, "1:02:03")])
def test_times(seconds: float, text: str) -> None:
    assert words.clock(seconds) == text


@pytest.mark.parametrize(("seconds", "text"), [(0.0032, "3.2 ms"), (0.041, "41 ms"), (2.06, "2.1 s")])
def test_times_of_steps(seconds: float, text: str) -> None:
    assert words.milliseconds(seconds) == text


@pytest.mark.parametrize("part", [-1.0, 0.0, 0.3, 1.0, 2.0])
def test_a_bar_is_as_wide_as_it_is_told(part: float) -> None:
    assert len(words.bar(part, 17)) == 17


def test_a_small_metric_is_not_rounded_to_zero() -> None:
    assert words.metric_words({"learning_rate": 0.00002, "loss": 0.0}) == "loss 0.0000  learning_rate 2.00e-05"
