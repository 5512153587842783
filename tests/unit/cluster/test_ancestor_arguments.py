"""What TensorFlowOnSpark cannot be asked for, and the executors that it needs."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

from tfspark_cnn.cluster.ancestor_arguments import OURS_ALONE, check, misfit, queues
from tfspark_cnn.cluster.tf_cluster import QUEUES, TFCluster
from tfspark_cnn.errors import ConfigError, SlotsError

DEFAULTS = {
    name: one.default
    for name, one in inspect.signature(TFCluster.run).parameters.items()
    if one.default is not inspect.Parameter.empty
}
THEIRS = {
    "tensorboard", "input_mode", "log_dir", "driver_ps_nodes", "master_node", "reservation_timeout", "queues",
    "eval_node", "release_port", "gpus_per_node", "engine",
}  # fmt: skip


def test_each_argument_of_run_is_passed_on_or_refused() -> None:
    assert set(DEFAULTS) == THEIRS | set(OURS_ALONE)
    assert {name: DEFAULTS[name] for name in OURS_ALONE} == {name: nothing for name, (nothing, _) in OURS_ALONE.items()}


@pytest.mark.parametrize("fed", [True, False])
def test_a_call_that_asks_for_nothing_of_ours_is_let_through(fed: bool) -> None:
    check(DEFAULTS, fed=fed)
    check(DEFAULTS | {"gpus_per_node": 2, "log_dir": "logs", "release_port": False}, fed=fed)


@pytest.mark.parametrize(
    ("name", "value"),
    [("max_restarts", 2), ("model_dir", "model"), ("resource_profile", object()), ("cache", "none"), ("cache_bytes", 9),
     ("seed", 1), ("node_env", {"A": "b"}), ("num_ps", 1)],
)  # fmt: skip
def test_what_only_we_have_is_refused_with_what_to_do_instead(name: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=f"engine='tensorflowonspark' has no {name}, received") as caught:
        check(DEFAULTS | {name: value}, fed=True)
    assert caught.value.hint


def test_gpus_by_role_and_an_evaluator_that_is_not_fed_are_refused() -> None:
    with pytest.raises(ConfigError, match="gives all nodes as many GPUs"):
        check(DEFAULTS | {"gpus_per_node": {"worker": 1}}, fed=False)
    with pytest.raises(ConfigError, match=r"no evaluator in InputMode\.SPARK"):
        check(DEFAULTS | {"eval_node": True}, fed=True)
    check(DEFAULTS | {"eval_node": True}, fed=False)


def test_its_queues_are_those_that_it_needs_and_the_program_has() -> None:
    assert queues(QUEUES) == ["input", "output", "error"]
    assert queues(("more", "input", "validation")) == ["input", "output", "error", "more"]


ONE = {"spark.executor.cores": "4", "spark.task.cpus": "4"}


@pytest.mark.parametrize(
    ("conf", "master", "fed"),
    [({}, "local-cluster[2,1,1024]", True), ({"spark.task.cpus": "2"}, "local-cluster[2,2,1024]", True),
     ({}, "local-cluster[3,1,1024]", False), (ONE | {"spark.executor.instances": "2"}, "yarn", True),
     (ONE, "yarn", True), ({}, "spark://host:7077", True)],
)  # fmt: skip
def test_executors_of_one_slot_for_each_node_are_what_it_needs(conf: dict[str, str], master: str, fed: bool) -> None:
    assert misfit(conf, master, nodes=2, fed=fed) is None


@pytest.mark.parametrize(
    ("conf", "master", "received", "hint"),
    [({}, "local[4]", "1 with 4 (local[4])", "local-cluster[2,1,1024]"), ({}, "local[*]", "1 with 0", "local-cluster"),
     ({}, "local-cluster[2,3,1024]", "2 with 3", "local-cluster[2,1,1024]"),
     ({}, "local-cluster[3,1,1024]", "3 with 1", "local-cluster[2,1,1024]"),
     (ONE | {"spark.executor.instances": "4"}, "yarn", "4 with 1", "spark.executor.instances=2"),
     ({"spark.executor.cores": "4"}, "spark://h:7077", "some with 4", "spark.task.cpus"),
     ({"spark.executor.instances": "1"}, "yarn", "1 with any number", "spark.executor.instances=2")],
)  # fmt: skip
def test_other_executors_are_refused_before_anything_starts(
    conf: dict[str, str], master: str, received: str, hint: str
) -> None:
    error = misfit(conf, master, nodes=2, fed=True)
    assert isinstance(error, SlotsError)
    assert f"needs 2 executors with one slot each, received {received}" in error.message and hint in (error.hint or "")


def test_python_workers_have_to_stay() -> None:
    conf = {"spark.python.worker.reuse": "false"}
    assert "spark.python.worker.reuse is false" in str(misfit(conf, "local-cluster[2,1,1024]", nodes=2, fed=True))
    assert misfit(conf, "local-cluster[2,1,1024]", nodes=2, fed=False) is None
