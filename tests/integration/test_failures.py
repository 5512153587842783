"""What bad luck gets: the first failure, in the driver's exception, soon; nothing left; Spark still usable."""

from __future__ import annotations

import os
import signal
import threading
import time

import map_funs
import psutil
import pytest
from family import ancestors

from tfspark_cnn import InputMode, TFCluster
from tfspark_cnn.errors import (
    ClusterError,
    MapFunError,
    NodeError,
    ReplicaCountError,
    ReservationTimeout,
)

pytestmark = pytest.mark.timeout(120)
SOON_S = 3.0


def failure_of(spark, map_fun, args, *, nodes=2, kind=NodeError):
    """Runs a cluster that fails, and gives the error and the seconds from entering map_fun to it."""
    with pytest.raises(kind) as caught:
        cluster = TFCluster.run(spark, map_fun, args, nodes, master_node="chief")
        entered = time.monotonic()
        cluster.shutdown()
    try:
        took = time.monotonic() - entered
    except UnboundLocalError:  # it failed before run() returned
        took = 0.0
    assert spark.range(3).count() == 3, "the application is still usable"
    return caught.value, took


@pytest.mark.parametrize("node", [("chief", 0), ("worker", 0)])
def test_an_exception_on_one_node_reaches_the_driver_with_its_traceback(spark, node):
    error, took = failure_of(spark, map_funs.raise_on, {"node": node})
    assert error.node == f"{node[0]}:0"
    assert "ZeroDivisionError: the lens is dirty" in str(error)
    assert "raise_on" in error.remote_traceback and "map_funs.py" in error.remote_traceback
    assert any("about to fail" in line for line in error.stderr_tail)
    assert error.host
    assert took < SOON_S


def test_a_node_killed_with_sigkill_is_named_with_role_index_host_and_signal(spark):
    error, took = failure_of(spark, map_funs.end_on, {"node": ("worker", 0), "how": "SIGKILL"})
    assert (error.node, error.signal, error.exit_code) == ("worker:0", "SIGKILL", 137)
    assert error.host in str(error) and "worker:0" in str(error)
    assert "memory" in str(error) and "spark.executor.memoryOverhead" in error.hint
    assert any("last words" in line for line in error.stderr_tail)
    assert took < SOON_S


@pytest.mark.beside
@pytest.mark.parametrize(
    ("how", "code", "name", "words"),
    [
        (137, 137, None, "exit 137"),
        (9, 9, None, "exit 9 before map_fun returned"),
        ("SIGSEGV", 139, "SIGSEGV", "crashed with SIGSEGV"),
        ("SIGTERM", 143, "SIGTERM", "ended by SIGTERM"),
        ("thread-exit", 0, None, "ended before map_fun returned"),
    ],
)
def test_other_ends_are_explained(spark, how, code, name, words):
    error, _ = failure_of(spark, map_funs.end_on, {"node": ("worker", 0), "how": how})
    assert (error.exit_code, error.signal) == (code, name)
    assert words in str(error)


@pytest.mark.beside
def test_sys_exit_in_map_fun_is_refused(spark):
    error, _ = failure_of(spark, map_funs.end_on, {"node": ("chief", 0), "how": "exit"}, kind=MapFunError)
    assert "sys.exit(3)" in str(error) and error.node == "chief:0"


@pytest.mark.beside
def test_a_result_that_cannot_be_pickled_is_an_error(spark):
    error, _ = failure_of(spark, map_funs.return_unpicklable, None, kind=MapFunError)
    assert "returned a lock that cannot be pickled" in str(error)


@pytest.mark.beside
def test_a_map_fun_name_that_does_not_exist_is_an_error_from_the_node(spark):
    error, _ = failure_of(spark, "map_funs:no_such_thing", None, kind=MapFunError)
    assert "'map_funs:no_such_thing' does not exist" in str(error)
    error, _ = failure_of(spark, "no_such_module:run", None, kind=MapFunError)
    assert "No module named 'no_such_module'" in str(error)


@pytest.mark.beside
def test_a_strategy_that_sees_fewer_replicas_than_the_topology_is_an_error(spark):
    error, _ = failure_of(spark, map_funs.strategy_with_too_few, None, kind=ReplicaCountError)
    assert "expected 2 workers" in str(error) and error.node in ("chief:0", "worker:0")


@pytest.mark.beside
@pytest.mark.parametrize(
    ("what", "where"),
    [("barrier", r"at ctx\.barrier"), ("strategy", r"in ctx\.strategy"), ("dataset", r"for the same ctx\.dataset")],
)
def test_a_node_that_returns_while_another_waits_for_it_ends_the_run_at_once(spark, what, where):
    began = time.monotonic()
    with pytest.raises(ClusterError, match=rf"worker:0 has returned from map_fun, and chief:0 waits for it {where}"):
        with TFCluster.run(
            spark, map_funs.return_early, what, 2, master_node="chief", input_mode=InputMode.SPARK
        ) as cluster:
            if what == "dataset":
                cluster.train(spark.range(100))
            cluster.shutdown()
    assert time.monotonic() - began < 60, "and not when TensorFlow or the feed gives up"


@pytest.mark.beside
def test_nodes_without_slots_are_named_after_the_reservation_timeout(spark):
    release = threading.Event()
    blocker = threading.Thread(target=_hold_slots, args=(spark, release))
    blocker.start()
    try:
        _until(lambda: _running_tasks(spark) >= 5)
        with pytest.raises(ReservationTimeout, match=r"chief:0, worker:0") as caught:
            TFCluster.run(spark, map_funs.describe, None, 2, master_node="chief", reservation_timeout=3)
        assert "reservation_timeout" in caught.value.hint
    finally:
        spark.sparkContext.cancelJobGroup("blocker")
        blocker.join()
    with TFCluster.run(spark, map_funs.describe, None, 2) as cluster:
        assert len(cluster.shutdown()) == 2


def test_one_node_that_hangs_at_its_start_is_named(spark):
    # Unpickling blocks on the second worker: what a dead network drive on sys.path does.
    with pytest.raises(ReservationTimeout, match=r"not up: worker:1\n"):
        TFCluster.run(spark, map_funs.SlowOnSecond(), None, 2, reservation_timeout=8)


def _hold_slots(spark, release):
    spark.sparkContext.setJobGroup("blocker", "holds slots", interruptOnCancel=True)
    try:
        spark.sparkContext.parallelize(range(6), 6).foreach(lambda _: time.sleep(600))
    except Exception:  # cancelled, as it should be
        release.set()


def _running_tasks(spark):
    tracker = spark.sparkContext.statusTracker()
    stages = [tracker.getStageInfo(stage) for stage in tracker.getActiveStageIds()]
    return sum(stage.numActiveTasks for stage in stages if stage)


def is_running(pid):
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _until(condition, timeout_s=30.0):
    """Spark's status has no event to wait for."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.02)


def test_an_executor_killed_with_sigkill_is_reported_and_leaves_no_node(spark):
    cluster = TFCluster.run(spark, map_funs.wait_long, None, 2, master_node="chief")
    pids = [node.entered.pid for node in cluster._coordinator.state.nodes.values()]
    victim = psutil.Process(pids[1])
    executor = next(p for p in ancestors(victim) if "java" in p.name())
    start = time.monotonic()
    os.kill(executor.pid, signal.SIGKILL)
    with pytest.raises(ClusterError):
        cluster.shutdown()
    assert time.monotonic() - start < 10
    _until(lambda: not any(map(is_running, pids)), timeout_s=10)
    _until(lambda: spark.sparkContext._jsc.sc().getExecutorMemoryStatus().size() >= 3)
