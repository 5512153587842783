"""GPUs that Spark assigned and TensorFlow sees."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tfspark_cnn.doctor import gpus
from tfspark_cnn.doctor.findings import Status
from tfspark_cnn.doctor.observed import Gpus, Host


def test_none_at_all_is_ok(seen: Any) -> None:
    (found,) = gpus.gpus(seen.driver, seen.nodes())
    assert found.status is Status.OK and "CPUs" in found.seen


def test_gpus_that_tasks_do_not_ask_for_are_a_warning(seen: Any) -> None:
    (by_host,) = gpus.gpus(seen.driver, seen.nodes(gpus=Gpus(devices=4)))
    assert by_host.status is Status.WARNING and "node 1 (10.0.0.6) has 4 GPUs" in by_host.seen
    conf = {"spark.executor.resource.gpu.amount": "2"}
    (by_conf,) = gpus.gpus(replace(seen.driver, conf=conf), seen.nodes())
    assert by_conf.status is Status.WARNING and "spark.task.resource.gpu.amount" in by_conf.cure


def test_as_many_as_assigned_are_ok(seen: Any) -> None:
    nodes = [replace(one, gpus=Gpus(("0",), 1, ("/GPU:0",))) for one in seen.nodes()]
    (found,) = gpus.gpus(seen.driver, nodes)
    assert found.status is Status.OK and found.seen == "1 GPU for each node, seen by TensorFlow"


def test_fewer_seen_than_assigned_fails(seen: Any) -> None:
    nodes = [replace(one, gpus=Gpus(("0", "1"), 0, ("/GPU:0",))) for one in seen.nodes()]
    (found,) = gpus.gpus(seen.driver, nodes)
    assert found.status is Status.FAILED
    assert found.seen == "TensorFlow sees 1 of 2 GPUs (0, 1) that Spark assigned to every node"


def test_a_tensorflow_that_does_not_start_fails_with_its_last_line(seen: Any) -> None:
    nodes = [replace(one, gpus=Gpus(("0",), problem="ImportError: libcudart.so")) for one in seen.nodes()]
    (found,) = gpus.gpus(seen.driver, nodes)
    assert found.status is Status.FAILED and "libcudart" in found.seen


def test_unlike_numbers_and_one_gpu_for_two_nodes_fail(seen: Any) -> None:
    nodes = [replace(one, host=Host("h", "m1"), gpus=Gpus(("0",))) for one in seen.nodes()]
    (shared,) = gpus.gpus(seen.driver, nodes)
    assert shared.status is Status.FAILED and "the same GPU: 0" in shared.seen
    (unlike,) = gpus.gpus(seen.driver, [seen.node(0, gpus=Gpus(("0",))), seen.node(1)])
    assert unlike.status is Status.FAILED and "1 node with 0, 1 node with 1" in unlike.seen
