from __future__ import annotations

import pytest

from tfspark_cnn.cluster.messages import Asking
from tfspark_cnn.cluster.node_plan import RunOptions
from tfspark_cnn.cluster.run_task import RunTask, named, naming, own_folders
from tfspark_cnn.cluster.tf_config import node_environment
from tfspark_cnn.cluster.topology import Role, Topology
from tfspark_cnn.errors import ClusterError

OPTIONS = RunOptions("id", "grpc://driver:1", "secret", fed=False, model_dir="s3://bucket/m/")


def test_a_run_is_planned_alone_with_its_gpus_folders_and_attempt() -> None:
    task = RunTask(8, OPTIONS, gpus=1)
    plan = task._plan(Asking(3, 77, "host"), b'{"attempt": 2}\npayload\n of bytes', ("4", "5"))
    assert (plan.node.name, plan.runs, plan.port_fd, plan.spec) == ("run:3", 8, None, {})
    assert (plan.payload, plan.gpus, plan.options.attempt) == (b"payload\n of bytes", ("4",), 2)
    assert plan.topology.chief == plan.node and plan.topology.share_of(3) == 0
    assert RunTask(8, OPTIONS, gpus=None)._plan(Asking(0, 1, "h"), b'{"attempt": 1}\n', ("4", "5")).gpus == ("4", "5")


def test_a_run_has_no_tf_config_also_where_its_executor_has_one() -> None:
    alone = Topology.of_runs([3])
    assert node_environment({}, alone.chief, [])["TF_CONFIG"] is None
    assert alone.chief.role is Role.RUN


def test_each_run_has_folders_of_its_own_where_there_are_any() -> None:
    own = own_folders(OPTIONS, 3)
    assert (own.model_dir, own.log_dir) == ("s3://bucket/m/run-3", None)


def test_what_names_a_result_is_read_as_it_was_written() -> None:
    assert named(naming(Asking(3, 1 << 40, "host"), 5)) == (3, 1 << 40, 5)


@pytest.mark.parametrize(
    "command", [b"", b"{}", b"[1, 2]", b'[1, 2, "3"]', b"[1, 2, true]", b"7", b"\xff", b"[" * 99999]
)
def test_what_names_no_result_is_refused(command: bytes) -> None:
    with pytest.raises(ClusterError, match="a stream (does not name|names) its run"):
        named(command)
