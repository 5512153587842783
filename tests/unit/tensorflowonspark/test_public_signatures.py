"""Names, parameters, their order and defaults, compared with TensorFlowOnSpark 2.2.5's."""

from __future__ import annotations

import importlib
import inspect
from typing import Any

import pytest

PACKAGE = "tfspark_cnn.tensorflowonspark"
NEEDED = inspect.Parameter.empty
QUEUES = ["input", "output", "error"]

# By module: name -> parameters in their order, as (name, default).
FUNCTIONS: dict[str, dict[str, list[tuple[str, Any]]]] = {
    "TFCluster": {
        "run": [
            ("sc", NEEDED), ("map_fun", NEEDED), ("tf_args", NEEDED), ("num_executors", NEEDED),
            ("num_ps", 0),  # needed there; a default takes nothing from programs that pass it
            ("tensorboard", False), ("input_mode", 0), ("log_dir", None), ("driver_ps_nodes", False),
            ("master_node", None), ("reservation_timeout", 600), ("queues", QUEUES), ("eval_node", False),
            ("release_port", True),
        ],
        "TFCluster.train": [
            ("self", NEEDED), ("dataRDD", NEEDED), ("num_epochs", 0), ("feed_timeout", 600), ("qname", "input"),
        ],
        "TFCluster.inference": [("self", NEEDED), ("dataRDD", NEEDED), ("feed_timeout", 600), ("qname", "input")],
        "TFCluster.shutdown": [("self", NEEDED), ("ssc", None), ("grace_secs", 0), ("timeout", 259200)],
        "TFCluster.tensorboard_url": [("self", NEEDED)],
    },
    "TFNode": {
        "hdfs_path": [("ctx", NEEDED), ("path", NEEDED)],
        "start_cluster_server": [("ctx", NEEDED), ("num_gpus", 1), ("rdma", False)],
        "export_saved_model": [("sess", NEEDED), ("export_dir", NEEDED), ("tag_set", NEEDED), ("signatures", NEEDED)],
        "next_batch": [("mgr", NEEDED), ("batch_size", NEEDED), ("qname", "input")],
        "batch_results": [("mgr", NEEDED), ("results", NEEDED), ("qname", "output")],
        "terminate": [("mgr", NEEDED), ("qname", "input")],
        "release_port": [("ctx", NEEDED)],
        "DataFeed": [
            ("mgr", NEEDED), ("train_mode", True), ("qname_in", "input"), ("qname_out", "output"),
            ("input_mapping", None),
        ],
        "DataFeed.next_batch": [("self", NEEDED), ("batch_size", NEEDED)],
        "DataFeed.should_stop": [("self", NEEDED)],
        "DataFeed.batch_results": [("self", NEEDED), ("results", NEEDED)],
        "DataFeed.terminate": [("self", NEEDED)],
    },
    "TFSparkNode": {
        "TFNodeContext": [
            ("executor_id", 0), ("job_name", ""), ("task_index", 0), ("cluster_spec", {}), ("defaultFS", "file://"),
            ("working_dir", "."), ("mgr", None), ("tmp_socket", None),
        ],
        "TFNodeContext.absolute_path": [("self", NEEDED), ("path", NEEDED)],
        "TFNodeContext.start_cluster_server": [("self", NEEDED), ("num_gpus", 1), ("rdma", False)],
        "TFNodeContext.export_saved_model": [
            ("self", NEEDED), ("sess", NEEDED), ("export_dir", NEEDED), ("tag_set", NEEDED), ("signatures", NEEDED),
        ],
        "TFNodeContext.get_data_feed": [
            ("self", NEEDED), ("train_mode", True), ("qname_in", "input"), ("qname_out", "output"),
            ("input_mapping", None),
        ],
        "TFNodeContext.release_port": [("self", NEEDED)],
    },
    "TFParallel": {
        "run": [
            ("sc", NEEDED), ("map_fn", NEEDED), ("tf_args", NEEDED), ("num_executors", NEEDED), ("use_barrier", True),
        ],
    },
    "compat": {
        "export_saved_model": [("model", NEEDED), ("export_dir", NEEDED), ("is_chief", False)],
        "disable_auto_shard": [("options", NEEDED)],
        "is_gpu_available": [],
    },
    "gpu_info": {
        "is_gpu_available": [],
        "get_gpus": [("num_gpu", 1), ("worker_index", -1), ("format", "string")],
    },
}  # fmt: skip

CONSTANTS = [
    ("TFCluster", "InputMode.TENSORFLOW", 0),
    ("TFCluster", "InputMode.SPARK", 1),
    ("TFCluster", "tf_status", {}),
    ("gpu_info", "MAX_RETRIES", 3),
    ("gpu_info", "AS_STRING", "string"),
    ("gpu_info", "AS_LIST", "list"),
]

ATTRIBUTES = {
    "TFCluster.TFCluster": [
        "sc", "defaultFS", "working_dir", "num_executors", "nodeRDD", "cluster_id", "cluster_info", "cluster_meta",
        "input_mode", "queues", "server",
    ],
}  # fmt: skip

CONTEXT = [
    "worker_num", "executor_id", "job_name", "task_index", "cluster_spec", "num_workers", "defaultFS", "working_dir",
    "mgr", "tmp_socket",
]  # fmt: skip


def named(path: str) -> Any:
    module, _, names = path.partition(".")
    found: Any = importlib.import_module(f"{PACKAGE}.{module}")
    for name in names.split("."):
        found = getattr(found, name)
    return found


def comparable(default: Any) -> Any:
    return list(default) if isinstance(default, tuple) else default


@pytest.mark.parametrize(
    ("path", "expected"),
    [(f"{module}.{name}", given) for module, names in FUNCTIONS.items() for name, given in names.items()],
)
def test_parameters_their_order_and_defaults_are_theirs(path: str, expected: list[tuple[str, Any]]) -> None:
    parameters = inspect.signature(named(path)).parameters.values()
    assert [(one.name, comparable(one.default)) for one in parameters] == expected
    assert all(one.kind is one.POSITIONAL_OR_KEYWORD for one in parameters)


@pytest.mark.parametrize(("module", "name", "value"), CONSTANTS)
def test_constants_have_their_values(module: str, name: str, value: object) -> None:
    assert named(f"{module}.{name}") == value


@pytest.mark.parametrize("path", ATTRIBUTES)
def test_attributes_have_their_names(path: str) -> None:
    assert [name for name in ATTRIBUTES[path] if not hasattr(named(path), name)] == []


def test_a_context_has_their_attributes() -> None:
    context = named("TFSparkNode.TFNodeContext")()
    assert [name for name in CONTEXT if not hasattr(context, name)] == []
