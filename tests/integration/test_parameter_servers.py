"""Asynchronous training on real nodes: a chief, a ps and two workers, one of which is killed."""

from __future__ import annotations

import os
import signal
import threading

import map_funs
import ps_map_funs
import pytest

from tfspark_cnn import InputMode, TFCluster
from tfspark_cnn.errors import SchemaError

EPOCHS = 6
ROWS, VALIDATION_ROWS = 1000, 200


def killer(cluster, number, killed):
    """Gives a listener that kills a node once, when the chief asks for it."""

    def kill(metrics):
        if metrics.get("kill") and not killed:
            killed.append(cluster._coordinator.state.nodes[number].entered.pid)
            os.kill(killed[0], signal.SIGKILL)

    return kill


@pytest.fixture(scope="module")
def trained(spark, tmp_path_factory):
    """What the scenarios found, and what the driver knows, of one cluster."""
    parallelize = spark.sparkContext.parallelize  # no shuffle: rows come in the same order when they are sent again
    data = spark.createDataFrame(parallelize(ps_map_funs.rows(ROWS), 4), ps_map_funs.SCHEMA)
    validation = spark.createDataFrame(parallelize(ps_map_funs.rows(VALIDATION_ROWS, seed=1), 2), ps_map_funs.SCHEMA)
    args = {"kill_after_epoch": 1, "folder": str(tmp_path_factory.mktemp("model"))}
    killed = []
    with TFCluster.run(spark, ps_map_funs.fit_in_many_ways, args, 4, num_ps=1, input_mode=InputMode.SPARK,
                       master_node="chief", driver_ps_nodes=True) as cluster:  # fmt: skip

        cluster.add_progress_listener(killer(cluster, 3, killed))
        cluster.train(data, num_epochs=EPOCHS, validation=validation)
        ps = cluster._coordinator.state.nodes[0].reserved
        results = cluster.shutdown()
        yield {"results": results, "ps": ps, "killed": killed, "replaced": cluster.replaced_nodes()}


pytestmark = [pytest.mark.timeout(300), pytest.mark.beside]  # of the first test, which starts the cluster


@pytest.fixture
def found(trained):
    return trained["results"][1]


def test_the_chief_gives_what_train_returned_and_workers_nothing(trained) -> None:
    ps, _, *workers = trained["results"]
    assert (ps, workers) == (None, [None, None])
    assert trained["ps"].executor == "driver"


def test_the_history_is_whole_although_a_worker_was_killed(trained, found) -> None:
    history = found["history"]
    assert set(history) == {"loss", "accuracy", "val_loss", "val_accuracy"}
    assert {len(values) for values in history.values()} == {EPOCHS}
    assert len(trained["killed"]) == 1
    (replaced,) = trained["replaced"]
    assert replaced.startswith("worker:1 (") and "was ended by SIGKILL" in replaced


def test_the_network_learns_before_and_after_the_kill(found) -> None:
    loss, scores = found["history"]["loss"], found["history"]["val_accuracy"]
    assert loss[-1] < loss[1] < loss[0]
    assert scores[-1] > 0.9


def test_variables_are_on_the_parameter_server_and_moving_averages_move(found) -> None:
    assert found["devices"] == ["/job:ps"]
    assert found["moving_mean"] > 0


def test_the_chief_counts_the_steps_of_each_epoch_exactly(found) -> None:
    iterations = found["iterations"]
    steps = [b - a for a, b in zip([0, *iterations], iterations, strict=False)]
    assert steps[:2] == [32, 32], "1000 rows in batches of 32, evenly on two workers"
    assert all(step >= 32 for step in steps[3:]), "a successor has all rows of its share"


def test_each_validation_takes_all_rows_once(found) -> None:
    rows = [b - a for a, b in zip([0, *found["rows"]], found["rows"], strict=False)]
    assert rows[:2] == [VALIDATION_ROWS] * 2 and rows[-2:] == [VALIDATION_ROWS] * 2
    assert found["again"] == pytest.approx([found["history"]["val_loss"][-1]] * 2, rel=1e-5)


def test_rows_of_a_dataset_fn_are_taken_once_by_one_worker(found) -> None:
    assert found["own"]["seen"] == pytest.approx(49.5)  # the mean of 0 to 99
    assert found["own"]["steps"] == 6 and found["own"]["epochs"] == [0, 1]


def test_a_schedule_sees_the_number_of_each_step(found) -> None:
    assert found["schedule"]["first"] > 0
    assert found["schedule"]["changed"] == [0.0, 0.0], "the rate is 0 after the first epoch"


def test_variables_that_were_saved_score_as_they_did(found) -> None:
    restored = found["restored"]
    assert restored["before"] != pytest.approx(restored["after"], rel=1e-2)
    assert restored["after"] == pytest.approx(found["history"]["val_loss"][0], rel=1e-5)
    assert restored["iterations"] == found["iterations"][0]


def test_the_network_is_saved_as_any_other(found) -> None:
    assert found["kept"] < 1e-6


@pytest.mark.parametrize(
    ("case", "words"),
    [
        ("outside", "ConfigError: expected a model made under servers.strategy.scope()"),
        ("not compiled", "ConfigError: expected a compiled model"),
        ("own step", "ConfigError: the model has a train_step of its own"),
        ("no data", "ConfigError: fit got None as data, expected servers.dataset"),
        ("epochs", "ConfigError: fit got epochs=0"),
        ("generator", "ConfigError: dataset_fn gives a dataset with a Python function in it"),
        ("unlabelled", "ConfigError: the model is compiled with a loss, and its data has no labels"),
        ("empty", "ConfigError: an epoch had no rows"),
        ("assign", "ConfigError: the arrays are not those of this model: missing"),
    ],
)
def test_what_cannot_be_is_an_error_with_its_cure(found, case: str, words: str) -> None:
    assert found["errors"][case].startswith(words)
    assert "\n  to do: " in found["errors"][case]


def test_what_is_wrong_with_the_rows_of_a_worker_is_the_error_of_the_driver(spark) -> None:
    data = spark.createDataFrame(ps_map_funs.rows(64), ps_map_funs.SCHEMA)
    with pytest.raises(SchemaError, match=r"\[worker:0\].*'z'"):
        with TFCluster.run(spark, ps_map_funs.ask_for_no_column, None, 3, num_ps=1, input_mode=InputMode.SPARK,
                           master_node="chief") as cluster:  # fmt: skip
            cluster.train(data)
            cluster.shutdown()


def test_nodes_that_read_files_themselves_survive_the_death_of_a_worker(spark) -> None:
    killed = []
    with TFCluster.run(spark, ps_map_funs.fit_without_spark, {"epochs": 5, "kill_after_epoch": 1}, 4, num_ps=1,
                       input_mode=InputMode.TENSORFLOW, master_node="chief") as cluster:  # fmt: skip
        cluster.add_progress_listener(killer(cluster, 3, killed))
        _, chief, *workers = cluster.shutdown()
    assert (len(killed), workers) == (1, [None, None])
    (replaced,) = cluster.replaced_nodes()
    assert replaced.startswith("worker:1 ") and len(cluster.attempts()) == 1
    assert chief["epochs"] == [0, 1, 2, 3, 4] and chief["losses"][-1] < chief["losses"][0]
    assert chief["own"]["seen"] == pytest.approx(49.5)


def test_a_worker_that_dies_while_rows_arrive_gets_them_again(spark) -> None:
    data = spark.createDataFrame(spark.sparkContext.parallelize(ps_map_funs.rows(320), 4), ps_map_funs.SCHEMA)
    late = data.rdd.map(map_funs.Late(300)).toDF(data.schema)
    killed = []
    with TFCluster.run(spark, ps_map_funs.fit_and_die, {"epoch": None}, 4, num_ps=1, input_mode=InputMode.SPARK,
                       master_node="chief") as cluster:  # fmt: skip

        def arriving(state):
            feed = state.feeds.by_id.get("input-1")
            return feed is not None and feed.complete is None and 3 in feed.received and feed.received[3].rows > 0

        def kill():
            assert cluster._coordinator.wait(arriving, timeout_s=60)
            killer(cluster, 3, killed)({"kill": 1})

        watcher = threading.Thread(target=kill)
        watcher.start()
        cluster.train(late, num_epochs=4)
        watcher.join()
        _, chief, *workers = cluster.shutdown()
    (replaced,) = cluster.replaced_nodes()
    assert (len(killed), workers) == (1, [None, None]) and replaced.startswith("worker:1 ")
    shares = [node.rows for node in cluster.feed_reports()[-1].nodes]
    assert sum(shares) == 320
    assert chief["epochs"] == [0, 1, 2, 3] and chief["steps"] == 4 * sum(-(-rows // 32) for rows in shares)


def test_a_chief_that_dies_goes_on_after_the_last_epoch_that_was_saved(spark, tmp_path):
    data = spark.createDataFrame(spark.sparkContext.parallelize(ps_map_funs.rows(320), 4), ps_map_funs.SCHEMA)
    how = {"input_mode": InputMode.SPARK, "num_ps": 1, "master_node": "chief", "driver_ps_nodes": True}
    how |= {"model_dir": str(tmp_path), "max_restarts": 1}
    with TFCluster.run(spark, ps_map_funs.fit_and_die, {"epoch": 2}, 3, **how) as cluster:
        cluster.train(data, num_epochs=4)
        _, chief, worker = cluster.shutdown()
    first, second = cluster.attempts()
    assert first.node == "chief:0" and second.resumed_step == 20, "two epochs of ten steps"
    assert chief["epochs"] == [0, 1, 2, 3] and chief["steps"] == 40 and worker is None
    assert {len(values) for values in chief["history"].values()} == {4}
