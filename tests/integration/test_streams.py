"""Training from streams: micro-batches of Structured Streaming, and RDDs of a DStream."""

from __future__ import annotations

import json
import os
from collections import Counter

import feed_map_funs
import history_map_funs
import pytest
import stream_map_funs
import tensorflowonspark_map_funs as programs_there

from tfspark_cnn import InputMode, TFCluster
from tfspark_cnn.cluster.verdict import Bound
from tfspark_cnn.errors import ConfigError, NodeError
from tfspark_cnn.feed.dealing import Dealer
from tfspark_cnn.tensorflowonspark import TFCluster as TFOS

pytestmark = [pytest.mark.timeout(120), pytest.mark.beside]

SCHEMA = "x array<float>, id bigint"
SIZES = (40, 1, 0, 1, 1, 25, 0, 1)  # of the files; of two nodes, those of one row are too few


@pytest.fixture(scope="module", autouse=True)
def callbacks(spark):
    """Spark's server for calls into Python stays once it is needed: nothing that a test leaves behind."""
    from pyspark.java_gateway import ensure_callback_server_started

    ensure_callback_server_started(spark.sparkContext._gateway)


@pytest.fixture
def stream(spark, tmp_path):
    """Makes a streaming DataFrame whose micro-batches have so many rows: one file for each, in the order of time."""

    def make(sizes=SIZES):
        (tmp_path / "in").mkdir()
        start = 0
        for number, size in enumerate(sizes):
            file = tmp_path / "in" / f"{number:03}.json"
            rows = [{"x": [0.5, 1.0], "id": row} for row in range(start, start + size)]
            file.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
            os.utime(file, (1e9 + number, 1e9 + number))
            start += size
        return spark.readStream.schema(SCHEMA).option("maxFilesPerTrigger", 1).json(str(tmp_path / "in"))

    return make


def run_query(df, batches):
    """Runs a query to the end of what there is, or to its failure; gives the latter."""
    query = df.writeStream.foreachBatch(batches).trigger(availableNow=True).start()
    try:
        query.awaitTermination()
        return None
    except Exception as error:
        assert query.exception() is not None
        return error


def cluster_of(spark, map_fun, args=None, nodes=2, **options):
    return TFCluster.run(spark, map_fun, args or {}, nodes, input_mode=InputMode.SPARK, **options)


def ids_of(results):
    return Counter(row for node in results for call in node for epoch in call for batch in epoch for row in batch)


def test_each_row_of_a_stream_is_trained_on_in_step(spark, stream, caplog):
    df = stream()
    with cluster_of(spark, stream_map_funs.read_calls, {"early": 3}) as cluster:
        with pytest.raises(ConfigError, match=r"(?s)a streaming DataFrame.*writeStream\.foreachBatch"):
            cluster.train(df)
        batches = cluster.foreach_batch(num_epochs=2)
        assert run_query(df, batches) is None
        results = cluster.shutdown()
    first, second = results
    steps = [[[len(epoch) for epoch in call] for call in node] for node in results]
    assert steps[0] == steps[1], "in step"
    calls = [sorted(row for node in results for batch in node[call][0] for row in batch) for call in range(len(first))]
    assert calls == [list(range(40)), [40, 41], list(range(42, 68))], "what is too little goes with the next"
    assert [len(call) for call in second] == [1, 2, 2], "a call that is left early is followed by the next"
    assert [row.id for row in batches.held] == [68]
    assert "1 rows of a stream were not trained on" in caplog.text
    assert not cluster._attempt.jobs, "what is over holds no DataFrame in the driver"


def test_keras_goes_on_with_what_it_traced_and_nodes_may_leave_the_loop(spark, stream):
    df = stream((33, 20, 2, 50, 9))
    with cluster_of(spark, stream_map_funs.fit_and_leave, {"calls": 3}, master_node="chief") as cluster:
        error = run_query(df, cluster.foreach_batch(num_epochs=2))
        assert "ClusterStopped" in str(error) and "no node asks for rows" in str(error)
        results = cluster.shutdown()
    assert results[0] == results[1]
    traces, losses = results[0]
    assert len(set(traces)) == 1, "traced for the first micro-batch alone"
    assert [len(epochs) for epochs in losses] == [2, 2, 2]


def test_waits_for_the_rows_of_a_stream_are_in_the_verdict(spark, tmp_path):
    begun = str(tmp_path / "first step")
    rows = spark.sparkContext.parallelize(range(160), 20).mapPartitionsWithIndex(history_map_funs.Slow(begun))
    df = rows.map(lambda number: ([0.5, 1.0], number)).toDF(SCHEMA)
    with cluster_of(spark, stream_map_funs.fit_each_call, {"begun": begun}) as cluster:
        cluster.train(df)
        cluster.shutdown()
    verdict = cluster.history().verdict()
    assert verdict.bound is Bound.INPUT and verdict.input > 0.2, str(verdict)


def test_a_node_that_fails_ends_the_query_with_its_error(spark, stream):
    df = stream((20, 20, 20))
    with pytest.raises(NodeError, match="the second node gives up") as caught:  # noqa: SIM117
        with cluster_of(spark, stream_map_funs.read_calls, {"fail_at": 1}) as cluster:
            error = run_query(df, cluster.foreach_batch())
            assert "NodeError" in str(error) and "the second node gives up" in str(error)
    assert caught.value.node == "worker:1"


# --- DStream ---


@pytest.fixture
def ssc(spark):
    from pyspark.streaming import StreamingContext

    with pytest.warns(FutureWarning, match="DStream is deprecated"):
        context = StreamingContext(spark.sparkContext, 0.5)  # empty batches pile up while the first is slow
    yield context
    context.stop(stopSparkContext=False)


def queue_of(ssc, sizes):
    starts = [sum(sizes[:number]) for number in range(len(sizes))]
    rdds = [ssc.sparkContext.parallelize(range(s, s + n), 3) for s, n in zip(starts, sizes, strict=True)]
    return ssc.queueStream(rdds)


def test_a_dstream_is_fed_rdd_by_rdd_and_shutdown_stops_it(spark, ssc):
    with cluster_of(spark, feed_map_funs.take_all) as cluster:
        data = queue_of(ssc, SIZES)
        with pytest.raises(ConfigError, match="num_epochs is 0 for a stream"):
            cluster.train(data, num_epochs=0)
        cluster.train(data, num_epochs=2)
        ssc.start()
        enough = 2 * (sum(SIZES) - 1)

        def all_fed(state):
            feeds = state.feeds.by_id.values()
            return 2 * sum(sum(feed.complete.totals) for feed in feeds if feed.complete) == enough

        assert cluster._coordinator.wait(all_fed, timeout_s=60)
        results = cluster.shutdown(ssc)
    rows = Counter(row for node in results for batch in node for row in batch)
    assert rows == dict.fromkeys(range(sum(SIZES) - 1), 2)
    assert [batches.held for batches in cluster._streams.opened] == [[sum(SIZES) - 1]]


def test_what_fails_in_a_batch_of_a_dstream_is_raised_by_shutdown(spark, ssc):
    with pytest.raises(NodeError, match="gives up"):  # noqa: SIM117
        with cluster_of(spark, feed_map_funs.give_up_after, {"batches": 2}) as cluster:
            cluster.train(queue_of(ssc, (20, 20, 20, 20)))
            ssc.start()
            with pytest.raises(Exception, match="gives up"):
                ssc.awaitTermination()
            cluster.shutdown(ssc)


def test_nodes_that_terminate_let_the_rest_of_a_dstream_go_by(spark, ssc):
    with cluster_of(spark, feed_map_funs.take_one, {"batch": 3}) as cluster:
        cluster.train(queue_of(ssc, (20, 20, 20, 20)))
        ssc.start()
        assert cluster._coordinator.wait(lambda state: not state.training(), timeout_s=60)
        assert cluster.shutdown(ssc) == [(3, True)] * 2
    assert list(cluster._coordinator.state.feeds.by_id) == ["input-1"]


def test_shutdown_of_tensorflowonspark_waits_until_nodes_want_no_more_rows_of_a_stream(spark, ssc, tmp_path):
    cluster = TFOS.run(
        spark.sparkContext, programs_there.take_rows, {"rows": 30, "out": str(tmp_path)}, 2, 0,
        input_mode=TFOS.InputMode.SPARK,
    )  # fmt: skip
    cluster.train(queue_of(ssc, (20, 20, 20, 20)))
    ssc.start()
    cluster.shutdown(ssc, timeout=60)
    rows = [row for path in tmp_path.glob("*.json") for row in json.loads(path.read_text())["rows"]]
    assert len(rows) == len(set(rows)) == 60, "more than the first RDD, each of them once"


@pytest.mark.parametrize("cache", ["memory", "none"])
def test_nodes_that_wait_for_each_other_at_each_step_get_the_rows_that_one_of_them_lacks(spark, ssc, caplog, cache):
    caplog.set_level("INFO")
    rdds = [spark.sparkContext.parallelize(range(100 * n, 100 * (n + 1)), 1) for n in range(6)]
    assert [Dealer(0, 2).share_rows(100)] * 6 == [(47, 53)] * 6, "one is always ahead"
    with cluster_of(spark, stream_map_funs.step_together, {"batch": 8, "steps": 6 * 47 // 8}, cache=cache) as cluster:
        cluster.train(ssc.queueStream(rdds), feed_timeout=30)
        ssc.start()
        cluster.await_stream(ssc)
        taken = cluster.shutdown(ssc)
    assert [len(rows) for rows in taken] == [6 * 47 // 8 * 8] * 2
    assert max(Counter(taken[0] + taken[1]).values()) == 1
    assert "a node has no rows of the stream left" in caplog.text, "or this has shown nothing"
