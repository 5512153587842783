"""`TFCluster` on values: what of a call is translated for the cluster behind it."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

import pytest

from tfspark_cnn.cluster import tf_cluster
from tfspark_cnn.errors import ClusterStopped, NodeError
from tfspark_cnn.tensorflowonspark import TFCluster


class Native:
    """Takes what it is called with, as `tfspark_cnn.TFCluster`."""

    default_fs, run_id, coordinator_address = "hdfs://nn", "run-1", ("driver", 9997)

    def __init__(self) -> None:
        self.calls: list[Any] = []

    def __getattr__(self, name: str) -> Any:
        return lambda *args: self.calls.append((name, *args))

    def nodes(self) -> list[dict[str, Any]]:
        return [
            {"executor_id": 0, "job_name": "ps", "task_index": 0, "host": "a", "port": 1},
            {"executor_id": 1, "job_name": "chief", "task_index": 0, "host": "b", "port": 2},
            {"executor_id": 2, "job_name": "worker", "task_index": 0, "host": "c", "port": 3},
        ]


class Context:
    """As a SparkContext."""

    def parallelize(self, numbers: Any, partitions: int) -> Any:
        return list(numbers), partitions


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What clusters were started with."""
    calls: list[Any] = []

    def run(*args: Any, **kwargs: Any) -> Native:
        calls.append((*args, kwargs))
        return Native()

    monkeypatch.setattr(tf_cluster.TFCluster, "run", run)
    return calls


def map_fun(args: Any, ctx: Any) -> None:
    """Does nothing."""


def run(*args: Any, **kwargs: Any) -> Any:
    return TFCluster.run(Context(), map_fun, *args, **kwargs)


def test_num_epochs_zero_is_ten_epochs() -> None:
    native: Any = Native()
    cluster = TFCluster.TFCluster(native)
    cluster.train("rows")
    cluster.train("rows", 3, 60, "other")
    assert native.calls == [("train", "rows", 10, 600, "input"), ("train", "rows", 3, 60, "other")]


@pytest.mark.parametrize(("timeout", "given"), [(259200, 259200), (0, -1), (-1, -1)])
def test_a_time_limit_of_nothing_is_none(timeout: float, given: float) -> None:
    native: Any = Native()
    assert TFCluster.TFCluster(native).shutdown(timeout=timeout) is None  # type: ignore[func-returns-value]
    assert native.calls == [("shutdown", None, 0, given)]


def test_shutdown_of_a_stream_waits_for_it_first() -> None:
    native: Any = Native()
    TFCluster.TFCluster(native).shutdown("ssc")
    assert native.calls == [("await_stream", "ssc", "input"), ("shutdown", "ssc", 0, 259200)]


class Failing(Native):
    """A cluster whose node fails while it is fed."""

    def train(self, *args: Any) -> None:
        raise NodeError("no space left", node="worker:1")

    def shutdown(self, *args: Any) -> None:
        raise ClusterStopped("shutdown was called on a cluster that was cancelled")


def test_shutdown_after_a_failure_raises_the_failure_again() -> None:
    native: Any = Failing()
    cluster = TFCluster.TFCluster(native)
    with pytest.raises(ClusterStopped):
        cluster.shutdown()
    with pytest.raises(NodeError, match="no space left"):
        cluster.train("rows")
    for _ in range(2):
        with pytest.raises(NodeError, match="no space left"):
            cluster.shutdown()


def test_num_gpus_is_found_in_a_namespace_or_a_dict_and_in_nothing_else(started: list[Any]) -> None:
    for args in (argparse.Namespace(num_gpus=2), {"num_gpus": 0}, ["--num_gpus", "2"], {}, None):
        run(args, 1, 0)
    assert [call[-1]["gpus_per_node"] for call in started] == [2, 0, None, None, None]


def test_a_master_is_the_chief_and_the_cluster_tells_of_itself_in_the_words_of_the_program(started: list[Any]) -> None:
    cluster = run({}, 3, 1, driver_ps_nodes=True, master_node="master", release_port=False)
    assert started[0][9] == "chief"
    assert cluster.cluster_meta == {
        "id": "run-1",
        "cluster_template": {"ps": [0], "master": [1], "worker": [2]},
        "num_executors": 3,
        "default_fs": "hdfs://nn",
        "working_dir": os.getcwd(),
        "server_addr": ("driver", 9997),
        "release_port": False,
    }
    assert [node["job_name"] for node in cluster.cluster_info] == ["ps", "master", "worker"]
    assert cluster.nodeRDD == ([1, 2], 2) and cluster.cluster_id == "run-1" and cluster.server is None


@pytest.mark.parametrize(
    ("nodes", "options", "name"),
    [
        (2, {}, "tensorboard_0"),
        (3, {"master_node": "chief"}, "tensorboard_1"),
        (4, {"num_ps": 1, "master_node": "master", "eval_node": True}, "tensorboard_3"),
        (2, {"num_ps": 1, "master_node": "chief"}, "tensorboard_1"),
    ],
)
def test_tensorboard_without_log_dir_has_a_folder_in_that_of_the_program(
    started: list[Any], nodes: int, options: dict[str, Any], name: str
) -> None:
    run({}, nodes, tensorboard=True, **options)
    run({}, nodes, tensorboard=True, log_dir="hdfs://nn/logs", **options)
    run({}, nodes, **options)
    assert [call[7] for call in started] == [str(Path.cwd() / name), "hdfs://nn/logs", None]
