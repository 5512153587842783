"""A cluster from start to stop, on real executors."""

from __future__ import annotations

import contextlib
import json
import threading
import time

import map_funs
import psutil
import pytest

from tfspark_cnn import InputMode, TFCluster
from tfspark_cnn.errors import ClusterStopped

pytestmark = [pytest.mark.timeout(120), pytest.mark.beside]


def test_nodes_get_their_roles_addresses_and_results_come_back_by_number(spark):
    with TFCluster.run(
        spark, map_funs.describe, {"a": 1}, 4, 0, False, InputMode.TENSORFLOW, master_node="chief", eval_node=True,
        node_env={"TFSPARK_TEST": "yes"},
    ) as cluster:  # fmt: skip
        results = cluster.shutdown()
    assert [(r["job_name"], r["task_index"]) for r in results] == [
        ("chief", 0), ("evaluator", 0), ("worker", 0), ("worker", 1),
    ]  # fmt: skip
    assert [r["executor_id"] for r in results] == [0, 1, 2, 3]
    assert [r["is_chief"] for r in results] == [True, False, False, False]
    assert all(r["num_workers"] == 3 and r["args"] == {"a": 1} and r["extra"] == "yes" for r in results)
    assert all(r["cluster_spec"] == results[0]["cluster_spec"] for r in results)
    assert len({address for job in results[0]["cluster_spec"].values() for address in job}) == 4
    config = json.loads(results[1]["tf_config"])
    assert config["task"] == {"type": "evaluator", "index": 0} and "evaluator" not in config["cluster"]
    assert all(r["reuse_port"] == "true" and r["cuda"] == "-1" for r in results)
    assert not any(r["tensorflow"] for r in results), "map_fun was entered with TensorFlow already imported"
    assert results[0]["paths"][:2] == ["hdfs://x/y", "file:///a"]


def test_a_map_fun_by_name_is_resolved_on_the_node(spark):
    with TFCluster.run(spark, "map_funs:describe", None, 1) as cluster:
        assert cluster.shutdown()[0]["job_name"] == "worker"


def test_a_lambda_and_a_spark_context_do_too(spark):
    cluster = TFCluster.run(spark.sparkContext, lambda args, ctx: args + ctx.executor_id, 40, 2)
    assert cluster.shutdown() == [40, 41]
    assert cluster.shutdown() == [40, 41], "a second shutdown gives the same"


def test_leaving_the_block_shuts_down(spark):
    with TFCluster.run(spark, map_funs.describe, None, 1) as cluster:
        pass
    assert cluster.shutdown()[0]["executor_id"] == 0


def test_leaving_the_block_by_an_exception_cancels_and_keeps_the_exception(spark):
    start = time.monotonic()
    with pytest.raises(KeyError, match="mine"):
        with TFCluster.run(spark, map_funs.wait_long, None, 2) as cluster:
            raise KeyError("mine")
    assert time.monotonic() - start < 20
    with pytest.raises(ClusterStopped, match="cancelled"):
        cluster.shutdown()


def test_clusters_run_one_after_another_and_two_at_once_from_threads(spark):
    results = {}

    def run(name):
        with TFCluster.run(spark, map_funs.report_and_wait, None, 2, master_node="chief") as cluster:
            results[name] = cluster.shutdown()

    threads = [threading.Thread(target=run, args=(name,)) for name in ("a", "b")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == {"a": [3, 3], "b": [3, 3]}


def test_the_driver_hears_what_nodes_report(spark):
    heard = []
    with TFCluster.run(spark, map_funs.report_and_wait, None, 2, master_node="chief") as cluster:
        cluster.add_progress_listener(heard.append)
        cluster.shutdown()
    assert {event["node"] for event in heard} <= {"chief:0", "worker:0"}
    assert any(event["step"] == 2 for event in heard)


def test_a_process_that_map_fun_started_does_not_outlive_the_node(spark):
    with TFCluster.run(spark, map_funs.leave_children, None, 2) as cluster:
        pids = cluster.shutdown()
    for pid in pids:
        with contextlib.suppress(psutil.NoSuchProcess):  # nobody may have reaped it yet
            assert psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def test_a_large_result_comes_back_in_parts(spark):
    with TFCluster.run(spark, map_funs.return_large, None, 1) as cluster:
        assert len(cluster.shutdown()[0]) == 40 << 20


def test_start_and_stop_take_no_longer_than_the_processes_need(spark):
    with TFCluster.run(spark, map_funs.describe, None, 2) as cluster:
        cluster.shutdown()
    assert set(cluster.timings()) == {"start", "feed", "stop"}
    assert cluster.timings()["stop"] < 10
