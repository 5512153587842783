"""Rows for training one after the other: what is refused."""

from __future__ import annotations

import pytest

from tfspark_cnn.errors import ConfigError
from tfspark_cnn.feed.data_feed import DataFeed
from tfspark_cnn.feed.train_rows import TrainRows


def test_results_of_training_are_refused() -> None:
    source = TrainRows(next_feed=lambda _: None, progress=lambda _: None, detach=lambda: None, attach=lambda *_: None)
    with pytest.raises(ConfigError, match="batch_results was called on a feed for training") as caught:
        DataFeed(source, train_mode=True, input_mapping=None).batch_results([1])
    assert "train_mode=False" in (caught.value.hint or "")


def test_a_feed_without_more_rows_stops_and_says_so_once() -> None:
    told: list[str] = []
    source = TrainRows(next_feed=lambda _: None, progress=lambda _: None, detach=lambda: told.append("detached"),
                       attach=lambda *_: None)
    feed = DataFeed(source, train_mode=True, input_mapping=None)
    feed.terminate()
    feed.terminate()
    assert feed.should_stop() and feed.next_batch(3) == [] and told == ["detached"]
