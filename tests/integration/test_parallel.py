"""Independent runs on real executors: their results, their ends, and that nothing of them is left."""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from pathlib import Path

import programs
import psutil
import pyarrow as pa
import pytest
import run_map_funs
from family import ancestors
from pyarrow import flight

from tfspark_cnn import run_parallel
from tfspark_cnn.cluster import messages, run_task
from tfspark_cnn.cluster.messages import Asking
from tfspark_cnn.cluster.run_coordinator import RunCoordinator
from tfspark_cnn.cluster.runs import Runs
from tfspark_cnn.errors import (
    AuthenticationError,
    ClusterError,
    ConfigError,
    JobError,
    MapFunError,
    NodeError,
    RunTimeout,
    SlotsError,
)
from tfspark_cnn.feed import transport

pytestmark = [pytest.mark.timeout(180), pytest.mark.beside]
SLOTS = 6


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where runs leave marks."""
    (tmp_path / "marks").mkdir()
    return tmp_path / "marks"


def pids_in(folder: Path) -> list[int]:
    return [int(path.read_text()) for path in folder.iterdir()]


def is_running(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_more_runs_than_slots_all_run_and_their_results_come_in_order(spark, caplog):
    caplog.set_level(logging.INFO, logger="tfspark_cnn")
    each = [{"rate": number / 10} for number in range(SLOTS + 1)]
    results = run_parallel(
        spark, run_map_funs.describe, each=each, node_env={"TFSPARK_TEST": "yes"}, model_dir="/m/", log_dir="s3://b/l"
    )
    assert [one["args"] for one in results] == each
    assert [one["name"] for one in results] == [("run", n, n, n) for n in range(len(each))]
    assert len({one["pid"] for one in results}) == len(each), "each has a process of its own"
    common = {"num_workers": len(each), "is_chief": True, "attempt": 1, "spec": {}, "gpus": (), "tf_config": None,
              "cuda": "-1", "extra": "yes", "tensorflow": False}  # fmt: skip
    assert all(common.items() <= one.items() for one in results)
    assert results[3]["folders"] == ("/m/run-3", "s3://b/l/run-3")
    for number in range(len(each)):
        assert f"[run:{number}] runs on " in caplog.text and f"[run:{number}] returned: " in caplog.text
    assert f"{len(each)} of {len(each)} runs have ended" in caplog.text


def test_runs_are_there_at_the_same_time_with_barrier_and_take_a_spark_context(spark, folder):
    met = run_parallel(spark.sparkContext, run_map_funs.meet, str(folder), 3, barrier=True)
    assert met == [([], "-1")] * 3


def test_too_few_slots_for_a_barrier_are_an_error_at_once(spark):
    with pytest.raises(SlotsError, match=rf"Spark has {SLOTS} slots, expected at least {SLOTS + 1}: {SLOTS + 1} runs"):
        run_parallel(spark, run_map_funs.describe, None, SLOTS + 1, barrier=True)


@pytest.mark.parametrize(
    ("how", "kind", "words", "signal_name"),
    [
        ("raise", NodeError, "ZeroDivisionError: the lens is dirty", None),
        ("kill", NodeError, "was ended by SIGKILL", "SIGKILL"),
        ("exit", NodeError, "ended with exit 9 before map_fun returned", None),
        ("unpicklable", MapFunError, "returned a lock that cannot be pickled", None),
    ],
)
def test_a_run_that_fails_is_named_and_ends_the_others(spark, folder, how, kind, words, signal_name):
    args = {"folder": str(folder), "how": how, "wait": True}
    with pytest.raises(kind, match=words) as caught:
        run_parallel(spark, run_map_funs.fail_one, args, 3)
    error = caught.value
    assert (error.node, error.signal) == ("run:1", signal_name)
    assert any("last words" in line for line in error.stderr_tail)
    if how == "raise":
        assert "run_map_funs.py" in error.remote_traceback
    pids = pids_in(folder)
    assert len(pids) == 3 and not any(map(is_running, pids))


def test_with_on_error_return_the_others_go_on_and_the_error_is_in_its_place(spark, folder):
    args = {"folder": str(folder), "how": "raise"}
    first, error, last = run_parallel(spark, run_map_funs.fail_one, args, 3, on_error="return")
    assert (first, last) == (0, 2)
    assert isinstance(error, NodeError) and error.node == "run:1" and "the lens is dirty" in str(error)


def test_what_failed_by_itself_is_never_begun_again_and_what_was_killed_is_as_often_as_told(spark, folder):
    each = [{"folder": str(folder), "how": how} for how in ("raise", "kill")]
    raised, killed = run_parallel(spark, run_map_funs.count_begins, each=each, retries=1, on_error="return")
    assert isinstance(raised, NodeError) and "by itself" in str(raised)
    assert killed == 2
    assert [(folder / name).read_text() for name in ("0", "1")] == ["x", "xx"]


def workers_of(executor: psutil.Process) -> list[psutil.Process]:
    """Gives the Python workers of an executor: children of the process that forks them."""
    daemons = [one for one in executor.children() if "pyspark.daemon" in one.cmdline()]
    return [one for daemon in daemons for one in daemon.children()]


@pytest.mark.parametrize(("victim", "retries"), [("executor", 0), ("executor", 1), ("python worker", 1)])
def test_a_run_that_loses_its_task_ends_and_begins_again_if_it_may(spark, folder, victim, retries):
    def kill():
        run_map_funs.until(lambda: list(folder.iterdir()))
        above = ancestors(psutil.Process(*pids_in(folder)))
        executor = next(one for one in above if "java" in one.name())
        killed = [executor] if victim == "executor" else workers_of(executor)
        for one in killed:
            os.kill(one.pid, signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    (outcome,) = run_parallel(
        spark, run_map_funs.wait_for_loss, str(folder), 1, retries=retries, on_error="return", timeout_s=60
    )
    killer.join()
    if retries:
        assert outcome == 2
    else:
        assert isinstance(outcome, NodeError) and outcome.node == "run:0"
        assert "its executor or its host was lost" in str(outcome) and "retries=1" in outcome.hint
    assert not any(map(is_running, pids_in(folder)))
    run_map_funs.until(lambda: spark.sparkContext._jsc.sc().getExecutorMemoryStatus().size() >= 3)


def test_a_run_that_takes_too_long_is_named_and_ended(spark, folder):
    with pytest.raises(RunTimeout, match=r"after 3 s these of 1 runs had not ended: run:0 \("):
        run_parallel(spark, run_map_funs.wait_for_loss, str(folder), 1, timeout_s=3)
    assert not any(map(is_running, pids_in(folder)))


def test_a_job_that_is_cancelled_in_spark_is_an_error_that_names_what_had_not_ended(spark, folder):
    def cancel():
        run_map_funs.until(lambda: list(folder.iterdir()))
        spark.sparkContext.cancelAllJobs()

    canceller = threading.Thread(target=cancel)
    canceller.start()
    with pytest.raises(JobError, match=r"SPARK_JOB_CANCELLED.*; these had not ended: run:0"):
        run_parallel(spark, run_map_funs.wait_for_loss, str(folder), 1)
    canceller.join()


def test_what_needs_rows_or_others_is_refused_and_reports_reach_the_driver(spark):
    heard = []
    (said,) = run_parallel(spark, "run_map_funs:refused", None, 1, progress=heard.append)
    assert {kind for kind, _ in said.values()} == {"ConfigError"} and len(said) == 7
    assert all(f"ctx.{name}" in text and "to do: " in text for name, (_, text) in said.items())
    assert heard == [{"node": "run:0", "step": 0}]


def test_large_results_come_whole_and_one_that_the_driver_cannot_unpickle_names_its_run(spark):
    assert len(run_parallel(spark, run_map_funs.return_large, None, 1)[0]) == 20 << 20
    with pytest.raises(MapFunError, match=r"\[run:0\] what map_fun returned cannot be unpickled on the driver: Im"):
        run_parallel(spark, run_map_funs.return_only_there, None, 1)


def test_what_cannot_be_is_refused_before_a_job_is_submitted(spark):
    lock = threading.Lock()
    with pytest.raises(MapFunError, match="cannot be pickled"):
        run_parallel(spark, run_map_funs.describe, each=[1, lock])
    with pytest.raises(MapFunError, match=r"cannot be called as map_fun\(args, ctx\)"):
        run_parallel(spark, lambda args: args, None, 1)
    with pytest.raises(ConfigError, match="each has 2 args, expected 3"):
        run_parallel(spark, run_map_funs.describe, None, 3, each=[1, 2])
    with pytest.raises(ConfigError, match="sc is a str"):
        run_parallel("spark", run_map_funs.describe, None, 3)


def test_calls_without_the_secret_or_with_what_no_task_sends_are_refused_and_a_result_that_is_cut_is_none():
    runs, local = Runs(1), "127.0.0.1"
    coordinator = RunCoordinator(runs, [b"payload"], secret="secret", bind_host=local, public_host=local)
    client = transport.connect(coordinator.location, "secret")
    asking = Asking(0, 5, "h")
    calls = [
        ("list", b"", "unknown action 'list'"),
        ("begin", messages.encode(messages.Joining(0)), "a task asks by Joining"),
        ("begin", messages.encode(Asking(7, 5, "h")), "there is no run 7 among 1"),
        ("event", b"{}", "a message of 2 bytes cannot be read"),
        ("event", b" " * (messages.MAX_MESSAGE_BYTES + 1), "over the limit"),
    ]
    try:
        for action, body, message in calls:
            with pytest.raises(ClusterError, match=message):
                transport.call(client, action, body)
        with pytest.raises(flight.FlightError, match="no run 0 that has begun"):
            list(client.do_get(flight.Ticket(b"0")))
        with pytest.raises(AuthenticationError):
            transport.call(transport.connect(coordinator.location, "guess"), "begin", messages.encode(asking))
        assert transport.call(client, "begin", messages.encode(asking)) == b'{"attempt": 1}\npayload'
        for nbytes in (9, 4):
            descriptor = flight.FlightDescriptor.for_command(run_task.naming(asking, nbytes))
            writer, _ = client.do_put(descriptor, run_task.PART_SCHEMA)
            with writer:
                writer.write_batch(pa.record_batch([[b"four"]], schema=run_task.PART_SCHEMA))
            assert runs.by_number[0].result == (b"four" if nbytes == 4 else None)
        assert coordinator.refused == len(calls) + 2
    finally:
        client.close()
        coordinator.close()


def test_trials_of_hyper_parameters_train_side_by_side(spark, tmp_path):
    each = [{"units": units, "rate": 0.1} for units in (1, 3)]
    first, second = run_parallel(
        spark, run_map_funs.trial, each=each, model_dir=f"{tmp_path}/models", log_dir=f"{tmp_path}/logs"
    )
    assert (first["weights"], second["weights"]) == (5, 15)
    assert first["replicas"] == second["replicas"] == 1
    assert all(one["loss"][1] < one["loss"][0] for one in (first, second))
    for number in (0, 1):
        assert list((tmp_path / "models" / f"run-{number}" / "checkpoints").iterdir())
        assert list((tmp_path / "logs" / f"run-{number}").rglob("events.*"))


def test_gpus_are_given_to_one_run_each_and_the_end_of_the_driver_by_ctrl_c_or_sigkill_ends_all_runs(tmp_path, folder):
    finder = tmp_path / "gpus.sh"
    finder.write_text("""#!/bin/sh\necho '{"name": "gpu", "addresses": ["0", "1", "2", "3"]}'\n""")
    finder.chmod(0o755)
    waiting, last = tmp_path / "waiting", tmp_path / "last"
    waiting.mkdir()
    last.mkdir()
    process = programs.start(
        tmp_path,
        f"""
        import run_map_funs
        from tfspark_cnn import run_parallel
        conf = {{"spark__executor__resource__gpu__amount": "4", "spark__task__resource__gpu__amount": "2",
                "spark__executor__resource__gpu__discoveryScript": "{finder}",
                "spark__worker__resource__gpu__amount": "4",
                "spark__worker__resource__gpu__discoveryScript": "{finder}"}}
        spark = session("local-cluster[1,2,1024]", **conf)
        print("GPUS", run_parallel(spark, run_map_funs.meet, {str(folder)!r}, 2), flush=True)
        try:
            run_parallel(spark, run_map_funs.wait_for_loss, {str(waiting)!r}, 3)
        except KeyboardInterrupt:
            print("INTERRUPTED", spark.range(3).count(), flush=True)
        run_parallel(spark, run_map_funs.wait_for_loss, {str(last)!r}, 1)
        """,
    )
    try:
        (one, seen), (other, seen_too) = eval(programs.line_of(process, "GPUS").removeprefix("GPUS "))
        assert sorted(one + other) == ["0", "1", "2", "3"] and len(one) == 2
        assert (seen, seen_too) == (",".join(one), ",".join(other))
        run_map_funs.until(lambda: len(list(waiting.iterdir())) == 2)
        pids, began = pids_in(waiting), time.monotonic()
        os.kill(process.pid, signal.SIGINT)
        assert programs.line_of(process, "INTERRUPTED") == "INTERRUPTED 3"
        assert time.monotonic() - began < 30 and not any(map(is_running, pids))
        assert len(list(waiting.iterdir())) == 2, "the third run, which had no slot, has never begun"
        run_map_funs.until(lambda: list(last.iterdir()))
        os.kill(process.pid, signal.SIGKILL)
        _, alive = psutil.wait_procs([psutil.Process(pid) for pid in pids_in(last) if is_running(pid)], timeout=10)
        assert not alive
    finally:
        programs.end(process)
