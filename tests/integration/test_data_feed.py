"""`ctx.get_data_feed()` in training: rows as Python objects."""

from __future__ import annotations

import time

import feed_map_funs
import numpy as np
import pytest
from test_rdd import SIZES, rdd_of

from tfspark_cnn import InputMode, TFCluster
from tfspark_cnn.errors import ConfigError, SchemaError

pytestmark = [pytest.mark.timeout(120), pytest.mark.beside]

ROWS = sum(SIZES)


def taken(spark, data, args=None, *, nodes=2, map_fun=feed_map_funs.take_all, **options):
    with TFCluster.run(spark, map_fun, args or {}, nodes, input_mode=InputMode.SPARK) as cluster:
        cluster.train(data, **options)
        return cluster.shutdown()


def test_batches_span_partitions_and_each_row_comes_once_per_epoch(spark):
    results = taken(spark, rdd_of(spark, lambda n: n), num_epochs=2)
    for batches in results:
        sizes = list(map(len, batches))
        assert all(size == 10 for size in sizes[:-1]) and sizes[-1] < 10
        rows = [row for batch in batches for row in batch]
        half = len(rows) // 2
        assert rows[:half] == rows[half:] == sorted(rows[:half])
    assert sorted(row for batches in results for batch in batches for row in batch) == sorted([*range(ROWS)] * 2)


def test_rows_come_as_they_were(spark):
    results = taken(spark, rdd_of(spark, lambda n: (n, f"row {n}", np.full((2, 2), n, "uint16"), [0.5] * (n % 3))))
    rows = sorted((row for batches in results for batch in batches for row in batch), key=lambda row: row[0])
    assert [row[:2] for row in rows] == [(n, f"row {n}") for n in range(ROWS)]
    assert all(row[2].dtype == np.uint16 and (row[2] == row[0]).all() for row in rows)
    assert all(row[3] == [0.5] * (row[0] % 3) for row in rows)


def test_objects_that_arrow_has_no_type_for_come_whole(spark):
    results = taken(spark, rdd_of(spark, feed_map_funs.Sample))
    numbers = [row.number for batches in results for batch in batches for row in batch]
    assert sorted(numbers) == list(range(ROWS))


def test_rows_of_a_dataframe_come_as_tuples(spark):
    data = spark.sql("select id, array(float(id), 0.5f) x from range(0, 300, 1, 3)")
    rows = [row for batches in taken(spark, data) for batch in batches for row in batch]
    assert sorted(rows) == [(n, [float(n), 0.5]) for n in range(300)]


@pytest.mark.parametrize(
    "make", [lambda n: (f"{n}", n), lambda n: {"y": n, "other": 0, "x": f"{n}"}], ids=["tuples", "dicts"]
)
def test_input_mapping_gives_tensors_by_sorted_column_name(spark, make):
    results = taken(spark, rdd_of(spark, make), {"mapping": {"y": "label", "x": "image"}})
    for batches in results:
        assert all(list(batch) == ["image", "label"] for batch in batches)
        assert all(batch["image"] == [f"{n}" for n in batch["label"]] for batch in batches)
    assert sorted(n for batches in results for batch in batches for n in batch["label"]) == list(range(ROWS))


def test_input_mapping_of_a_missing_column_is_refused(spark):
    with pytest.raises(SchemaError, match="input_mapping: expected the columns z, received x"):
        taken(spark, rdd_of(spark, lambda n: {"x": n}), {"mapping": {"z": "image"}})


def test_terminate_on_all_nodes_ends_train_and_the_spark_job(spark):
    data = rdd_of(spark, lambda n: time.sleep(0.01) or n, (5000, 5000))
    with TFCluster.run(spark, feed_map_funs.take_one, {"batch": 3}, 2, input_mode=InputMode.SPARK) as cluster:
        start = time.monotonic()
        cluster.train(data)
        assert time.monotonic() - start < 25, "all rows would take 50 s"
        assert cluster.shutdown() == [(3, True)] * 2
    assert not spark.sparkContext.statusTracker().getActiveJobsIds()


def test_num_epochs_zero_feeds_until_terminate(spark):
    results = taken(spark, rdd_of(spark, lambda n: n), {"batch": ROWS}, map_fun=feed_map_funs.take_one, num_epochs=0)
    assert results == [(ROWS, True)] * 2


def test_results_of_training_are_refused(spark):
    def map_fun(args, ctx):
        ctx.get_data_feed().batch_results([1])

    with pytest.raises(ConfigError, match=r"(?s)nobody waits for results.*train_mode=False"):
        taken(spark, rdd_of(spark, lambda n: n), map_fun=map_fun)
