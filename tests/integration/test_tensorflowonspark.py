"""Programs of TensorFlowOnSpark with our import in place of theirs, on real executors."""

from __future__ import annotations

import argparse
import json
import os
import re

import programs
import pytest
import tensorflowonspark_map_funs as map_funs
from test_rdd import SIZES, rdd_of

from tfspark_cnn.errors import NodeError, SlotsError, TopologyError
from tfspark_cnn.tensorflowonspark import TFCluster, TFParallel

pytestmark = [pytest.mark.timeout(120), pytest.mark.beside]

ROWS = sum(SIZES)


def told(folder):
    """What nodes have written, by node."""
    return {path.stem: json.loads(path.read_text()) for path in folder.glob("*.json")}


def test_an_argv_list_becomes_the_command_line_and_num_epochs_zero_is_ten_epochs(spark, tmp_path):
    argv = ["train.py", "--batch_size", "64", "--out", str(tmp_path)]
    cluster = TFCluster.run(
        spark.sparkContext, map_funs.by_argv, argv, 2, 0, False, TFCluster.InputMode.SPARK, master_node="master"
    )
    cluster.train(rdd_of(spark, lambda n: n))
    info, meta = cluster.cluster_info, cluster.cluster_meta
    assert cluster.shutdown() is None, "what map_fun returned was never given"
    found = told(tmp_path)
    assert sorted(found) == ["master-0", "worker-0"]
    rows = [row for node in found.values() for batch in node["batches"] for row in batch]
    assert sorted(rows) == sorted([*range(ROWS)] * 10)
    master = found["master-0"]
    assert master["argv"] == argv and master["executor_id"] == master["worker_num"] == 0
    assert master["num_workers"] == 2 and master["roles"] == ["master", "worker"] and master["is_chief"]
    assert master["path"] == f"file://{os.getcwd()}/model", "relative to the driver's folder"
    assert master["released"] and not master["tensorflow"]
    assert [(node["executor_id"], node["job_name"], node["task_index"]) for node in info] == [
        (0, "master", 0), (1, "worker", 0)
    ]  # fmt: skip
    assert all(node["host"] == "127.0.0.1" and node["port"] and node["authkey"] is None for node in info)
    assert meta["cluster_template"] == {"master": [0], "worker": [1]} and meta["working_dir"] == os.getcwd()


def test_input_mapping_of_a_dataframe_and_an_error_after_the_last_row_that_shutdown_raises(spark, tmp_path):
    args = argparse.Namespace(mapping={"y": "label", "x": "image"}, batch_size=10, out=str(tmp_path))
    data = spark.sql("select id y, array(float(id), 0.5f) x from range(0, 300, 1, 3)")
    cluster = TFCluster.run(
        spark.sparkContext, map_funs.mapped_then_fail, args, 2, 0, input_mode=TFCluster.InputMode.SPARK
    )
    cluster.train(data, num_epochs=1)
    with pytest.raises(NodeError, match="the export has failed") as caught:
        cluster.shutdown(grace_secs=3)
    assert caught.value.node == "worker:1" and "mapped_then_fail" in caught.value.remote_traceback
    batches = [batch for node in told(tmp_path).values() for batch in node["batches"]]
    assert all(batch["image"] == [[float(y), 0.5] for y in batch["label"]] for batch in batches)
    assert sorted(y for batch in batches for y in batch["label"]) == list(range(300))
    assert {tuple(node["tensors"]) for node in told(tmp_path).values()} == {("image", "label")}
    assert spark.sparkContext.parallelize([1]).count() == 1, "the application goes on"


def test_inference_gives_the_results_in_order_from_batches_of_one_partition_each(spark, tmp_path):
    args = {"batch_size": 10, "out": str(tmp_path)}
    with TFCluster.run(
        spark.sparkContext, map_funs.double, args, 2, 0, input_mode=TFCluster.InputMode.SPARK
    ) as cluster:
        results = cluster.inference(rdd_of(spark, lambda n: n))
        assert results.collect() == [2 * n for n in range(ROWS)]
    sizes = sorted(size for node in told(tmp_path).values() for size in node["sizes"] if size)
    assert sizes == sorted([7] + [10] * 20 + [3] + [10] * 9), "cut where a partition ends"


def test_terminate_ends_train_and_an_evaluator_without_end_is_let_go(spark, tmp_path, monkeypatch):
    monkeypatch.setenv("TFOS_SERVER_HOST", "localhost")
    monkeypatch.setenv("TFOS_SERVER_PORT", "23450-23499")
    cluster = TFCluster.run(
        spark.sparkContext, map_funs.terminate_early, {"out": str(tmp_path)}, 3, 0, eval_node=True,
        input_mode=TFCluster.InputMode.SPARK, release_port=False,
    )  # fmt: skip
    host, port = cluster.cluster_meta["server_addr"]
    assert host == "localhost" and 23450 <= port < 23500
    cluster.train(rdd_of(spark, lambda n: n, (5000, 5000)), num_epochs=100)
    cluster.shutdown(timeout=60)
    found = told(tmp_path)
    assert sorted(found) == ["worker-0", "worker-1"]
    for node in found.values():
        assert len(node["rows"]) == 3 and node["after"] == [] and node["stopped"]
        assert node["in_spec"] and node["held"] and node["released"] and node["left"] is None


def test_what_tensorflow_2_has_not_says_what_to_use(spark, tmp_path):
    with TFCluster.run(spark.sparkContext, map_funs.use_what_is_gone, {"out": str(tmp_path), "num_gpus": 0}, 1, 0):
        pass
    found = told(tmp_path)["worker-0"]
    server, export, queue, batch, gpus = found["said"]
    assert "start_cluster_server" in server and "to do: use with ctx.strategy().scope()" in server
    assert "compat.export_saved_model(model, export_dir, is_chief)" in export
    assert "rows do not come by queues" in queue and "ctx.get_data_feed()" in queue
    assert "ctx.get_data_feed().next_batch(batch_size)" in batch
    assert "expected 1 free GPUs, found none" in gpus and found["cuda"] == "-1", "GPUs of others are not taken"
    assert found["version"].startswith("2.")
    with pytest.raises(TopologyError, match="expected 'chief' or None; did you mean 'chief'"):
        TFCluster.run(spark.sparkContext, map_funs.use_what_is_gone, {}, 2, 0, master_node="cheif")


def test_parallel_runs_are_numbered_and_may_be_more_than_slots_without_a_barrier(spark, tmp_path):
    TFParallel.run(spark.sparkContext, map_funs.alone, {"out": str(tmp_path)}, 3)
    assert told(tmp_path) == {f"run-{n}": [n, 3, "file:///x", None] for n in range(3)}
    with pytest.raises(SlotsError):
        TFParallel.run(spark.sparkContext, map_funs.alone, {"out": str(tmp_path)}, 7)
    with pytest.raises(NodeError, match="no such file") as caught:
        TFParallel.run(spark.sparkContext, map_funs.alone, {"out": str(tmp_path), "fail": 6}, 7, use_barrier=False)
    assert caught.value.node == "run:6" and told(tmp_path)["run-6"][:2] == [6, 7]


THEIRS = """
import json, os, sys
import numpy as np
from pyspark.sql import SparkSession
from tensorflowonspark import TFCluster

def main_fun(args, ctx):
    import tensorflow as tf
    from tensorflowonspark import compat

    strategy = tf.distribute.experimental.MultiWorkerMirroredStrategy()
    tf_feed = ctx.get_data_feed()

    def rows():
        while not tf_feed.should_stop():
            batch = tf_feed.next_batch(1)
            if len(batch) == 0:
                return
            image, label = batch[0]
            yield np.array(image, "float32"), np.array([label], "int64")

    shapes = (tf.TensorShape([4]), tf.TensorShape([1]))
    dataset = tf.data.Dataset.from_generator(rows, (tf.float32, tf.float32), shapes).repeat().batch(args["batch_size"])
    options = tf.data.Options()
    compat.disable_auto_shard(options)
    dataset = dataset.with_options(options)
    with strategy.scope():
        model = tf.keras.Sequential([tf.keras.layers.Input((4,)), tf.keras.layers.Dense(3, activation="softmax")])
        model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    history = model.fit(dataset, epochs=2, steps_per_epoch=5, verbose=0).history
    compat.export_saved_model(model, args["export_dir"], ctx.job_name == "chief")
    tf_feed.terminate()
    probe = np.eye(4, dtype="float32")
    found = {"history": history, "probe": model(probe).numpy().tolist(), "gpu": compat.is_gpu_available()}
    if ctx.job_name == "chief":
        served = tf.saved_model.load(args["export_dir"]).signatures["serving_default"]
        found["served"] = next(iter(served(tf.constant(probe)).values())).numpy().tolist()
    found["address"] = ctx.cluster_spec[ctx.job_name][ctx.task_index]
    with open(os.path.join(args["out"], f"{ctx.job_name}.json"), "w") as file:
        json.dump(found, file)

spark = SparkSession.builder.master("local[3]").config("spark.ui.enabled", "false").getOrCreate()
sc = spark.sparkContext
out = os.getcwd()
args = {"batch_size": 8, "out": out, "export_dir": os.path.join(out, "export")}
cluster = TFCluster.run(sc, main_fun, args, 2, 0, True, TFCluster.InputMode.SPARK, master_node="chief")
print("url", cluster.tensorboard_url())
cluster.train(sc.parallelize([([float(n % 3)] * 4, n % 3) for n in range(1000)], 4), 2)
cluster.shutdown(grace_secs=5)
print("tensorflow" in sys.modules)
"""


@pytest.mark.timeout(260)  # Spark, two nodes and TensorBoard, each of which imports TensorFlow: minutes under much load
def test_a_program_with_a_strategy_of_its_own_runs_with_nothing_but_our_import(tmp_path):
    ours = re.sub("tensorflowonspark", "tfspark_cnn.tensorflowonspark", THEIRS)
    ports = {"TENSORFLOW_PORT": "23500-23549", "TENSORBOARD_PORT": "23550"}
    out = programs.run(tmp_path, ours, timeout_s=240, **ports)
    assert re.search(r"url http://\S+:23550/", out)
    assert out.endswith("False\n"), "no TensorFlow on the driver"
    chief, worker = (json.loads((tmp_path / f"{role}.json").read_text()) for role in ("chief", "worker"))
    assert chief["history"] == worker["history"] and len(chief["history"]["loss"]) == 2
    assert chief["probe"] == worker["probe"], "one model, not two"
    assert chief["served"] == [pytest.approx(row, rel=1e-5) for row in chief["probe"]] and not chief["gpu"]
    ports = {int(node["address"].rpartition(":")[2]) for node in (chief, worker)}
    assert len(ports) == 2 and ports < set(range(23500, 23550))
