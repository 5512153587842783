"""`cluster.inference`: one result per row, in order, from the node that got the partition."""

from __future__ import annotations

import time

import feed_map_funs
import pytest
from test_rdd import SIZES, rdd_of

from tfspark_cnn import InputMode, TFCluster
from tfspark_cnn.cluster import tf_cluster
from tfspark_cnn.errors import ConfigError, FeedError, NodeError

pytestmark = [pytest.mark.timeout(120), pytest.mark.beside]

ROWS = sum(SIZES)


def cluster_of(spark, map_fun, args=None, nodes=2):
    return TFCluster.run(spark, map_fun, args or {}, nodes, input_mode=InputMode.SPARK)


def test_results_of_an_rdd_come_in_the_order_of_its_rows_one_each(spark):
    with cluster_of(spark, feed_map_funs.double) as cluster:
        results = cluster.inference(rdd_of(spark, lambda n: n))
        assert results.getNumPartitions() == len(SIZES)
        assert results.glom().map(len).collect() == list(SIZES)
        assert results.collect() == [2 * n for n in range(ROWS)]
        assert results.take(3) == [0, 2, 4]
        sizes = [size for node in cluster.shutdown() for size in node if size]
    assert 10 in sizes and 7 in sizes and 3 in sizes, "a batch is cut at the end of a partition"


def test_many_partitions_at_once_never_mix(spark):
    data = rdd_of(spark, lambda n: f"{n} ", (300,) * 12)
    with cluster_of(spark, feed_map_funs.double, {"batch": 64}) as cluster:
        assert cluster.inference(data).collect() == [f"{n} {n} " for n in range(3600)]


def test_batches_larger_than_what_is_sent_ahead_do_not_block(spark):
    with cluster_of(spark, feed_map_funs.double, {"batch": 5000}, nodes=1) as cluster:
        assert cluster.inference(rdd_of(spark, lambda n: n, (6000,))).sum() == 5999 * 6000


def test_results_may_come_later_than_the_next_batch(spark):
    with cluster_of(spark, feed_map_funs.answer_late) as cluster:
        results = cluster.inference(rdd_of(spark, lambda n: n, (101, 25))).collect()
    assert results == [n + 0.5 for n in range(126)]


def test_a_dataframe_keeps_its_columns_and_gets_a_prediction(spark):
    data = spark.sql("select id, array(float(id), 0.5f) x, string(id) name from range(0, 1000, 1, 3)")
    with cluster_of(spark, feed_map_funs.sums) as cluster:
        scored = cluster.inference(data)
        assert scored.columns == ["id", "x", "name", "prediction"]
        assert dict(scored.dtypes)["prediction"] == "array<float>"
        rows = scored.collect()
    assert [row.id for row in rows] == list(range(1000))
    assert all(row.prediction == [row.id + 0.5, row.id] and row.name == str(row.id) for row in rows)


def test_a_dataframe_with_ml_vectors_is_scored(spark):
    from pyspark.ml.linalg import Vectors

    rows = [(n, Vectors.dense([n, 0.5]) if n % 2 else Vectors.sparse(2, {0: float(n)})) for n in range(20)]
    data = spark.createDataFrame(rows, ["id", "features"]).repartition(3)
    with cluster_of(spark, feed_map_funs.add_up_vectors) as cluster:
        scored = cluster.inference(data, result_type="double").orderBy("id").collect()
    assert [row.prediction for row in scored] == [n + 0.5 * (n % 2) for n in range(20)]
    assert [(row.id, row.features) for row in scored] == rows


def test_columns_of_one_name_both_come_back(spark):
    data = spark.sql("select id, array(float(id), 0.5f) x, -id id from range(0, 30, 1, 2)")
    with cluster_of(spark, feed_map_funs.first_value) as cluster:
        scored = cluster.inference(data, result_type="bigint")
        assert scored.columns == ["id", "x", "id", "prediction"]
        assert sorted(map(tuple, scored.drop("x").collect())) == [(n, -n, n) for n in range(30)]


def test_a_task_killed_in_the_middle_is_tried_again_and_gives_each_row_once(spark, monkeypatch):
    monkeypatch.setattr(tf_cluster, "Inference", feed_map_funs.KilledInference)
    with cluster_of(spark, feed_map_funs.double) as cluster:
        assert cluster.inference(rdd_of(spark, lambda n: n, (900, 0, 500))).collect() == [2 * n for n in range(1400)]
        taken = sum(sum(sizes) for sizes in cluster.shutdown())
    assert taken > 1400, "rows of tasks that were killed were taken, and their results dropped"


def test_results_that_are_not_of_the_type_are_refused(spark):
    data = spark.range(0, 10, 1, 1)
    with cluster_of(spark, feed_map_funs.sums) as cluster:
        scored = cluster.inference(data.selectExpr("id", "array(1.0f) x"), result_type="bigint")
        with pytest.raises(Exception, match=r"expected results that are int64, received scalar of _1: fixed_size_list"):
            scored.collect()


def test_a_wrong_number_of_results_names_the_partition(spark):
    with pytest.raises(FeedError, match="partition [02]: expected [0-9]+ results, .*received [0-9]+"):
        with cluster_of(spark, feed_map_funs.drop_one) as cluster:
            results = cluster.inference(rdd_of(spark, lambda n: n, (30, 0, 5)))
            with pytest.raises(Exception, match=r"partition [02]: (expected|the node at .* ended after)"):
                results.collect()
            cluster.shutdown()


@pytest.mark.parametrize(
    ("map_fun", "words"),
    [
        (feed_map_funs.die_in_the_middle, r"FeedError: partition 0: the node at .* ended after \d+ results"),
        # What the first try hears is "map_fun has returned"; those after it may find the node gone.
        (feed_map_funs.return_in_the_middle, r"FeedError: partition 0: the node at .* ended after \d+ results"),
    ],
)
def test_a_node_that_ends_in_the_middle_fails_the_task(spark, map_fun, words):
    start = time.monotonic()
    with cluster_of(spark, map_fun, nodes=1) as cluster:
        with pytest.raises(Exception, match=words):
            cluster.inference(rdd_of(spark, lambda n: n, (1000,))).collect()
        assert time.monotonic() - start < 40
        if map_fun is feed_map_funs.die_in_the_middle:
            with pytest.raises(NodeError, match="SIGKILL"):
                cluster.shutdown()


def test_a_node_that_never_answers_times_out(spark):
    with cluster_of(spark, feed_map_funs.answer_nothing, nodes=1) as cluster:
        with pytest.raises(Exception, match=r"partition 0: the node at .* neither taken rows nor given results for 1"):
            cluster.inference(rdd_of(spark, lambda n: n, (20,)), feed_timeout=1).collect()


def test_empty_partitions_contact_nobody(spark):
    with cluster_of(spark, feed_map_funs.return_in_the_middle) as cluster:
        assert cluster.inference(rdd_of(spark, lambda n: n, (0, 0))).collect() == []
        cluster.cancel()


def test_arguments_that_cannot_be_are_refused(spark):
    with cluster_of(spark, feed_map_funs.double) as cluster:
        data = spark.range(3)
        for call, words in (
            (lambda: cluster.inference([1]), "inference got a list, expected a DataFrame or an RDD"),
            (lambda: cluster.inference(data, qname="inptu"), "no queue 'inptu'"),
            (lambda: cluster.inference(data, feed_timeout=0), "feed_timeout is 0"),
            (lambda: cluster.inference(data, result_type="vec<float>"), "result_type is 'vec<float>'"),
            (lambda: cluster.inference(data.withColumn("prediction", data.id)), "has a column 'prediction'"),
        ):
            with pytest.raises(ConfigError, match=words):
                call()
