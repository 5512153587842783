from __future__ import annotations

import threading
import time
from types import SimpleNamespace

import pytest

from bench.shared_epochs import SLACK_ROWS, StampFedRows, Stamps, batches_of, later_rows_per_s


class Feed:
    """A feed of batches, as `ctx.get_data_feed()` gives it."""

    def __init__(self, *batches: int) -> None:
        self._left = list(batches)

    def should_stop(self) -> bool:
        return not self._left

    def next_batch(self, rows: int) -> list[int]:
        return [0] * self._left.pop(0)


def test_the_rate_is_that_of_all_epochs_but_the_first():
    node, other = [(10.0, 500), (11.0, 500), (12.0, 500)], [(10.5, 500), (11.5, 500), (12.5, 500)]
    assert later_rows_per_s([*node, *other], rows=1000, epochs=3) == 1000.0


def test_nodes_may_get_other_parts_of_each_epoch():
    node, other = [(10.0, 1000), (12.0, 1000)], [(11.0, 1000)]
    assert later_rows_per_s([*node, *other], rows=1000, epochs=3) == 1000.0


def test_rows_that_wait_for_their_batches_to_be_full_are_neither_counted_nor_missed():
    taken = later_rows_per_s([(10.0, 990), (11.0, 990), (12.0, 1000)], rows=1000, epochs=3)
    assert taken == pytest.approx(995.0)


@pytest.mark.parametrize("rows", [0, 3000 - SLACK_ROWS - 1, 3000 + SLACK_ROWS + 1])
def test_other_rows_than_those_of_all_epochs_are_an_error(rows):
    with pytest.raises(ValueError, match=f"expected 3 epochs of 1000 rows, received {rows} rows"):
        later_rows_per_s([(10.0, rows)] if rows else [], rows=1000, epochs=3)


def test_stamps_of_a_round_are_those_of_all_nodes_since_it_began(tmp_path):
    stamps = Stamps(tmp_path)
    stamps.leave(0, [64])
    began = time.time()
    assert [stamps.leave(0, [64, 8]), stamps.leave(1, [64])] == [72, 64]
    assert sorted(rows for _, rows in stamps.since(began)) == [8, 64, 64]


def test_a_line_that_is_being_written_is_left_for_later(tmp_path):
    tmp_path.joinpath("0").write_text("10.0 64\n11.0 6")
    assert Stamps(tmp_path).since(0.0) == [(10.0, 64)]


def test_all_rows_but_the_slack_are_waited_for(tmp_path):
    stamps = Stamps(tmp_path)
    stamps.leave(0, [SLACK_ROWS])
    later = threading.Timer(0.02, lambda: stamps.leave(1, [1]))
    later.start()
    assert sum(rows for _, rows in stamps.all_since(0.0, rows=2 * SLACK_ROWS)) == SLACK_ROWS + 1
    later.join()


def test_rows_that_never_come_are_an_error_that_counts_them(tmp_path, monkeypatch):
    monkeypatch.setattr("bench.shared_epochs.PATIENCE_S", 0.01)
    Stamps(tmp_path).leave(0, [64])
    with pytest.raises(TimeoutError, match="nodes have taken 64 of 1000 rows after 0.01 s"):
        Stamps(tmp_path).all_since(0.0, rows=1000)


def test_a_node_takes_its_feed_to_the_end_and_stamps_each_batch(tmp_path):
    assert list(batches_of(Feed(64, 64, 3))) == [64, 64, 3]
    ctx = SimpleNamespace(executor_id=1, get_data_feed=lambda: Feed(64, 3))
    assert StampFedRows(Stamps(tmp_path))(None, ctx) == 67
    assert [rows for _, rows in Stamps(tmp_path).since(0.0)] == [64, 3]
