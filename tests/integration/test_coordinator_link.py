"""The line between nodes and the coordinator: real Flight, in one process or with a child that can be stopped."""

from __future__ import annotations

import json
import logging
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import ClassVar

import psutil
import pytest
from pyarrow import flight

from tfspark_cnn.cluster import coordinator as coordinator_module
from tfspark_cnn.cluster import link as link_module
from tfspark_cnn.cluster import messages, policy
from tfspark_cnn.cluster.coordinator import COMMAND_SCHEMA, Coordinator, addresses
from tfspark_cnn.cluster.link import Link
from tfspark_cnn.cluster.messages import (
    Abort,
    Alive,
    Attached,
    BarrierPassed,
    Entered,
    Exited,
    Failed,
    Leave,
    Report,
    Reserved,
    Returned,
)
from tfspark_cnn.cluster.state import Phase
from tfspark_cnn.cluster.topology import plan
from tfspark_cnn.errors import (
    AuthenticationError,
    ClusterError,
    FeedError,
    NodeError,
    SchemaError,
)
from tfspark_cnn.feed import transport

pytestmark = [pytest.mark.timeout(60), pytest.mark.beside]
SOON_S = 15.0
PAUSE_S = 0.2  # of a thread, for another to overtake it if it can
SECRET = "a secret of this cluster"


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """The coordinator speaks often; silence is long where it is not what is tested."""
    monkeypatch.setattr(coordinator_module, "ALIVE_S", 0.05)
    monkeypatch.setattr(link_module, "SILENCE_S", 20.0)
    Line.made.clear()
    yield
    left = [line.link.node for line in Line.made if not line.close()]
    assert left == [], "threads of links are left"


@contextmanager
def coordinator_of(nodes: int = 2, secret: str = SECRET):
    one = Coordinator(
        plan(nodes, master_node="chief"), secret=secret, bind_host="127.0.0.1", public_host="127.0.0.1"
    )  # fmt: skip
    try:
        yield one
    finally:
        one.close()


class Line:
    """A link that keeps what it hears; the fixture closes it."""

    made: ClassVar[list[Line]] = []

    def __init__(self, location: str, node: int, *, secret: str = SECRET) -> None:
        self.heard: queue.Queue = queue.Queue()
        self.lost: queue.Queue = queue.Queue()
        self.link = Link(location, secret=secret, node=node, lost=self.lost.put)
        for kind in (Abort, Leave, BarrierPassed):
            self.link.on(kind, self.heard.put)
        self.made.append(self)

    def open(self) -> Line:
        self.link.open()
        return self

    def next(self):
        return self.heard.get(timeout=SOON_S)

    def reason(self) -> str:
        return self.lost.get(timeout=SOON_S)

    def close(self) -> bool:
        """Closes the link, and gives whether its threads have ended once the coordinator's stream has."""
        self.link.close()
        self.link._heard.set()  # the watching thread would see only after SILENCE_S that it is closed
        for thread in self.link._threads:
            thread.join(SOON_S)
        return not any(thread.is_alive() for thread in self.link._threads)


@contextmanager
def lines_to(coordinator: Coordinator, numbers=(0, 1)):
    lines = [Line(coordinator.location, number).open() for number in numbers]
    yield lines
    for line in lines:
        line.link.close()


def until(coordinator: Coordinator, condition) -> None:
    assert coordinator.wait(condition, timeout_s=SOON_S)


def put_raw(coordinator: Coordinator, body: bytes, *, action: str = "event", secret: str = SECRET) -> None:
    with transport.connect(coordinator.location, secret) as client:
        transport.call(client, action, body)


# --- both ways -------------------------------------------------------------------------------------------------------


def test_a_life_of_two_nodes_over_the_wire():
    with coordinator_of() as one, lines_to(one) as (chief, worker):
        for number, line in enumerate((chief, worker)):
            line.link.send(Reserved(number, "127.0.0.1", f"127.0.0.1:{2000 + number}", "e"))
            line.link.send(Entered(number, pid=1, inbox=f"grpc://127.0.0.1:{3000 + number}"))
        assert one.state.phase is Phase.RUNNING
        assert addresses(one.state) == ["grpc://127.0.0.1:3000", "grpc://127.0.0.1:3001"]
        chief.link.send(messages.Arrived(0, 0))
        worker.link.send(messages.Arrived(1, 0))
        assert [chief.next(), worker.next()] == [BarrierPassed(0, 0), BarrierPassed(1, 0)]
        chief.link.send(Returned(0))
        worker.link.send(Returned(1))
        assert worker.next() == Leave(1)
        worker.link.send(Exited(1))
        assert chief.next() == Leave(0)
        chief.link.send(Exited(0))
        assert one.state.phase is Phase.ENDED
        assert one.error() is None
        assert chief.heard.empty() and worker.heard.empty()


def asked_addresses(coordinator: Coordinator) -> Callable[[], list[str]]:
    """Asks as the Spark task of a node does, and gives what waits for the answer, or raises what was raised."""
    pool = ThreadPoolExecutor(1)

    def ask() -> list[str]:
        with transport.connect(coordinator.location, SECRET) as client:
            return json.loads(transport.call(client, "addresses", b"", timeout_s=None))

    asked = pool.submit(ask)
    pool.shutdown(wait=False)
    return lambda: asked.result(SOON_S)


def test_addresses_are_given_to_all_when_the_last_node_holds_its_port():
    with coordinator_of() as one, lines_to(one) as (chief, worker):
        worker.link.send(Reserved(1, "127.0.0.1", "127.0.0.1:2001", "e"))
        answers = [asked_addresses(one) for _ in range(2)]
        began = time.monotonic()
        chief.link.send(Reserved(0, "127.0.0.1", "127.0.0.1:2000", "e"))
        assert [answer() for answer in answers] == [["127.0.0.1:2000", "127.0.0.1:2001"]] * 2
        assert time.monotonic() - began < 1.0, "as long as Spark's allGather takes at least"


def test_who_waits_for_addresses_is_told_why_the_cluster_was_given_up():
    with coordinator_of() as one:
        put_raw(one, messages.encode(Reserved(0, "127.0.0.1", "127.0.0.1:2000", "e")))
        answer = asked_addresses(one)
        one.abort("the driver met ReservationTimeout")
        with pytest.raises(ClusterError, match=r"worker:0 had not come up .* given up: the driver met ReservationTime"):
            answer()
        assert one.refused == 0


def test_messages_that_wait_for_a_node_reach_it_in_their_order_when_it_comes():
    with coordinator_of() as one:
        one.act(lambda _: [BarrierPassed(1, number) for number in range(500)])
        with lines_to(one, [1]) as (line,):
            assert [line.next().sequence for _ in range(500)] == list(range(500))


def test_what_nodes_report_reaches_listeners_and_a_listener_that_fails_harms_nobody(caplog):
    told: queue.Queue = queue.Queue()
    with coordinator_of() as one, lines_to(one, [1]) as (line,):
        one.add_listener(lambda metrics: 1 / 0)
        one.add_listener(told.put)
        with caplog.at_level(logging.WARNING, "tfspark_cnn"):
            line.link.send_latest("report", Report(1, {"loss": 0.5}))
            assert told.get(timeout=SOON_S) == {"node": "worker:0", "loss": 0.5}
        assert "a progress listener failed" in caplog.text


def test_only_the_newest_of_a_key_is_sent():
    with coordinator_of() as one:
        line = Line(one.location, 0)  # not open: nothing leaves before flush
        for step in range(100):
            line.link.send_latest("report", Report(0, {"step": step}))
        assert one.state.nodes[0].metrics == {}
        line.link.flush()
        assert one.state.nodes[0].metrics == {"step": 99}
        line.link.flush()


def test_what_is_sent_after_a_flush_comes_after_what_was_to_be_sent_before(monkeypatch):
    steps, send = [], Link.send
    taken_out, overtaken = threading.Event(), threading.Event()

    def late(link, event):  # by the thread that sends: it has taken the report out, and is not on with it
        if threading.current_thread().name == "tfspark-_send_latest":
            taken_out.set()
            overtaken.wait(PAUSE_S)
        send(link, event)

    monkeypatch.setattr(Link, "send", late)
    with coordinator_of() as coordinator, lines_to(coordinator) as (line, _):
        coordinator.add_listener(lambda metrics: steps.append(metrics["step"]))
        line.link.send_latest("report", Report(0, {"step": 1}))
        assert taken_out.wait(SOON_S)
        line.link.flush()
        line.link.send(Report(0, {"step": 2}))
        overtaken.set()
    assert steps == [1, 2]


def test_a_report_that_json_cannot_hold_takes_nothing_else_with_it():
    with coordinator_of() as one:
        line = Line(one.location, 0)
        one.state.feeds.open("input", "", 1)
        line.link.send_latest("report", Report(0, {"loss": object()}))
        line.link.send_latest("received", messages.Received(0, "input-1", 1, 1, 8))
        with pytest.raises(ClusterError, match="a Report holds what JSON cannot"):
            line.link.flush()
        line.link.flush()
        assert one.state.feeds.by_id["input-1"].rows_received() == 1


def test_the_coordinator_says_something_when_there_is_nothing_to_say():
    with coordinator_of() as one, transport.connect(one.location, SECRET) as client:
        chunks = client.do_get(flight.Ticket(b"1"))
        found = [messages.decode(chunks.read_chunk().data.column(0)[0].as_py()) for _ in range(3)]
        assert found == [Alive(1)] * 3
        assert chunks.schema == COMMAND_SCHEMA
        chunks.cancel()


# --- the line breaks -------------------------------------------------------------------------------------------------


def test_a_node_hears_when_the_coordinator_closes():
    with coordinator_of() as one:
        line = Line(one.location, 0).open()
        line.link.send(Entered(0, pid=1))
    assert "the coordinator closed the line" in line.reason()
    with pytest.raises(ClusterError, match="event was not answered"):
        line.link.send(Returned(0))


def test_a_closed_link_says_nothing_of_its_end():
    with coordinator_of() as one:
        line = Line(one.location, 0).open()
        line.link.send(Entered(0, pid=1))
        line.link.close()
    assert line.close()
    assert line.lost.empty()


def test_a_loss_is_told_once():
    with coordinator_of() as one:
        line = Line(one.location, 0).open()
    line.reason()
    assert line.close()
    assert line.lost.empty()


def test_a_line_that_is_lost_leaves_no_thread():
    with coordinator_of() as one:
        line = Line(one.location, 0).open()
        line.link.send(Entered(0, pid=1))
    line.reason()
    _, watching, sending = line.link._threads
    line.link._heard.set()
    watching.join(SOON_S)
    sending.join(1.0)
    assert not sending.is_alive()


def test_a_node_of_another_cluster_gets_no_line():
    with coordinator_of(2) as one:
        line = Line(one.location, 7).open()
        assert "the line to the coordinator broke: " in (reason := line.reason())
        assert "node 7 is not of this cluster" in reason


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_handler_that_fails_is_a_loss_with_its_words():
    with coordinator_of() as one:
        line = Line(one.location, 0)
        line.link.on(Abort, lambda message: {}[message.reason])
        line.open()
        one.abort("no such key")
        assert "no such key" in line.lost.get(timeout=2)


SERVE = """
import sys
from tfspark_cnn.cluster import coordinator
from tfspark_cnn.cluster.topology import plan
coordinator.ALIVE_S = 0.05
one = coordinator.Coordinator(plan(2), secret=sys.argv[1], bind_host="127.0.0.1", public_host="127.0.0.1")
print(one.location, flush=True)
sys.stdin.readline()
one.close()
"""

NODE = """
import sys, threading
from tfspark_cnn.cluster.link import Link
from tfspark_cnn.cluster.messages import Abort, Entered
link = Link(sys.argv[1], secret=sys.argv[2], node=1, lost=print)
link.on(Abort, lambda message: print(message.reason, flush=True))
link.open()
link.send(Entered(1, pid=1))
print("entered", flush=True)
threading.Event().wait()
"""


@contextmanager
def child_of(code: str, *arguments: str):
    with subprocess.Popen(
        [sys.executable, "-c", code, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        try:
            yield child
        finally:
            child.kill()


def test_a_coordinator_that_is_killed_is_lost_at_once():
    with child_of(SERVE, SECRET) as child:
        line = Line(child.stdout.readline().strip(), 0).open()
        line.link.send(Entered(0, pid=1))
        start = time.monotonic()
        child.kill()
        assert "the line to the coordinator broke" in line.reason()
        assert time.monotonic() - start < 2.0


def test_a_coordinator_that_is_stopped_is_lost_after_the_silence(monkeypatch):
    monkeypatch.setattr(link_module, "SILENCE_S", 3.0)
    with child_of(SERVE, SECRET) as child:
        line = Line(child.stdout.readline().strip(), 0)
        heard = threading.Event()
        line.link.on(Alive, lambda _: heard.set())
        line.open()
        assert heard.wait(SOON_S)
        start = time.monotonic()
        os.kill(child.pid, signal.SIGSTOP)
        assert "the coordinator has said nothing for" in line.reason()
        assert 2.5 < time.monotonic() - start < 12.0


def test_a_coordinator_that_was_only_slow_is_not_lost(monkeypatch):
    monkeypatch.setattr(link_module, "SILENCE_S", 5.0)
    with child_of(SERVE, SECRET) as child:
        line = Line(child.stdout.readline().strip(), 0)
        heard = threading.Semaphore(0)
        line.link.on(Alive, lambda _: heard.release())
        line.open()
        assert heard.acquire(timeout=SOON_S)
        os.kill(child.pid, signal.SIGSTOP)
        psutil.Process(child.pid).status()
        os.kill(child.pid, signal.SIGCONT)
        assert all(heard.acquire(timeout=SOON_S) for _ in range(3))
        assert line.lost.empty()
        line.link.close()


def test_what_is_sent_while_the_coordinator_pauses_arrives_when_it_goes_on(monkeypatch):
    monkeypatch.setitem(transport.call.__kwdefaults__, "timeout_s", 0.2)  # of small messages; a pause may be longer
    with child_of(SERVE, SECRET) as child:
        line = Line(child.stdout.readline().strip(), 0).open()
        os.kill(child.pid, signal.SIGSTOP)
        goes_on = threading.Timer(0.6, os.kill, (child.pid, signal.SIGCONT))
        goes_on.start()
        start = time.monotonic()
        line.link.send(Entered(0, pid=1))
        assert time.monotonic() - start > 0.5
        goes_on.join()
        assert line.lost.empty()
        line.link.close()


@pytest.mark.parametrize("name", ["SIGKILL", "SIGTERM"])
def test_a_node_that_is_killed_is_noticed_and_the_others_are_stopped(name):
    with coordinator_of() as one, lines_to(one, [0]) as (chief,):
        with child_of(NODE, one.location, SECRET) as child:
            assert child.stdout.readline() == "entered\n"
            start = time.monotonic()
            child.send_signal(signal.Signals[name])
            assert chief.next() == Abort(0, "node worker:0 is gone")
            assert time.monotonic() - start < 3.0
        assert one.state.vanished == [1]


def test_a_node_in_another_process_hears_an_abort():
    with coordinator_of() as one, child_of(NODE, one.location, SECRET) as child:
        assert child.stdout.readline() == "entered\n"
        one.abort("the driver says so")
        assert child.stdout.readline() == "the driver says so\n"


def test_a_coordinator_closes_although_a_node_is_stopped(monkeypatch):
    monkeypatch.setattr(transport, "CLOSE_S", 0.2)
    with coordinator_of() as one, child_of(NODE, one.location, SECRET) as child:
        assert child.stdout.readline() == "entered\n"
        os.kill(child.pid, signal.SIGSTOP)
        closing = threading.Thread(target=one.close, daemon=True)
        closing.start()
        closing.join(3.0)
        held_up = closing.is_alive()
    assert not held_up


# --- what is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wait", ["wait", "wait_job"])
def test_an_interrupt_that_does_not_wake_the_driver_is_taken_all_the_same(wait):
    # A signal that comes just before the driver's thread waits for its lock does not wake it; neither does one that
    # another thread gets, and that can be made to happen.
    with coordinator_of() as coordinator:
        waiting = {
            "wait": lambda: coordinator.wait(lambda state: False, timeout_s=30),
            "wait_job": lambda: coordinator.wait_job(timeout_s=30),
        }[wait]
        other = threading.Timer(0.5, lambda: signal.pthread_kill(threading.get_ident(), signal.SIGINT))
        other.start()
        began = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            waiting()
        assert time.monotonic() - began < 10
        other.join()


def test_a_wrong_secret_is_refused_and_counted():
    with coordinator_of() as one:
        for count in (1, 2):
            with pytest.raises(AuthenticationError, match="event was refused: .*the secret of this cluster is missing"):
                put_raw(one, messages.encode(Entered(0, pid=1)), secret="guessed")
            assert one.refused == count
        line = Line(one.location, 0, secret="guessed").open()
        assert "the secret of this cluster is missing or wrong" in line.reason()
        assert one.refused == 3
        assert one.state.nodes[0].entered is None


def test_an_oversized_message_is_refused_before_it_is_read():
    with coordinator_of() as one:
        body = messages.encode(Report(0, {})) + b" " * messages.MAX_MESSAGE_BYTES
        with pytest.raises(ClusterError, match=rf"a message of {len(body)} bytes is over the limit"):
            put_raw(one, body)
        with pytest.raises(ClusterError, match="a Report of .* bytes is over the limit"):
            Line(one.location, 0).link.send(Report(0, {"text": "x" * messages.MAX_MESSAGE_BYTES}))


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"no json", "a message of 7 bytes cannot be read"),
        (b'{"kind": "Alive", "node": "x"}', "expected its number"),
        (messages.encode(Returned(5)), "node 5 is not of this cluster of 2"),
    ],
)
def test_what_is_no_message_of_a_node_is_refused_and_changes_nothing(body, words):
    with coordinator_of() as one:
        with pytest.raises(ClusterError, match=words):
            put_raw(one, body)
        assert one.state.phase is Phase.STARTING and one.state.failures == []


def test_an_unknown_action_is_refused():
    with coordinator_of() as one, pytest.raises(ClusterError, match="unknown action 'shutdown'"):
        put_raw(one, b"", action="shutdown")


def test_an_event_that_does_not_fit_becomes_a_failure_of_its_node():
    with coordinator_of() as one, lines_to(one) as (chief, worker):
        one.act(lambda state: state.feeds.open("input", "", 1)[1])
        chief.link.send(Attached(0, "input-1", 0, 8, "x float32[4]"))
        worker.link.send(Attached(1, "input-1", 0, 8, "x float32[8]"))
        assert chief.next() == Abort(0, "node worker:0 failed")
        error = one.error()
        assert type(error) is SchemaError and error.node == "worker:0"
        assert "does not look the same to all nodes" in str(error)
        assert "same columns, shapes and dtypes" in error.hint


# --- an outbox that nobody reads -------------------------------------------------------------------------------------


def test_an_outbox_that_nobody_reads_is_limited_and_holds_nobody_up(monkeypatch, caplog):
    monkeypatch.setattr(coordinator_module, "OUTBOX_MESSAGES", 10)
    with coordinator_of() as one:
        with caplog.at_level(logging.WARNING, "tfspark_cnn"):
            one.act(lambda _: [BarrierPassed(1, number) for number in range(25)])
        assert caplog.text.count("a node has left 10 messages unread") == 15
        with lines_to(one, [0, 1]) as (chief, worker):
            one.act(lambda _: [BarrierPassed(0, 99)])
            assert chief.next() == BarrierPassed(0, 99), "the others are served"
            assert [worker.next().sequence for _ in range(10)] == list(range(10))


def test_a_coordinator_closes_although_an_outbox_is_full(monkeypatch):
    monkeypatch.setattr(coordinator_module, "OUTBOX_MESSAGES", 3)
    with coordinator_of() as one:
        one.act(lambda _: [BarrierPassed(1, number) for number in range(5)])
        closing = threading.Thread(target=one.close, daemon=True)
        closing.start()
        closing.join(SOON_S)
        assert not closing.is_alive()


# --- the driver's side -----------------------------------------------------------------------------------------------


def failed(node: int, **known) -> Failed:
    return Failed(node, **{"host": "h", "message": "boom", **known})


def test_waiting_ends_by_the_event_by_its_limit_by_an_abort_or_by_the_end_of_the_job():
    with coordinator_of() as one:
        assert not one.wait(lambda state: not state.missing(), timeout_s=0.01)
        waiting = threading.Timer(0, one.handle, [Entered(0, pid=1)])
        waiting.start()
        assert one.wait(lambda state: state.missing() == ["worker:0"], timeout_s=SOON_S)
        one.abort("enough")
        assert one.wait(lambda _: False, timeout_s=SOON_S)
    with coordinator_of() as one:
        assert not one.wait_job(timeout_s=0.01)
        one.end_job(None)
        assert one.wait(lambda _: False, timeout_s=SOON_S) and one.wait_job(timeout_s=SOON_S)
        assert one.error() is None


def test_the_cause_is_waited_for_when_only_a_consequence_is_known(monkeypatch):
    monkeypatch.setattr(policy, "SETTLE_S", SOON_S)
    with coordinator_of() as one:
        one.handle(failed(0, error="UnavailableError"))
        cause = threading.Timer(0, one.handle, [failed(1, exit_code=137, signal="SIGKILL")])
        cause.start()
        error = one.error()
        assert type(error) is NodeError and (error.node, error.signal) == ("worker:0", "SIGKILL")


def test_a_consequence_is_told_when_nobody_says_more(monkeypatch):
    monkeypatch.setattr(policy, "SETTLE_S", 0.01)
    with coordinator_of() as one:
        one.handle(failed(0, error="UnavailableError"))
        assert one.error().node == "chief:0"
        one.act(lambda state: state.vanished.append(1) or [])
        assert "worker:0" in str(one.error()) and "gone without a word" in str(one.error())


def test_a_job_that_spark_failed_stops_the_nodes_and_is_the_error_if_no_node_spoke(monkeypatch):
    monkeypatch.setattr(policy, "SETTLE_S", 0.01)
    with coordinator_of() as one, lines_to(one, [1]) as (worker,):
        one.end_job("ExecutorLostFailure (executor 1)")
        assert worker.next() == Abort(1, "Spark ended the job of the nodes: ExecutorLostFailure (executor 1)")
        assert "Spark failed the job that holds the nodes: ExecutorLostFailure" in str(one.error())
        one.handle(failed(1, error="FeedError", message="own words"))
        assert type(one.error()) is FeedError and "own words" in str(one.error())


def test_an_executor_that_spark_lost_is_the_cause_at_once_whatever_the_others_saw_of_it(monkeypatch):
    monkeypatch.setattr(policy, "SETTLE_S", 60.0)
    with coordinator_of() as one:
        one.handle(failed(0, error="UnavailableError"))
        one.end_job("ExecutorLostFailure (executor 1 exited)")
        began = time.monotonic()
        assert "ExecutorLostFailure (executor 1 exited)" in str(one.error())
        assert time.monotonic() - began < SOON_S


def test_two_coordinators_live_side_by_side():
    with coordinator_of(secret="first") as first, coordinator_of(secret="second") as second:
        assert first.location != second.location
        lines = [Line(first.location, 0, secret="first").open(), Line(second.location, 0, secret="second").open()]
        for number, line in enumerate(lines):
            line.link.send(Report(0, {"cluster": number}))
        assert [one.state.nodes[0].metrics["cluster"] for one in (first, second)] == [0, 1]
        with pytest.raises(AuthenticationError, match="missing or wrong"):
            put_raw(second, messages.encode(Returned(0)), secret="first")
        assert (first.refused, second.refused) == (0, 1)
        first.abort("only the first")
        assert lines[0].next() == Abort(0, "only the first")
        assert second.state.phase is Phase.STARTING and lines[1].heard.empty()
        for line in lines:
            line.link.close()
