"""The feed from Spark to the nodes, without TensorFlow: which rows arrive where, when, and what is refused."""

from __future__ import annotations

import threading
import time

import map_funs
import pytest
import strangers

from tfspark_cnn import InputMode, TFCluster
from tfspark_cnn.cluster import feed_data
from tfspark_cnn.cluster.feed_job import FeedJob
from tfspark_cnn.errors import ConfigError, EmptyFeedError, FeedError, FeedTimeout, NodeError, SchemaError
from tfspark_cnn.feed.source import Feeder

pytestmark = [pytest.mark.timeout(120), pytest.mark.beside]

SIZES = (7, 0, 1003, 90)
LONG_S = 15.0


def frame(spark, sizes=SIZES):
    """A DataFrame with exactly these partitions: `x array<float>, id bigint`, ids counting partition by partition."""
    starts = [sum(sizes[:number]) for number in range(len(sizes))]

    def rows(number):
        return [([float(number), float(row)], starts[number] + row) for row in range(sizes[number])]

    rdd = spark.sparkContext.parallelize(range(len(sizes)), len(sizes)).flatMap(rows)
    return spark.createDataFrame(rdd, "x array<float>, id bigint")


def epochs_of(spark, data, args, *, nodes=3, epochs=3, **options):
    """Feeds data to nodes that read it; gives, by epoch, the ids in each batch of each node."""
    with TFCluster.run(
        spark, map_funs.read_epochs, args, nodes, input_mode=InputMode.SPARK, **options
    ) as cluster:  # fmt: skip
        cluster.train(data, num_epochs=epochs)
        results = cluster.shutdown()
    return [[node[epoch] for node in results] for epoch in range(len(results[0]))]


@pytest.mark.parametrize("shuffle", [True, False])
def test_uneven_partitions_give_each_row_once_per_epoch_and_equal_steps(spark, shuffle):
    for epoch in epochs_of(spark, frame(spark), {"shuffle": shuffle}):
        rows = sorted(row for node in epoch for batch in node for row in batch)
        assert rows == list(range(sum(SIZES)))
        assert len({len(node) for node in epoch}) == 1, "the same number of steps on each node"
        sizes = [[len(batch) for batch in node] for node in epoch]
        assert all(0 < size <= 32 for node in sizes for size in node)
        assert all(max(node[-2:]) - min(node[-2:]) <= 1 for node in sizes)


def test_the_same_data_seed_and_workers_give_the_same_order_whatever_the_timing(spark):
    slow = frame(spark).rdd.map(map_funs.slowly).toDF("x array<float>, id bigint")
    first = epochs_of(spark, frame(spark), {"shuffle": True}, epochs=2, seed=5)
    again = epochs_of(spark, slow, {"shuffle": True}, epochs=2, seed=5)
    other = epochs_of(spark, frame(spark), {"shuffle": True}, epochs=2, seed=6)
    assert first == again
    assert first != other
    assert first[0] != first[1], "another order in each epoch"


def test_without_shuffling_each_node_sees_spark_s_order(spark):
    for epoch in epochs_of(spark, frame(spark), {"shuffle": False}, nodes=2, epochs=2):
        for node in epoch:
            ids = [row for batch in node for row in batch]
            assert ids == sorted(ids)


def test_training_starts_while_rows_still_arrive(spark):
    data = frame(spark, (400, 400)).rdd.map(map_funs.Late(700)).toDF("x array<float>, id bigint")
    taken_early = threading.Event()
    args = {"batch": 8, "shuffle": False}
    with TFCluster.run(spark, map_funs.read_epochs, args, 2, input_mode=InputMode.SPARK) as cluster:

        def steps_before_the_end(state):
            feed = state.feeds.by_id.get("input-1")
            readers = feed.readers.values() if feed and feed.complete is None else ()
            if any(consumed.step > 3 for reader in readers for consumed in reader.consumed.values()):
                taken_early.set()
            return taken_early.is_set()

        wait = {"target": cluster._coordinator.wait, "args": (steps_before_the_end,), "kwargs": {"timeout_s": 30}}
        watcher = threading.Thread(**wait)
        watcher.start()
        cluster.train(data)
        cluster.shutdown()
        watcher.join()
    assert taken_early.is_set()


def test_num_epochs_zero_feeds_until_the_nodes_stop_asking(spark):
    assert len(epochs_of(spark, frame(spark), {"epochs": 5}, epochs=0)) == 5


def test_nodes_that_stop_early_end_train_and_the_spark_job(spark):
    data = frame(spark, (50, 50)).rdd.map(map_funs.Late(99)).toDF("x array<float>, id bigint")
    with TFCluster.run(spark, map_funs.describe, None, 2, input_mode=InputMode.SPARK) as cluster:
        start = time.monotonic()
        cluster.train(data, num_epochs=0)
        assert time.monotonic() - start < 15
        cluster.shutdown()
    assert not spark.sparkContext.statusTracker().getActiveJobsIds()


def test_one_worker_takes_all_rows(spark):
    (epoch,) = epochs_of(spark, frame(spark), {}, nodes=1, epochs=1)
    assert sorted(row for batch in epoch[0] for row in batch) == list(range(sum(SIZES)))


# --- bad input ---


def train(spark, data, map_fun=map_funs.read_epochs, args=None, *, nodes=2, mode=InputMode.SPARK, **options):
    with TFCluster.run(spark, map_fun, args or {}, nodes, input_mode=mode) as cluster:
        cluster.train(data, **options)
        return cluster.shutdown()


def test_train_without_spark_input_is_refused(spark):
    with pytest.raises(ConfigError, match=r"InputMode\.TENSORFLOW.*\n.*InputMode\.SPARK"):
        train(spark, frame(spark), map_funs.wait_long, mode=InputMode.TENSORFLOW)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"num_epochs": -1}, "num_epochs is -1"),
        ({"num_epochs": 1.5}, "num_epochs is 1.5"),
        ({"qname": "inptu"}, "no queue 'inptu'"),
    ],
)
def test_train_arguments_that_cannot_be_are_refused(spark, options, words):
    with pytest.raises(ConfigError, match=words):
        train(spark, frame(spark), map_funs.wait_long, **options)


def test_data_that_is_no_dataframe_is_refused(spark):
    with pytest.raises(ConfigError, match="train got a list, expected a DataFrame"):
        train(spark, [1, 2], map_funs.wait_long)


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        (["imgae", "id"], "'imgae'.*image"),
        (["name", "id"], "'name'.*string"),
        (["when", "id"], "'when'.*timestamp"),
        (["ragged", "id"], "ragged"),
        (["holes", "id"], "null"),
    ],
)
def test_columns_that_cannot_become_tensors_are_refused_on_the_driver(spark, columns, words):
    data = spark.sql(
        "select array(1.0f, 2.0f) image, id, 'x' name, now() when, "
        "sequence(0, id % 2) ragged, if(id = 7, null, 1.0f) holes from range(0, 40, 1, 2)"
    )
    with pytest.raises(SchemaError, match=f"(?s){words}") as caught:
        train(spark, data, map_funs.dataset_only, {"columns": columns})
    assert caught.value.node in ("worker:0", "worker:1") and caught.value.hint


def test_a_column_that_appears_twice_is_refused_and_the_others_are_fed(spark):
    data = spark.sql("select float(id) x, id, -id twice, 2 * id twice, id `a.b` from range(0, 40, 1, 2)")
    with pytest.raises(SchemaError, match="expected one column 'twice', received 2 of that name") as caught:
        train(spark, data, map_funs.dataset_only, {"columns": ["twice", "id"]})
    assert caught.value.hint
    (epoch,) = epochs_of(spark, data, {}, nodes=2, epochs=1)
    assert sorted(row for node in epoch for batch in node for row in batch) == list(range(40))


def test_no_rows_and_fewer_rows_than_nodes_are_refused(spark):
    with pytest.raises(EmptyFeedError, match="no rows"):
        train(spark, frame(spark, (0, 0)))
    with pytest.raises(EmptyFeedError, match="2 rows, too few for each of 3 nodes"):
        train(spark, frame(spark, (2,)), nodes=3)


def test_a_plan_that_spark_cannot_run_is_an_error_of_the_feed(spark):
    data = frame(spark).rdd.map(map_funs.divide).toDF("x array<float>, id bigint")
    with pytest.raises(FeedError, match="ZeroDivisionError|division") as caught:
        train(spark, data)
    assert caught.value.__cause__ is not None


def test_a_model_made_outside_the_scope_is_refused(spark):
    with pytest.raises(ConfigError, match=r"made under ctx\.strategy\(\)\.scope\(\) to train on 2 nodes"):
        train(spark, frame(spark), map_funs.fit_outside_scope)


def test_more_epochs_than_fed_is_an_error_that_names_both(spark):
    with pytest.raises(FeedError, match="one more epoch was asked for than the 2"):
        train(spark, frame(spark), map_funs.fit_epochs, {"epochs": 3}, num_epochs=2)


def test_a_feed_that_nobody_takes_times_out_and_says_who_waits(spark):
    start = time.monotonic()
    with pytest.raises(FeedTimeout, match=r"worker:0 has not asked for the dataset.*worker:1 has not asked"):
        train(spark, frame(spark), map_funs.pause, feed_timeout=4)
    assert time.monotonic() - start < 60


def test_shutdown_before_train_ends_a_node_that_waits_for_rows(spark):
    with pytest.raises(FeedError, match=r"waited for rows on 'input', and the cluster was shut down"):
        with TFCluster.run(spark, map_funs.read_epochs, {}, 2, input_mode=InputMode.SPARK) as cluster:
            cluster.shutdown()


def test_strangers_are_refused_and_counted_and_the_run_goes_on(spark, caplog):
    data = frame(spark, (400, 400)).rdd.map(map_funs.Late(700)).toDF("x array<float>, id bigint")
    with TFCluster.run(spark, map_funs.read_epochs, {}, 2, input_mode=InputMode.SPARK) as cluster:
        feeding = threading.Event()
        calls: list[int] = []

        def intrude():
            assert feeding.wait(30)
            state, secret = cluster._coordinator.state, cluster._options.secret
            calls.append(strangers.at_coordinator(cluster._coordinator.location, secret))
            calls.append(cluster.refused_calls)
            calls.extend(strangers.at_inbox(node.entered.inbox, secret) for node in state.nodes.values())

        def rows_have_come(state):
            feed = state.feeds.by_id.get("input-1")
            if feed is not None and feed.received:
                feeding.set()
            return feeding.is_set()

        threads = [
            threading.Thread(target=cluster._coordinator.wait, args=(rows_have_come,), kwargs={"timeout_s": 30}),
            threading.Thread(target=intrude),
        ]
        for thread in threads:
            thread.start()
        cluster.train(data, num_epochs=1)
        for thread in threads:
            thread.join()
        with caplog.at_level("WARNING", "tfspark_cnn"):
            results = cluster.shutdown()
    assert sorted(row for node in results for batch in node[0] for row in batch) == list(range(800))
    at_coordinator, seen_there, *at_inboxes = calls
    assert at_coordinator == seen_there >= 7 and min(at_inboxes) >= 9
    assert cluster.refused_calls == at_coordinator + sum(at_inboxes)
    assert f"{cluster.refused_calls} calls to the coordinator or to nodes came without the secret" in caplog.text


def test_a_feed_cancelled_before_spark_has_its_job_never_runs(spark):
    def slow(batches):  # a source that takes long; nothing waits for it
        time.sleep(LONG_S)
        return batches

    data = spark.range(4).mapInArrow(slow, "id long")
    feeder = Feeder("input-1", ("grpc://127.0.0.1:1",), "secret", feed_data.schema_of(data))
    began = time.monotonic()
    for number in range(5):
        job = FeedJob(spark, data, feeder, f"cancelled-at-once-{number}", "a feed", ended=lambda _: None)
        job.start()
        job.cancel()
        assert job.done and job.failure is None
    assert time.monotonic() - began < LONG_S, "none waited for its rows"


def test_a_node_killed_while_rows_arrive_ends_train(spark):
    data = frame(spark, (300, 300)).rdd.map(map_funs.Late(500)).toDF("x array<float>, id bigint")
    start = time.monotonic()
    with pytest.raises(NodeError) as caught:
        train(spark, data, map_funs.end_on, {"node": ("worker", 1), "how": "SIGKILL"})
    assert (caught.value.node, caught.value.signal) == ("worker:1", "SIGKILL")
    assert time.monotonic() - start < 20
