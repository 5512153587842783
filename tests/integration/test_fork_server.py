"""Nodes that are forked: they are what processes of their own would be, and end however their server ends."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import fork_map_funs
import psutil
import pytest

from tfspark_cnn import TFCluster, run_parallel
from tfspark_cnn.errors import MapFunError, NodeError

pytestmark = [pytest.mark.timeout(120), pytest.mark.beside]
SERVER = "tfspark_cnn.cluster.fork_server"
SOON_S = 30.0
OFF = {"TFSPARK_CNN_FORK_SERVER": "off"}


def results(spark, map_fun, args=None, *, nodes=2, **options):
    with TFCluster.run(spark, map_fun, args or {}, nodes, master_node="chief", **options) as cluster:
        return cluster.shutdown()


def warm_results(spark, map_fun, args=None, **options):
    """Runs clusters until no node imports TensorFlow any more: executors, too, are used in any order."""
    for _ in range(8):
        told = results(spark, map_fun, args, **options)
        if all(node["import_s"] < 0.1 for node in told):
            return told
    raise AssertionError(f"expected TensorFlow to be there after 8 clusters, received {told}")


def test_a_second_cluster_finds_tensorflow_imported_and_is_as_the_first(spark):
    first = results(spark, fork_map_funs.told)
    later = warm_results(spark, fork_map_funs.told)
    again = results(spark, fork_map_funs.told)
    for node in [*first, *later, *again]:
        assert node["server"] == SERVER
        assert node["hidden"], "sys.modules is as it is in a process of its own"
        assert node["whole"] and node["product"] == 64**3
        assert not node["descriptors"], "nothing of the server's is left open"
    assert {node["line"].rstrip() for node in again} == {
        f"python -m tfspark_cnn.cluster.node_process {name}" for name in ("chief:0", "worker:0")
    }
    for drawn in ("drawn", "drawn_numpy", "drawn_tensorflow", "drawn_keras"):
        values = {node[drawn] for node in [*first, *later, *again]}
        assert len(values) == len(first) + len(later) + len(again), f"{drawn}: nodes draw alike"


def test_variables_that_map_fun_sets_before_it_imports_tensorflow_are_heeded_or_refused(spark):
    for _ in range(3):  # a function that always does so never finds TensorFlow imported
        told = results(spark, sets_a_variable)
        assert all(node["import_s"] > 0.1 and node["onednn"] == "0" for node in told)
    warm_results(spark, fork_map_funs.told)
    with pytest.raises(MapFunError, match="TF_ENABLE_ONEDNN_OPTS") as caught:
        results(spark, fork_map_funs.told, {"variables": {"TF_ENABLE_ONEDNN_OPTS": "0"}})
    assert "node_env" in caught.value.hint
    own = results(spark, fork_map_funs.told, node_env={"TF_ENABLE_ONEDNN_OPTS": "0"})
    assert {node["onednn"] for node in own} == {"0"}
    assert all(node["import_s"] > 0.1 for node in own), "another environment has another server"
    off = results(spark, fork_map_funs.told, {"variables": {"TF_ENABLE_ONEDNN_OPTS": "0"}}, node_env=OFF)
    assert all(node["import_s"] > 0.1 and node["onednn"] == "0" for node in off)


def test_an_import_gives_way_to_a_cluster_that_comes_meanwhile_and_only_once(spark, tmp_path):
    fresh = {"TFSPARK_TEST": str(tmp_path)}  # servers that have not served yet
    first = results(spark, fork_map_funs.told, node_env=fresh)
    at_once = results(spark, fork_map_funs.told, node_env=fresh)
    assert all(node["import_s"] > 0.1 for node in [*first, *at_once]), "nobody waits for what has just begun"
    warm_results(spark, fork_map_funs.told, node_env=fresh)


def sets_a_variable(args, ctx):
    os.environ["TF_ENABLE_ONEDNN_OPTS"] = "0"
    return fork_map_funs.told(args, ctx)


def test_without_a_server_nodes_are_children_of_their_tasks(spark):
    for line in results(spark, fork_map_funs.parent, node_env=OFF):
        assert "pyspark.daemon" in line


def test_nodes_of_one_executor_and_runs_share_a_server(spark):
    runs = run_parallel(spark, fork_map_funs.parent, each=[1, 2])
    lines = {tuple(line) for line in [*results(spark, fork_map_funs.parent, nodes=4), *runs]}
    assert all(SERVER in line for line in lines)
    assert len(lines) <= 2, "one for each executor"


@pytest.mark.parametrize("which", ["warm", "first"])
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSEGV])
def test_a_server_that_dies_takes_its_nodes_with_it_and_the_next_cluster_runs(spark, tmp_path, which, how):
    warm_results(spark, fork_map_funs.told)
    cluster = TFCluster.run(spark, fork_map_funs.told, {"folder": str(tmp_path)}, 2, master_node="chief")
    server = psutil.Process(parents_of_nodes(tmp_path)[0])
    assert SERVER in server.parent().cmdline(), "a node that is warm"
    server = server if which == "warm" else server.parent()
    server.send_signal(how)
    with pytest.raises(NodeError) as caught:
        cluster.shutdown()
    assert caught.value.signal == "SIGKILL"
    assert all(node["server"] == SERVER for node in warm_results(spark, fork_map_funs.told))
    assert not server.is_running() or server.status() == psutil.STATUS_ZOMBIE


def parents_of_nodes(folder: Path) -> list[int]:
    """Gives what the processes of two nodes say of theirs, once both have."""
    end = time.monotonic() + SOON_S
    while len(told := list(folder.glob("*.told"))) < 2:
        assert time.monotonic() < end, f"expected 2 nodes to begin, received {told}"
        time.sleep(0.01)  # a file has no event to wait for
    return [int(file.read_text()) for file in told]
