"""A task and the fork server: requests, ends of either side, and servers that do not answer."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import textwrap
import time

import psutil
import pytest

pytestmark = [pytest.mark.timeout(60), pytest.mark.beside]
SOON_S = 20.0

# A task that does what it is told, and says what came of it. Its parent is a shell, which owns the server.
TASK = """
import json, os, subprocess, sys
from tfspark_cnn.cluster import forked, supervisor
from tfspark_cnn.cluster.forked import NotForked

def fork(**more):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), **more}
    return forked.fork(environment, name="worker:0", group=os.getpgrp(), inherit=(), likeness=None)

def server_of(process):
    return int(open(f"/proc/{process.pid}/stat").read().rpartition(")")[2].split()[1])

for line in sys.stdin:
    try:
        said = eval(line)
    except (NotForked, subprocess.TimeoutExpired) as error:
        said = f"{type(error).__name__}: {error}"
    print(json.dumps(said), flush=True)
"""


class Task:
    def __init__(self, owner: subprocess.Popen[str]) -> None:
        self._owner = owner

    def __call__(self, expression: str):
        self._owner.stdin.write(f"{expression}\n")
        self._owner.stdin.flush()
        return json.loads(self._owner.stdout.readline())


@pytest.fixture
def owner():
    """A shell with a task in it."""
    shell = subprocess.Popen(
        ["/bin/sh", "-c", '"$1" -c "$2"; :', "sh", sys.executable, TASK],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    try:
        yield shell
        shell.stdin.close()
        shell.wait(SOON_S)
        assert all(map(gone, of_session(shell.pid))), "nothing is left once the owner has ended"
    finally:
        for process in of_session(shell.pid):
            process.kill()
        shell.stdout.close()


def of_session(leader: int) -> list[psutil.Process]:
    """All processes that a shell and what it started have started."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(ProcessLookupError, psutil.NoSuchProcess):
            if os.getsid(process.pid) == leader and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


@pytest.fixture
def task(owner):
    return Task(owner)


def gone(process: psutil.Process) -> bool:
    """Tells whether it ends in time; a zombie has ended, whoever is to bury it."""
    end = time.monotonic() + SOON_S
    with contextlib.suppress(psutil.NoSuchProcess):
        while process.status() != psutil.STATUS_ZOMBIE and time.monotonic() < end:
            with contextlib.suppress(psutil.TimeoutExpired):
                process.wait(0.05)
        return process.status() == psutil.STATUS_ZOMBIE
    return True


def test_a_forked_process_reads_ends_and_tells_how(task):
    task("globals().update(p=fork())")
    assert task("p.wait(0.05)").startswith("TimeoutExpired")
    assert task("p.stdin.close()") is None
    assert task("p.wait()") == 1
    assert "EOFError" in task("p.stderr.read().decode()"), "its plan ended before it began"
    assert task("p.wait()") == 1
    assert task("p.peak_mib") > 20


def test_a_signal_is_told_as_subprocess_tells_it(task):
    pid = task("globals().update(p=fork()) or p.pid")
    os.kill(pid, signal.SIGTERM)
    assert task("p.wait()") == -signal.SIGTERM


def test_a_process_that_is_killed_before_it_begins_is_told_of_like_any_other(task):
    task("setattr(forked.socket.socket, 'send', lambda line, data: len(data))")  # it waits to be let begin
    for _ in range(20):
        os.kill(task("globals().update(p=fork()) or p.pid"), signal.SIGTERM)
        assert task("[p.server.sendall(b'go'), p.wait()][1]") == -signal.SIGTERM


def test_a_process_is_forked_from_the_same_server_each_time(task):
    servers = [task("globals().update(p=fork()) or server_of(p)")]
    for _ in range(2):
        servers.append(task("[p.stdin.close(), p.wait(), globals().update(p=fork()), server_of(p)][-1]"))
    assert len(set(servers)) == 1
    assert task("globals().update(q=fork(SOME='other')) or server_of(q)") not in servers
    assert task("globals().update(r=fork(TF_CONFIG='{}', TFSPARK_CNN_X='1', SPARK_X='2')) or server_of(r)") in servers


def test_a_server_that_is_killed_takes_its_processes_along_and_another_one_comes(task):
    for _ in range(5):
        server = psutil.Process(task("globals().update(p=fork()) or server_of(p)"))
        server.kill()  # perhaps before the process has begun
        assert task("p.wait()") == -signal.SIGKILL
        assert task("globals().update(p=fork()) or server_of(p)") != server.pid
        task("[p.stdin.close(), p.wait()]")


def test_a_server_that_is_stopped_is_done_without_and_forks_nothing_later(task):
    server = psutil.Process(task("globals().update(p=fork()) or server_of(p)"))
    task("setattr(forked, 'ANSWER_S', 0.3)")
    server.suspend()
    try:
        assert task("fork()").startswith("NotForked: TimeoutError")
    finally:
        server.resume()
    task("setattr(forked, 'ANSWER_S', 30)")
    second = task("globals().update(q=fork()) or q.pid")
    late = [child for child in server.children() if child.pid not in (second, task("p.pid"))]
    assert all(gone(child) for child in late), "who asked had given up"


def test_the_server_and_its_processes_end_with_their_owner(owner, task):
    server, pid = task("globals().update(p=fork()) or [server_of(p), p.pid]")
    processes = [psutil.Process(server), psutil.Process(pid)]
    owner.kill()
    assert all(gone(process) for process in processes)
    owner.stdin.close()  # which ends the task


def test_a_task_that_is_killed_leaves_nothing_waiting(owner, task):
    server, pid = task("globals().update(p=fork()) or [server_of(p), p.pid]")
    node = psutil.Process(pid)
    psutil.Process(task("os.getpid()")).kill()
    assert gone(node), "what it reads has ended"


def test_tasks_that_begin_together_start_one_server():
    said = 'os.write(1, f"{server_of(p)}\\n".encode())'  # whole
    code = TASK.replace("for line in sys.stdin:", f"p = fork(); {said}; p.stdin.close(); p.wait()\nif 0:")
    shell = subprocess.run(
        ["/bin/sh", "-c", 'for i in 1 2 3 4; do "$1" -c "$2" & done; wait', "sh", sys.executable, code],
        capture_output=True, text=True, timeout=SOON_S * 2, start_new_session=True, check=True,
    )  # fmt: skip
    assert len(shell.stdout.split()) == 4, shell.stderr
    assert len(set(shell.stdout.split())) == 1


@pytest.mark.parametrize("variables", [{"TFSPARK_CNN_FORK_SERVER": "off"}, {"CONTAINER_ID": "container_1_1"}])
def test_where_it_is_not_wanted_there_is_no_server(task, variables):
    assert task(f"fork(**{variables!r})") == "NotForked: it is not wanted here"


def test_a_server_on_yarn_is_there_on_request(task):
    assert task("fork(CONTAINER_ID='container_1_1', TFSPARK_CNN_FORK_SERVER='on').pid") > 0


def test_a_request_for_a_group_that_is_not_there_is_answered(task):
    server = task("globals().update(p=fork()) or server_of(p)")
    task("globals().update(getpgrp=os.getpgrp)")
    for _ in range(3):
        assert task("setattr(os, 'getpgrp', lambda: 999999) or fork()").startswith("NotForked: ")
    assert task("setattr(os, 'getpgrp', getpgrp) or globals().update(q=fork()) or server_of(q)") == server


@pytest.mark.skipif(os.getuid() != 0, reason="becomes another user")
def test_a_name_that_another_user_has_taken_is_not_trusted(task):
    address = task(
        "forked._address(os.getppid(), {**os.environ, 'PYTHONPATH': os.pathsep.join(filter(None, sys.path))})"
    )
    squatter = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent("""
            import os, socket, sys
            os.setuid(65534)
            taken = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            taken.bind("\\0" + sys.argv[1])
            taken.listen()
            print(flush=True)
            sys.stdin.read()
        """), address[1:]],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    with squatter:
        squatter.stdout.readline()
        assert "another user" in task("fork()")
        squatter.stdin.close()


def test_a_server_that_nobody_asks_ends():
    code = """
        import os, socket, sys
        from tfspark_cnn.cluster import fork_server
        fork_server.IDLE_S = 0.2
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
            listener.bind("")
            listener.listen()
            sys.exit(fork_server.main([str(os.dup(listener.fileno())), str(os.getppid())]))
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], timeout=SOON_S)
    assert done.returncode == 0


def test_many_processes_at_once_are_told_apart(task):
    task("globals().update(many=[fork() for _ in range(12)])")
    pids = task("[p.pid for p in many]")
    assert len(set(pids)) == 12
    signals = (signal.SIGTERM, signal.SIGUSR1, signal.SIGKILL)  # nobody above us ignores them
    for pid, number in zip(pids, signals, strict=False):
        os.kill(pid, number)
    assert task("[p.wait() for p in many[:3]]") == [-number for number in signals]
    assert task("[[p.stdin.close(), p.wait()][1] for p in many[3:]]") == [1] * 9
