"""The driver is killed, interrupted, or ends without a shutdown: no node outlives it."""

from __future__ import annotations

import os
import signal
import time

import programs
import psutil
import pytest
from conftest import node_processes

pytestmark = [pytest.mark.timeout(180), pytest.mark.beside]

WAITING = """
spark = session("{master}", **{{"spark__driver__memory": "1g"}})
cluster = TFCluster.run(spark, map_funs.wait_long, None, 2, master_node="chief")
print("READY", *(node.entered.pid for node in cluster._coordinator.state.nodes.values()), flush=True)
"""


def pids_of(line):
    return [int(word) for word in line.split()[1:]]


def gone_within(pids, seconds):
    """Waits until none of the processes runs any more."""
    processes = [psutil.Process(pid) for pid in pids if psutil.pid_exists(pid)]
    running = [p for p in processes if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]
    deadline = time.monotonic() + seconds
    while running and time.monotonic() < deadline:
        psutil.wait_procs(running, timeout=0.2)
        running = [p for p in running if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]
    return not running


@pytest.mark.parametrize("master", ["local[2]", "local-cluster[2,1,1024]"])
def test_no_node_is_left_ten_seconds_after_the_driver_was_killed(tmp_path, master):
    process = programs.start(tmp_path, WAITING.format(master=master) + "cluster.shutdown()\n")
    try:
        pids = pids_of(programs.line_of(process, "READY"))
        os.kill(process.pid, signal.SIGKILL)
        assert gone_within(pids, 10)
        _, alive = psutil.wait_procs(node_processes(), timeout=10)
        assert not alive
    finally:
        programs.end(process)


OWN_WAIT = "while True: __import__('time').sleep(0.1)"
"""A user's own wait, in slices: an interrupt that comes just before CPython begins to sleep is taken only after it."""


@pytest.mark.parametrize("where", ["cluster.shutdown()", OWN_WAIT])
def test_ctrl_c_in_a_script_ends_the_nodes_and_the_script(tmp_path, where):
    body = WAITING.format(master="local[3]") + f"with cluster:\n    {where}\n"
    process = programs.start(tmp_path, body)
    try:
        pids = pids_of(programs.line_of(process, "READY"))
        start = time.monotonic()
        os.kill(process.pid, signal.SIGINT)
        _, err = process.communicate(timeout=30)
        assert time.monotonic() - start < 15
        assert process.returncode != 0 and "KeyboardInterrupt" in err
        assert gone_within(pids, 1)
    finally:
        programs.end(process)


def test_an_interrupted_notebook_cell_leaves_nothing_and_the_next_cell_works(tmp_path):
    # What a notebook kernel does: SIGINT to its process while a cell runs; the kernel goes on with the next cell.
    body = (
        WAITING.format(master="local[3]")
        + """
try:
    print("WAITING", flush=True)
    cluster.shutdown()
except KeyboardInterrupt:
    print("INTERRUPTED", flush=True)
with TFCluster.run(spark, map_funs.describe, None, 2) as cluster:
    print("AGAIN", len(cluster.shutdown()), flush=True)
# Slots of nodes that are about to leave, or of which Spark has not told yet that they have left, are waited for.
leaving = TFCluster.run(spark, lambda args, ctx: __import__("time").sleep(0.5), None, 2)
with TFCluster.run(spark, map_funs.describe, None, 2) as cluster:
    print("AFTER", len(cluster.shutdown()), flush=True)
leaving.shutdown()
spark.stop()
"""
    )
    process = programs.start(tmp_path, body)
    try:
        pids = pids_of(programs.line_of(process, "READY"))
        programs.line_of(process, "WAITING")  # not sooner: the interrupt would come before the cell can take it
        os.kill(process.pid, signal.SIGINT)
        programs.line_of(process, "INTERRUPTED")
        assert gone_within(pids, 5)
        assert programs.line_of(process, "AGAIN") == "AGAIN 2"
        assert programs.line_of(process, "AFTER") == "AFTER 2"
        process.communicate(timeout=60)
        assert process.returncode == 0
    finally:
        programs.end(process)


@pytest.mark.parametrize("ending", ["sys.exit(0)", "spark.stop()", "raise KeyError('mine')"])
def test_a_driver_that_ends_without_shutdown_takes_its_nodes_along(tmp_path, ending):
    process = programs.start(tmp_path, WAITING.format(master="local[3]") + ending + "\n")
    try:
        pids = pids_of(programs.line_of(process, "READY"))
        process.communicate(timeout=60)
        assert gone_within(pids, 10)
    finally:
        programs.end(process)


PAUSE_S = 6.0
"""Six times as long as the coordinator is ever silent. 45 s were tried by hand: nodes bear up to 90."""

PAUSED = """
import threading
spark = session("local-cluster[2,2,1024]")

def train():
    data = spark.range(0, 1000, 1, 2).selectExpr("array(float(id), 1.0f) x", "id").rdd
    data = data.map(map_funs.Late(400)).toDF("x array<float>, id bigint")
    with TFCluster.run(spark, map_funs.read_and_meet, None, 2, input_mode=InputMode.SPARK) as cluster:
        def rows_have_come(state):
            return any(feed.received for feed in state.feeds.by_id.values())
        def tell():
            cluster._coordinator.wait(rows_have_come, timeout_s=60)
            print("FEEDING", spark.sparkContext._gateway.proc.pid, flush=True)
        teller = threading.Thread(target=tell)
        teller.start()
        cluster.train(data, num_epochs=3)
        teller.join()
        return cluster.shutdown()

whole = train()
assert sorted(row for node in whole for batch in node[0] for row in batch) == list(range(1000))
print("SAME", train() == whole, flush=True)
spark.stop()
"""


def test_a_driver_that_pauses_in_the_middle_of_train_changes_nothing(tmp_path):
    process = programs.start(tmp_path, PAUSED)
    try:
        programs.line_of(process, "FEEDING")  # of the run without a pause
        stopped = [process.pid, *pids_of(programs.line_of(process, "FEEDING"))]  # Python and its JVM
        for pid in stopped:
            os.kill(pid, signal.SIGSTOP)
        time.sleep(PAUSE_S)  # what is tried, not what is waited for
        for pid in reversed(stopped):
            os.kill(pid, signal.SIGCONT)
        assert programs.line_of(process, "SAME") == "SAME True"
        _, err = process.communicate(timeout=60)
        assert process.returncode == 0, err[-3000:]
    finally:
        programs.end(process)
