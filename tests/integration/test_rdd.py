"""RDDs as the data of `train`: what their rows become, and what is refused."""

from __future__ import annotations

import feed_map_funs
import numpy as np
import pytest

from tfspark_cnn import InputMode, TFCluster
from tfspark_cnn.errors import EmptyFeedError, FeedError, SchemaError

pytestmark = [pytest.mark.timeout(120), pytest.mark.beside]

SIZES = (7, 0, 203, 0, 90)


def rdd_of(spark, make, sizes=SIZES):
    """An RDD with exactly these partitions, of `make(id)`, ids counting partition by partition."""
    starts = [sum(sizes[:number]) for number in range(len(sizes))]

    def rows(number):
        return (make(starts[number] + row) for row in range(sizes[number]))

    return spark.sparkContext.parallelize(range(len(sizes)), len(sizes)).flatMap(rows)


def fed(spark, data, columns, *, nodes=2, **options):
    with TFCluster.run(
        spark, feed_map_funs.read_columns, {"columns": columns}, nodes, input_mode=InputMode.SPARK
    ) as cluster:  # fmt: skip
        cluster.train(data, **options)
        return cluster.shutdown()


def test_tuples_of_numpy_arrays_reach_all_nodes_once_per_epoch_with_their_shape_and_dtype(spark):
    data = rdd_of(spark, lambda number: (np.full((2, 3), number, "float32"), number))
    results = fed(spark, data, ["_1", "_2"], num_epochs=2)
    assert all(result["specs"] == [((2, 3), "float32"), ((), "int64")] for result in results)
    for epoch in range(2):
        rows = [row for result in results for row in result["rows"][epoch]]
        assert sorted(number for _, number in rows) == list(range(sum(SIZES)))
        assert all(image == [[number] * 3] * 2 for image, number in rows)


def test_columns_of_rows_and_dicts_have_their_names(spark):
    from pyspark.sql import Row

    for make in (lambda n: {"id": n, "x": [float(n), 0.5]}, lambda n: Row(id=n, x=[float(n), 0.5])):
        results = fed(spark, rdd_of(spark, make), ["x", "id"])
        assert results[0]["specs"] == [((2,), "float64"), ((), "int64")]
        assert sorted(row for result in results for row in result["rows"][0]) == [
            ([float(n), 0.5], n) for n in range(sum(SIZES))
        ]


def test_partitions_whose_types_can_be_cast_are_cast_to_those_of_the_first(spark):
    results = fed(spark, rdd_of(spark, lambda n: (float(n) if n < 7 else n,)), ["_1"])
    assert sorted(row for result in results for row in result["rows"][0]) == [(float(n),) for n in range(sum(SIZES))]


def test_partitions_whose_types_cannot_be_cast_are_refused(spark):
    with pytest.raises(SchemaError, match=r"'_1', partition 2: expected int64 as in the first partition"):
        fed(spark, rdd_of(spark, lambda n: (n if n < 7 else n + 0.5,)), ["_1"])


def test_a_ragged_row_is_refused_by_partition_and_row(spark):
    data = rdd_of(spark, lambda n: (np.zeros(3 if n < 1500 else 4), n), (10, 3000))
    with pytest.raises(FeedError, match=r"partition 1, row 1490: .*an array float64\[3\], received float64\[4\]"):
        fed(spark, data, ["_1", "_2"])


def test_rows_that_arrow_has_no_type_for_are_refused_as_columns_with_the_cure(spark):
    with pytest.raises(SchemaError, match=r"(?s)'_1', received pickled rows: column '_2'.*Sample.*get_data_feed"):
        fed(spark, rdd_of(spark, lambda n: (n, feed_map_funs.Sample(n))), ["_1", "_2"])


def test_an_rdd_without_rows_is_refused(spark):
    with pytest.raises(EmptyFeedError, match="no rows"):
        fed(spark, rdd_of(spark, lambda n: (n,), (0, 0)), ["_1"])


def test_a_row_function_that_fails_is_an_error_of_the_feed(spark):
    with pytest.raises(FeedError, match="ZeroDivisionError"):
        fed(spark, rdd_of(spark, lambda n: (1 // (n - 5),)), ["_1"])
