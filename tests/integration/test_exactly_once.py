"""Each row once, whatever happens to those who bring it, and wherever it is kept."""

from __future__ import annotations

import map_funs
import pytest
from test_feed import SIZES, epochs_of, frame

from tfspark_cnn import InputMode, TFCluster
from tfspark_cnn.cluster import train_feeds
from tfspark_cnn.errors import FeedError

pytestmark = [pytest.mark.timeout(180), pytest.mark.beside]

MANY = (200, 0, 300, 150, 7, 400)


@pytest.fixture
def small_batches(spark):
    """Record batches of ten rows, so that there is a middle to be killed in."""
    name = "spark.sql.execution.arrow.maxRecordsPerBatch"
    before = spark.conf.get(name)
    spark.conf.set(name, "10")
    yield
    spark.conf.set(name, before)


def test_feeders_killed_fifteen_times_leave_no_row_lost_or_doubled(spark, small_batches, monkeypatch):
    whole = epochs_of(spark, frame(spark, MANY), {"shuffle": True}, nodes=2, epochs=2, seed=3)
    monkeypatch.setattr(train_feeds, "Feeder", map_funs.KilledFeeder)
    killed = epochs_of(spark, frame(spark, MANY), {"shuffle": True}, nodes=2, epochs=2, seed=3)
    for epoch in killed:
        assert sorted(row for node in epoch for batch in node for row in batch) == list(range(sum(MANY)))
    assert killed == whole, "the same rows in the same order in the same batches"


def test_data_that_changes_between_tries_is_found_out(spark, small_batches, monkeypatch):
    monkeypatch.setattr(train_feeds, "Feeder", map_funs.LateKilledFeeder)
    data = frame(spark, MANY).rdd.map(map_funs.change).toDF("x array<float>, id bigint")
    with pytest.raises(FeedError, match=r"changed between tries") as caught:
        epochs_of(spark, data, {}, nodes=2, epochs=1)
    assert "deterministic" in str(caught.value)


@pytest.mark.parametrize(("options", "shuffle"), [({"cache": "disk"}, True), ({"cache_bytes": 4096}, False)])
def test_rows_on_disk_are_the_rows_of_memory(spark, options, shuffle):
    for epoch in epochs_of(spark, frame(spark), {"shuffle": shuffle}, epochs=3, **options):
        assert sorted(row for node in epoch for batch in node for row in batch) == list(range(sum(SIZES)))
        assert len({len(node) for node in epoch}) == 1


def test_a_full_disk_names_the_directory_what_was_written_and_the_setting(spark):
    data = spark.range(0, 12_000, 1, 4).selectExpr("transform(sequence(1, 100), i -> float(i)) x", "id")
    words = r"the cache of rows on disk, in /.*, failed after 1 MiB: .*File too large"
    with pytest.raises(FeedError, match=words) as caught:
        epochs_of(spark, data, {"disk_bytes": 2 << 20}, nodes=2, epochs=1, cache="disk")
    assert caught.value.node in ("worker:0", "worker:1") and "spark.local.dir" in caught.value.hint
    assert spark.range(3).count() == 3, "the application is still usable"


def test_many_tiny_partitions_are_shared_evenly(spark):
    sizes = [(number * 7) % 3 for number in range(60)]
    (epoch,) = epochs_of(spark, frame(spark, sizes), {"batch": 8}, nodes=2, epochs=1)
    rows = [sum(len(batch) for batch in node) for node in epoch]
    assert sum(rows) == sum(sizes) and abs(rows[0] - rows[1]) < sum(sizes) // 2


def test_validation_from_an_rdd_beside_training_and_a_second_train_call(spark, tmp_path):
    with TFCluster.run(
        spark, map_funs.train_and_validate, None, 2, input_mode=InputMode.SPARK, master_node="chief",
        log_dir=str(tmp_path),
    ) as cluster:  # fmt: skip
        cluster.train(frame(spark), num_epochs=2, validation=frame(spark, (50, 3)).rdd)
        cluster.train(frame(spark, (40, 40)), num_epochs=1)
        results = cluster.shutdown()
    assert [len(result["first"]["val_loss"]) for result in results] == [2, 2]
    assert results[0]["first"] == results[1]["first"] and results[0]["second"] == results[1]["second"]
    assert len({result["steps"] for result in results}) == 1
    first, second = cluster.feed_reports()
    assert (first.feed, first.rows, first.partitions) == ("input-1", sum(SIZES), len(SIZES))
    assert [(node.name, node.epochs, node.taken_rows) for node in first.nodes] == [
        (node.name, 2, 2 * node.rows) for node in first.nodes
    ]
    assert [node.name for node in second.nodes] == ["chief:0", "worker:0"] and second.rows == 80
    assert first.source_s > 0 and first.send_s > 0 and 0 < first.sent_s < first.seconds and first.nbytes > 8 * 1100
    assert sorted(path.name for path in (tmp_path / "nodes").iterdir()) == ["chief-0", "feeders", "worker-0"]
