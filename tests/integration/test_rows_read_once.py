"""`cache="none"`: Spark computes each epoch anew, nodes keep no rows, and feeders wait where nodes are slower."""

from __future__ import annotations

import threading

import map_funs
import pytest
from test_feed import SIZES, epochs_of, frame

from tfspark_cnn import InputMode, TFCluster
from tfspark_cnn.cluster import train_feeds
from tfspark_cnn.errors import FeedError

pytestmark = [pytest.mark.timeout(180), pytest.mark.beside]

LONG = (3000, 0, 9000, 50, 6000)
ONCE = {"cache": "none", "cache_bytes": 20_000}


@pytest.fixture
def small_batches(spark):
    name = "spark.sql.execution.arrow.maxRecordsPerBatch"
    before = spark.conf.get(name)
    spark.conf.set(name, "100")
    yield
    spark.conf.set(name, before)


def rows(epoch):
    return sorted(row for node in epoch for batch in node for row in batch)


def test_each_epoch_has_each_row_once_in_equal_steps(spark, small_batches):
    epochs = epochs_of(spark, frame(spark), {"shuffle": True}, nodes=3, epochs=3, **ONCE)
    assert len(epochs) == 3
    for epoch in epochs:
        assert rows(epoch) == list(range(sum(SIZES)))
        assert len({len(node) for node in epoch}) == 1
    assert epochs[0] != epochs[1]


def test_feeders_are_held_back_and_killed_and_no_row_is_lost_or_doubled(spark, small_batches, monkeypatch):
    """Memory has room for a tenth of a partition: feeders of rows in order and of later partitions all have to wait."""
    args = {"shuffle": False, "epochs": 2, "slow": True}
    whole = epochs_of(spark, frame(spark, LONG), args, nodes=2, epochs=2, **ONCE)
    monkeypatch.setattr(train_feeds, "Feeder", map_funs.KilledFeeder)
    killed = epochs_of(spark, frame(spark, LONG), args, nodes=2, epochs=2, **ONCE)
    assert killed == whole
    for epoch in killed:
        assert rows(epoch) == list(range(sum(LONG)))


def test_nodes_hold_little_and_write_nothing_where_feeders_can_wait(spark, small_batches):
    with TFCluster.run(
        spark, map_funs.watch_store, {"batch": 50}, 2, input_mode=InputMode.SPARK, cache="none", cache_bytes=300_000
    ) as cluster:
        cluster.train(frame(spark, (60_000,)), num_epochs=1)
        results = cluster.shutdown()
    assert sum(result["rows"] for result in results) == 60_000
    for result in results:
        assert result["held_s"] > 0, "the feeder had to wait"
        assert result["most_bytes"] < 160_000, "half of the memory, and a record batch"
        assert result["written_bytes"] == 0


def test_nodes_that_take_different_numbers_of_rows_per_step_do_not_wait_for_each_other_for_ever(spark, small_batches):
    """One node takes three times as many rows a step: the other's rows pile up beyond its memory, and go to disk."""
    (epoch,) = epochs_of(spark, frame(spark, (9000,)), {"by_node": [30, 10]}, nodes=2, epochs=1, **ONCE)
    assert rows(epoch) == list(range(9000))
    assert len({len(node) for node in epoch}) == 1


def test_an_epoch_that_is_left_early_is_followed_by_the_next(spark, small_batches):
    with TFCluster.run(spark, map_funs.leave_early, None, 2, input_mode=InputMode.SPARK, **ONCE) as cluster:
        cluster.train(frame(spark, LONG), num_epochs=3)
        results = cluster.shutdown()
    assert all(result == [1, 1, len(results[0]) and result[2]] for result in results)
    assert sum(result[2] for result in results) == sum(LONG)


def test_num_epochs_zero_feeds_until_the_nodes_stop_asking(spark):
    epochs = epochs_of(spark, frame(spark), {"epochs": 4}, nodes=2, epochs=0, **ONCE)
    assert [rows(epoch) == list(range(sum(SIZES))) for epoch in epochs] == [True] * 4


def test_rows_as_python_objects_are_read_once_too(spark, small_batches):
    with TFCluster.run(spark, map_funs.take_rows, None, 2, input_mode=InputMode.SPARK, **ONCE) as cluster:
        cluster.train(frame(spark, LONG), num_epochs=2)
        results = cluster.shutdown()
    assert sorted(row for result in results for row in result) == sorted([*range(sum(LONG))] * 2)


def test_validation_is_kept_and_a_second_train_call_brings_its_own(spark, small_batches):
    with TFCluster.run(spark, map_funs.read_with_validation, None, 2, input_mode=InputMode.SPARK, **ONCE) as cluster:
        cluster.train(frame(spark), num_epochs=2, validation=frame(spark, (50, 3)))
        cluster.train(frame(spark, (400, 40)), num_epochs=1, validation=frame(spark, (70,)))
        results = cluster.shutdown()
    calls = [[sum(node[number][part] for node in results) for part in (0, 1)] for number in range(3)]
    assert calls == [[sum(SIZES), 53], [sum(SIZES), 53], [440, 70]]


def test_a_second_dataset_over_the_same_rows_is_refused(spark):
    with pytest.raises(FeedError, match=r"a second dataset reads the feed input-1, expected one") as caught:
        with TFCluster.run(spark, map_funs.two_datasets, None, 2, input_mode=InputMode.SPARK, **ONCE) as cluster:
            cluster.train(frame(spark), num_epochs=1)
    assert str(caught.value).count("to do: ") == 1, "the cure is said once, at the end"


def test_leaving_the_block_lets_held_feeders_go(spark, small_batches):
    """map_fun waits with the first batch in its hands, the feeder waits for it, and the driver gives up."""
    with pytest.raises(KeyError):
        with TFCluster.run(spark, map_funs.hold_first_batch, None, 2, input_mode=InputMode.SPARK, **ONCE) as cluster:
            reported = threading.Event()
            cluster.add_progress_listener(lambda report: reported.set())
            feeding = threading.Thread(target=_quietly, args=(cluster, frame(spark, LONG)))
            feeding.start()
            assert reported.wait(60)
            raise KeyError
    feeding.join(30)
    assert not feeding.is_alive()


def _quietly(cluster, data):
    from tfspark_cnn.errors import TFSparkError

    try:
        cluster.train(data)
    except TFSparkError:
        return
