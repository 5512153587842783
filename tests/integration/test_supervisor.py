"""A node's process from start to end, and the leash: nothing that a supervisor started outlives it, however it ends."""

from __future__ import annotations

import contextlib
import gc
import os
import pickle
import signal
import subprocess
import sys
import textwrap
import threading
import time
import warnings
from functools import partial
from pathlib import Path

import psutil
import pytest

from tfspark_cnn.cluster import supervisor
from tfspark_cnn.cluster.supervisor import Command, Outcome

pytestmark = [pytest.mark.timeout(60), pytest.mark.beside]
GONE_S = 2.0
SOON_S = 20.0

# A node with a child and a grandchild, which tell their numbers in a file once all of them run.
FAMILY = """
import os, subprocess, sys, time
path = sys.argv[1]
if len(sys.argv) > 2:
    left = int(sys.argv[2])
else:
    left = 2
if left:
    child = subprocess.Popen([sys.executable, "-S", __file__, path, str(left - 1)])
with open(path, "a") as pids:
    pids.write(f"{os.getpid()}\\n")
time.sleep(600)
"""


def command(code: str, *arguments: str, stdin: bytes = b"", environment=None, inherit=()) -> Command:
    argv = [sys.executable, "-c", textwrap.dedent(code), *arguments]
    return Command(argv, stdin=stdin, environment=environment or {}, inherit=inherit)


def outcome_of(code: str, *arguments: str, **options) -> Outcome:
    with supervisor.running(command(code, *arguments, **options), role="worker", index=1) as node:
        return node.wait(timeout_s=SOON_S)


def is_alive(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        return process.status() != psutil.STATUS_ZOMBIE
    return False


def gone(processes: list[psutil.Process], timeout_s: float = GONE_S) -> bool:
    """Tells whether all end in time; a zombie has ended, whoever is to bury it."""
    end = time.monotonic() + timeout_s
    alive = [process for process in processes if is_alive(process)]
    while alive and time.monotonic() < end:
        _, alive = psutil.wait_procs(alive, timeout=0.02)
        alive = [process for process in alive if is_alive(process)]
    return not alive


def family(path: Path, members: int = 3) -> list[psutil.Process]:
    """The processes that have told their numbers in a file, once all have."""
    end = time.monotonic() + SOON_S
    while time.monotonic() < end:
        pids = path.read_text().split() if path.exists() else []
        if len(pids) == members:
            return [psutil.Process(int(pid)) for pid in pids]
        time.sleep(0.01)  # a file has no event to wait for
    raise AssertionError(f"expected {members} processes, received {pids}")


@pytest.fixture
def script(tmp_path):
    path = tmp_path / "family.py"
    path.write_text(FAMILY)
    return path


@pytest.fixture
def family_command(script, tmp_path):
    return Command([sys.executable, "-S", str(script), str(tmp_path / "pids")], stdin=b"", environment={})


# --- what a node says ------------------------------------------------------------------------------------------------


def test_output_is_relayed_with_the_nodes_name_and_the_tail_is_of_stderr(capsys):
    found = outcome_of("""
        import sys
        print("to stdout", flush=True)
        print("to stderr\\nin two lines", file=sys.stderr, flush=True)
        sys.stderr.write("without an end")
    """)
    lines = capsys.readouterr().err.splitlines()
    assert sorted(lines) == [
        "[worker:1] in two lines", "[worker:1] to stderr", "[worker:1] to stdout", "[worker:1] without an end",
    ]  # fmt: skip
    assert found.stderr_tail == ["to stderr", "in two lines", "without an end"]
    assert (found.exit_code, found.signal, found.record) == (0, None, None)


def test_the_tail_holds_the_last_lines():
    found = outcome_of("import sys; [print('line', n, file=sys.stderr) for n in range(1000)]")
    assert found.stderr_tail == [f"line {n}" for n in range(1000 - supervisor.TAIL_LINES, 1000)]


def test_output_that_is_no_text_is_relayed_all_the_same(capsys):
    found = outcome_of(r"import os; os.write(2, b'caf\xe9 \xff\n')")
    assert found.stderr_tail == ["caf\ufffd \ufffd"]
    assert "[worker:1] caf\ufffd \ufffd\n" in capsys.readouterr().err


def test_output_larger_than_a_pipe_does_not_block():
    found = outcome_of("import sys; print('x' * 1_000_000); print('y' * 1_000_000, file=sys.stderr)")
    assert found.exit_code == 0 and found.stderr_tail == ["y" * 1_000_000]


# --- how it ends -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "exit_code", "name"),
    [
        ("pass", 0, None),
        ("raise SystemExit(3)", 3, None),
        ("import os; os._exit(137)", 137, None),
        ("raise ValueError", 1, None),
        ("import os; os.kill(os.getpid(), 9)", 137, "SIGKILL"),
        ("import os; os.kill(os.getpid(), 15)", 143, "SIGTERM"),
        ("import os; os.abort()", 134, "SIGABRT"),
    ],
)
def test_exit_codes_and_signals_are_told_apart(code, exit_code, name):
    found = outcome_of(code)
    assert (found.exit_code, found.signal) == (exit_code, name)


def test_a_realtime_signal_is_told_by_its_number():
    assert outcome_of("import os; os.kill(os.getpid(), 40)").exit_code == 168


def test_the_result_is_read_whole_however_large():
    code = """
        import os, pickle
        with os.fdopen(int(os.environ["TFSPARK_CNN_RESULT_FD"]), "wb") as results:
            pickle.dump({"result": b"x" * 5_000_000}, results)
    """
    assert outcome_of(code).record == {"result": b"x" * 5_000_000}


def test_a_result_that_was_cut_short_is_none():
    whole = pickle.dumps({"result": b"abc", "hint": None, "error": "é", "number": 2**80, "tail": ["a", "b"]})
    assert [supervisor._unpickled(whole[:length]) for length in range(len(whole))] == [None] * len(whole)
    code = "import os; os.write(int(os.environ['TFSPARK_CNN_RESULT_FD']), b'\\x80\\x04\\x95'); os.kill(os.getpid(), 9)"
    found = outcome_of(code)
    assert (found.record, found.signal) == (None, "SIGKILL")


def test_stdin_arrives_whole_and_ends():
    data = b"plan" * 300_000
    assert outcome_of("import sys; sys.exit(len(sys.stdin.buffer.read()) != 1_200_000)", stdin=data).exit_code == 0


def test_a_process_that_does_not_read_its_stdin_ends_all_the_same():
    assert outcome_of("pass", stdin=b"plan" * 300_000).exit_code == 0


def test_the_environment_is_ours_with_the_changes(monkeypatch):
    monkeypatch.setenv("KEPT", "yes")
    monkeypatch.setenv("DROPPED", "no")
    code = "import os; raise SystemExit([os.environ.get(n) for n in ('KEPT', 'DROPPED', 'NEW')] != ['yes', None, '1'])"
    assert outcome_of(code, environment={"DROPPED": None, "NEW": "1"}).exit_code == 0
    assert "NEW" not in os.environ and "TFSPARK_CNN_RESULT_FD" not in os.environ


def test_descriptors_are_inherited_when_asked_for():
    read, write = os.pipe()
    try:
        assert outcome_of(f"import os; os.write({write}, b'here')", inherit=[write]).exit_code == 0
        assert os.read(read, 10) == b"here"
        assert outcome_of(f"import os; os.write({write}, b'here')").exit_code == 1
    finally:
        os.close(read)
        os.close(write)


def test_memory_and_kills_are_measured():
    found = outcome_of("x = bytearray(b'x' * (64 << 20))")
    assert found.peak_mib >= 64
    assert found.oom_kills >= 0 and supervisor.oom_kills() >= 0


def test_a_running_process_can_be_waited_for_with_a_limit():
    with supervisor.running(command("input()"), role="worker", index=0) as node:
        # stdin ends at once, so input() raises; a second node sleeps.
        assert node.wait(timeout_s=SOON_S).exit_code == 1
    with supervisor.running(command("import time; time.sleep(600)"), role="worker", index=0) as node:
        with pytest.raises(subprocess.TimeoutExpired):
            node.wait(timeout_s=0.01)
        process = psutil.Process(node.process.pid)
    assert gone([process])


def test_a_program_that_does_not_exist_is_an_error_and_leaves_no_leash():
    gc.collect()  # what tests before have left open closes now
    before = set(psutil.Process().children())
    descriptors = psutil.Process().num_fds()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # the test below is about it
        with pytest.raises(FileNotFoundError):
            supervisor.start(Command(["/no/such/program"], stdin=b"", environment={}), role="worker", index=0)
        gc.collect()
    assert set(psutil.Process().children()) == before
    assert psutil.Process().num_fds() <= descriptors


def test_a_program_that_does_not_exist_leaves_no_open_pipe():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ResourceWarning)
        with pytest.raises(FileNotFoundError):
            supervisor.start(Command(["/no/such/program"], stdin=b"", environment={}), role="worker", index=0)
        gc.collect()
    assert [str(warning.message) for warning in caught] == []


# --- nothing outlives it ---------------------------------------------------------------------------------------------


def test_leaving_the_block_ends_the_process_and_all_it_started(family_command, tmp_path):
    with supervisor.running(family_command, role="worker", index=0):
        processes = family(tmp_path / "pids")
        leash = psutil.Process(os.getpgid(processes[0].pid))
    assert gone([*processes, leash])


def test_an_error_in_the_block_ends_the_process_too(family_command, tmp_path):
    with pytest.raises(ZeroDivisionError):
        with supervisor.running(family_command, role="worker", index=0):
            processes = family(tmp_path / "pids")
            raise ZeroDivisionError
    assert gone(processes)


def test_what_a_node_leaves_behind_ends_with_it(family_command, tmp_path):
    with supervisor.running(family_command, role="worker", index=0) as node:
        processes = family(tmp_path / "pids")
        os.kill(node.process.pid, signal.SIGKILL)
        assert node.wait(timeout_s=SOON_S).signal == "SIGKILL"
        assert gone(processes), "before the block is left"


def test_ending_twice_is_harmless(family_command, tmp_path):
    node = supervisor.start(family_command, role="worker", index=0)
    processes = family(tmp_path / "pids")
    node.end()
    node.end()
    assert gone(processes)


def test_no_thread_and_no_descriptor_is_left():
    threads, descriptors = set(threading.enumerate()), psutil.Process().num_fds()
    for _ in range(3):
        assert outcome_of("print('hello')").exit_code == 0
    assert set(threading.enumerate()) == threads
    assert psutil.Process().num_fds() == descriptors


def test_two_nodes_of_one_supervisor_end_each_for_itself(script, tmp_path):
    commands = [
        Command([sys.executable, "-S", str(script), str(tmp_path / name)], stdin=b"", environment={})
        for name in ("first", "second")
    ]
    with supervisor.running(commands[0], role="worker", index=0):
        first = family(tmp_path / "first")
        with supervisor.running(commands[1], role="worker", index=1):
            second = family(tmp_path / "second")
        assert gone(second)
        assert all(map(is_alive, first))
    assert gone(first)


def test_a_daemon_that_keeps_the_output_open_does_not_hold_the_supervisor_up(tmp_path):
    code = """
        import subprocess, sys
        child = subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(600)"], start_new_session=True)
        print(child.pid, file=sys.stderr, flush=True)
    """
    node = supervisor.start(command(code), role="worker", index=0)
    found: list[Outcome] = []
    waiting = threading.Thread(target=lambda: found.append(node.wait()))
    waiting.start()
    waiting.join(5)
    held_up = waiting.is_alive()
    for pid in node.tail:  # for this test to end
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(pid), signal.SIGKILL)
    waiting.join(SOON_S)
    assert not held_up and found[0].exit_code == 0


# --- the leash -------------------------------------------------------------------------------------------------------

# What a Spark task does, in a process that can be killed: starts a node and waits for it.
HOLDER = """
import sys
from tfspark_cnn.cluster import supervisor
node = supervisor.start(
    supervisor.Command([sys.executable, "-S", *sys.argv[1:]], stdin=b"", environment={}), role="worker", index=0
)
node.wait()
"""


@pytest.fixture
def holder(script, tmp_path):
    default = partial(signal.signal, signal.SIGHUP, signal.SIG_DFL)  # tests may run under nohup
    process = subprocess.Popen([sys.executable, "-c", HOLDER, str(script), str(tmp_path / "pids")], preexec_fn=default)
    yield process
    process.kill()
    process.wait()


def members_of(holder: subprocess.Popen, path: Path) -> list[psutil.Process]:
    """The node with all below it, and its leash."""
    return [*family(path), *psutil.Process(holder.pid).children()]


@pytest.mark.parametrize("name", ["SIGKILL", "SIGTERM", "SIGINT", "SIGHUP"])
def test_a_supervisor_that_is_killed_takes_its_node_and_grandchildren_with_it(holder, tmp_path, name):
    processes = members_of(holder, tmp_path / "pids")
    assert len(set(processes)) == 4
    holder.send_signal(signal.Signals[name])
    assert gone(processes)
    holder.wait()


@pytest.mark.parametrize("stopped", [[0], [0, 1, 2]])
def test_the_leash_also_ends_processes_that_are_stopped(holder, tmp_path, stopped):
    processes = members_of(holder, tmp_path / "pids")
    for number in stopped:
        processes[number].suspend()
    holder.kill()
    assert gone(processes)


def test_a_node_without_its_leash_still_ends_with_the_block(family_command, tmp_path):
    with supervisor.running(family_command, role="worker", index=0) as node:
        processes = family(tmp_path / "pids")
        node.leash.kill()
        node.leash.wait()
    assert gone(processes)
