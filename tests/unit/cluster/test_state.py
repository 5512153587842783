"""The life of a cluster as tables of what happened and what follows, and as properties over any order of events."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfspark_cnn.cluster.messages import (
    Abort,
    Alive,
    Arrived,
    Attached,
    BarrierPassed,
    CheckpointWritten,
    Consumed,
    Detached,
    Dismissed,
    Entered,
    Evaluated,
    Exited,
    Failed,
    FeedOpened,
    Joining,
    Leave,
    Message,
    Received,
    Report,
    Reserved,
    Restarting,
    Resumed,
    Returned,
    Saved,
    StopTraining,
    TrainingEnded,
    TrainingOver,
)
from tfspark_cnn.cluster.state import ClusterState, Phase
from tfspark_cnn.cluster.topology import Role, Topology, plan
from tfspark_cnn.errors import ClusterError, SchemaError

PAIR = plan(2, master_node="chief")  # 0: chief, 1: worker
FULL = plan(4, num_ps=1, master_node="chief", eval_node=True)  # 0: ps, 1: chief, 2: evaluator, 3: worker

Event = Message | Callable[[ClusterState], list[Message]]


def entered(*numbers: int) -> list[Message]:
    return [Entered(number, pid=1000 + number) for number in numbers]


def failed(number: int, message: str = "boom") -> Failed:
    return Failed(number, host="h", message=message)


def lost(number: int) -> Event:
    return lambda state: state.lose(number)


def aborted(reason: str) -> Event:
    return lambda state: state.abort(reason)


def after(topology: Topology, events: Iterable[Event]) -> tuple[ClusterState, list[Message]]:
    """Applies events, and gives the state and what followed from the last of them."""
    state, out = ClusterState(topology), []
    for event in events:
        out = state.handle(event) if isinstance(event, Message) else event(state)
    return state, out


RUN = entered(0, 1)
RUN_FULL = entered(0, 1, 2, 3)
RETURN_FULL = [*RUN_FULL, Returned(1), Returned(2), Returned(3)]


@pytest.mark.parametrize(
    ("topology", "events", "phase", "out"),
    [
        (PAIR, [], Phase.STARTING, []),
        (PAIR, [Reserved(0, "h", "h:1", "e"), Reserved(1, "h", "h:2", "e")], Phase.STARTING, []),
        (PAIR, entered(1), Phase.STARTING, []),
        (PAIR, RUN, Phase.RUNNING, []),
        (PAIR, [*RUN, Returned(0)], Phase.RUNNING, []),
        (PAIR, [*RUN, Returned(1)], Phase.RUNNING, []),
        # The chief goes last.
        (PAIR, [*RUN, Returned(0), Returned(1)], Phase.LEAVING, [Leave(1)]),
        (PAIR, [*RUN, Returned(1), Returned(0)], Phase.LEAVING, [Leave(1)]),
        (PAIR, [*RUN, Returned(1), Returned(0), Returned(0)], Phase.LEAVING, []),
        (PAIR, [*RUN, Returned(1), Returned(0), Exited(1)], Phase.LEAVING, [Leave(0)]),
        (PAIR, [*RUN, Returned(1), Returned(0), Exited(1), Exited(0)], Phase.ENDED, []),
        # One that returns before another has entered waits for it.
        (PAIR, [*entered(0), Returned(0), *entered(1)], Phase.RUNNING, []),
        (PAIR, [*entered(0), Returned(0), *entered(1), Returned(1)], Phase.LEAVING, [Leave(1)]),
        # A cluster of one, and one without a chief, whose first worker leads.
        (plan(1), [*entered(0), Returned(0)], Phase.LEAVING, [Leave(0)]),
        (plan(1), [*entered(0), Returned(0), Exited(0)], Phase.ENDED, []),
        (plan(2), [*RUN, Returned(0), Returned(1)], Phase.LEAVING, [Leave(1)]),
        # A ps never returns; it is let go with the others. An evaluator is waited for.
        (FULL, [*RUN_FULL, Returned(1), Returned(3)], Phase.RUNNING, [TrainingOver(2)]),
        (FULL, RETURN_FULL, Phase.LEAVING, [Leave(0), Leave(2), Leave(3)]),
        (FULL, [*RETURN_FULL, Exited(3), Exited(2)], Phase.LEAVING, []),
        (FULL, [*RETURN_FULL, Exited(3), Exited(2), Exited(0)], Phase.LEAVING, [Leave(1)]),
        (FULL, [*RETURN_FULL, Exited(3), Exited(2), Exited(0), Exited(1)], Phase.ENDED, []),
    ],
)
def test_nodes_are_let_go_when_all_have_returned_and_the_chief_last(
    topology: Topology, events: list[Event], phase: Phase, out: list[Message]
) -> None:
    state, sent = after(topology, events)
    assert (state.phase, sent) == (phase, out)


def test_an_evaluator_hears_of_each_checkpoint_and_of_the_end_and_may_ask_for_it() -> None:
    state, sent = after(FULL, [*RUN_FULL, Resumed(1, 8, 0)])
    assert (sent, state.saved_step, state.resumed_step) == ([], 8, 8)
    assert state.handle(Saved(1, 12, 1, "checkpoint-12")) == [CheckpointWritten(2, 12, "checkpoint-12")]
    assert state.saved_step == 12
    assert state.handle(Evaluated(2, 12, "checkpoint-12", {"loss": 1.0}, best=True)) == []
    asked = state.handle(Evaluated(2, 16, "checkpoint-16", {"loss": 2.0}, stop=True))
    reason = "evaluator:0 found no better checkpoint after step 16"
    assert asked == [StopTraining(1, reason), StopTraining(3, reason)]
    assert [one.step for one in state.evaluations] == [12, 16]
    assert state.handle(Returned(1)) == []
    assert state.handle(Returned(3)) == [TrainingOver(2)]
    assert state.handle(Saved(1, 20, 2, "checkpoint-20")) == [CheckpointWritten(2, 20, "checkpoint-20")]


def test_an_evaluator_that_comes_when_all_have_trained_hears_of_the_end() -> None:
    state, _ = after(FULL, [*entered(0, 1, 3), Returned(1), Returned(3)])
    assert TrainingOver(2) in state.handle(*entered(2))


@pytest.mark.parametrize(
    ("events", "reason", "out"),
    [
        ([failed(1)], "node worker:0 failed", [0]),
        ([*RUN, failed(0)], "node chief:0 failed", [1]),
        ([*RUN, Returned(0), failed(1)], "node worker:0 failed", [0]),
        ([*RUN, Returned(0), Returned(1), failed(1)], "node worker:0 failed", [0]),
        ([lost(0)], "node chief:0 is gone", [0, 1]),
        ([*RUN, lost(1)], "node worker:0 is gone", [0, 1]),
        ([*RUN, Returned(1), lost(1)], "node worker:0 is gone", [0, 1]),
        ([*RUN, aborted("enough")], "enough", [0, 1]),
        ([*RUN, Returned(0), Returned(1), Exited(1), aborted("enough")], "enough", [0]),
    ],
)
def test_the_first_failure_stops_all_who_still_run(events: list[Event], reason: str, out: list[int]) -> None:
    state, sent = after(PAIR, events)
    assert state.phase is Phase.ABORTING
    assert state.abort_reason == reason
    assert sent == [Abort(number, reason) for number in out]


@pytest.mark.parametrize(
    "event", [failed(0), lost(0), lost(1), aborted("again"), Returned(0), Exited(1), Report(0, {}), *entered(0)]
)
def test_nothing_is_said_twice_once_a_cluster_is_stopped(event: Event) -> None:
    state, sent = after(PAIR, [*RUN, failed(1), event])
    assert sent == []
    assert state.abort_reason == "node worker:0 failed"
    assert state.phase is (Phase.ENDED if state.nodes[0].exited else Phase.ABORTING)
    assert state.vanished == []


def test_a_chief_that_fails_after_all_others_have_gone_is_a_failure_too() -> None:
    state, sent = after(PAIR, [*RUN, Returned(0), Returned(1), Exited(1), failed(0)])
    assert (sent, state.phase, state.abort_reason) == ([], Phase.ENDED, "node chief:0 failed")
    assert [failure.node for failure in state.failures] == [0]


def test_all_failures_are_kept_in_their_order() -> None:
    state, _ = after(PAIR, [*RUN, failed(1, "first"), failed(0, "second")])
    assert [failure.message for failure in state.failures] == ["first", "second"]


def test_a_stopped_cluster_has_ended_when_all_have_exited() -> None:
    state, _ = after(PAIR, [*RUN, aborted("enough"), Exited(0), Exited(1)])
    assert state.phase is Phase.ENDED


def test_a_stopped_cluster_has_ended_when_the_last_to_go_has_failed_too() -> None:
    state, _ = after(PAIR, [*RUN, aborted("enough"), Exited(0), failed(1)])
    assert state.phase is Phase.ENDED


@pytest.mark.parametrize(
    "events",
    [
        [*RUN, Returned(0), Returned(1), lost(1)],
        [*RUN, Returned(0), Returned(1), Exited(1), lost(1)],
        [*RUN, Returned(0), Returned(1), Exited(1), lost(0)],
    ],
)
def test_a_line_that_ends_after_its_node_was_let_go_is_no_loss(events: list[Event]) -> None:
    state, sent = after(PAIR, events)
    assert (sent, state.vanished, state.phase) == ([], [], Phase.LEAVING)


def test_a_loss_after_the_end_is_no_loss() -> None:
    state, sent = after(PAIR, [*RUN, aborted("enough"), Exited(0), Exited(1), lost(0), aborted("again")])
    assert (sent, state.vanished, state.phase, state.abort_reason) == ([], [], Phase.ENDED, "enough")


def test_nodes_are_let_go_although_the_ps_came_up_after_all_had_returned() -> None:
    _, sent = after(FULL, [*entered(1, 2, 3), Returned(1), Returned(2), Returned(3), *entered(0)])
    assert sent == [Leave(0), Leave(2), Leave(3)]


def test_a_node_that_ends_without_being_let_go_stops_the_others() -> None:
    _, sent = after(PAIR, [*RUN, Exited(1)])
    assert [type(message) for message in sent if message.node == 0] == [Abort]


# --- barriers, reports, what the driver asks -------------------------------------------------------------------------


def test_a_barrier_opens_for_chief_and_workers_when_the_last_has_come() -> None:
    state, sent = after(FULL, [Arrived(3, 0)])
    assert sent == []
    assert state.handle(Arrived(1, 0)) == [BarrierPassed(1, 0), BarrierPassed(3, 0)]


def test_barriers_are_told_apart_by_their_number() -> None:
    state, sent = after(PAIR, [Arrived(0, 0), Arrived(1, 1), Arrived(0, 0)])
    assert sent == []
    assert state.handle(Arrived(1, 0)) == [BarrierPassed(0, 0), BarrierPassed(1, 0)]
    assert state.handle(Arrived(0, 1)) == [BarrierPassed(0, 1), BarrierPassed(1, 1)]
    assert state.barriers == {}


@pytest.mark.parametrize("number", [0, 2])
def test_a_barrier_that_an_evaluator_or_ps_comes_to_is_refused_or_opens_all_the_same(number: int) -> None:
    state = ClusterState(FULL)
    try:
        state.handle(Arrived(number, 0))
    except ClusterError:
        return
    state.handle(Arrived(1, 0))
    assert BarrierPassed(1, 0) in state.handle(Arrived(3, 0))


@pytest.mark.parametrize(
    ("waits", "where"),
    [
        ([Arrived(0, 0)], r"at ctx\.barrier\(\)"),
        ([Joining(0)], r"in ctx\.strategy\(\)"),
        ([Attached(0, "input-1", 0, 8, "x")], r"for the same ctx\.dataset\(\)"),
    ],
)
@pytest.mark.parametrize("returned_first", [True, False])
def test_a_wait_for_a_node_that_has_returned_is_an_error(waits: list[Event], where: str, returned_first: bool) -> None:
    def open_feed(state: ClusterState) -> list[Message]:
        return state.feeds.open("input", "", 1)[1]

    events: list[Event] = [Returned(1), *waits] if returned_first else [*waits, Returned(1)]
    with pytest.raises(ClusterError, match=rf"worker:0 has returned from map_fun, and chief:0 waits for it {where}"):
        after(PAIR, [*RUN, open_feed, *events])
    stopped, _ = after(PAIR, [*RUN, open_feed, aborted("x"), *events])
    assert stopped.failures == [], "what comes of a stop is no cause of it"


def test_waits_that_are_over_and_rows_as_python_objects_bind_nobody() -> None:
    def open_feed(state: ClusterState) -> list[Message]:
        return state.feeds.open("input", "", 1)[1]

    together: list[Event] = [Arrived(0, 0), Arrived(1, 0), Joining(0), Joining(1)]
    rows: list[Event] = [Attached(0, "input-1", -1, 1, ""), Returned(1), Returned(0)]
    assert after(PAIR, [*RUN, open_feed, *together, *rows])[0].phase is Phase.LEAVING


def test_the_newest_report_replaces_the_one_before() -> None:
    state, _ = after(PAIR, [Report(1, {"loss": 2.0, "step": 1}), Report(1, {"loss": 1.0})])
    assert state.nodes[1].metrics == {"loss": 1.0}


@pytest.mark.parametrize(
    ("events", "missing", "working", "training"),
    [
        ([], ["ps:0", "chief:0", "evaluator:0", "worker:0"], ["chief:0", "evaluator:0", "worker:0"], [3]),
        (entered(0, 1), ["evaluator:0", "worker:0"], ["chief:0", "evaluator:0", "worker:0"], [3]),
        ([*RUN_FULL, Returned(1)], [], ["evaluator:0", "worker:0"], [3]),
        ([*RUN_FULL, failed(3)], [], ["chief:0", "evaluator:0"], []),
        (RETURN_FULL, [], [], []),
    ],
)
def test_the_driver_learns_who_is_missing_who_works_and_who_trains(
    events: list[Event], missing: list[str], working: list[str], training: list[int]
) -> None:
    state, _ = after(FULL, events)
    assert (state.missing(), state.working(), state.training()) == (missing, working, training)


@pytest.mark.parametrize("number", [-1, 4, 1000])
def test_a_node_of_another_cluster_is_refused(number: int) -> None:
    with pytest.raises(ClusterError, match=f"node {number} is not of this cluster of 4"):
        ClusterState(FULL).handle(Returned(number))


@pytest.mark.parametrize("message", [Leave(0), Abort(0, "no"), Alive(0), BarrierPassed(0, 0)])
def test_a_message_that_only_the_coordinator_sends_is_refused(message: Message) -> None:
    with pytest.raises(ClusterError, match=f"nodes do not send {type(message).__name__}"):
        ClusterState(PAIR).handle(message)


# --- workers that parameter servers can do without for a while -------------------------------------------------------


SERVERS = plan(4, num_ps=1, master_node="chief")  # 0: ps, 1: chief, 2 and 3: workers
KILLED = Restarting(3, host="h", message="was ended by SIGKILL", exit_code=137, signal="SIGKILL")


@pytest.mark.parametrize("events", [[lost(3), KILLED], [KILLED, lost(3)], [KILLED]])
def test_a_worker_that_dies_stops_nobody_and_its_successor_is_told_the_feed(events: list[Event]) -> None:
    state = ClusterState(SERVERS)
    for event in entered(0, 1, 2, 3):
        state.handle(event)
    state.feeds.open("input", "schema", 2)
    for event in events:
        assert (state.handle(event) if isinstance(event, Message) else event(state)) == []
    assert (state.phase, state.failures, state.vanished) == (Phase.RUNNING, [], [])
    assert (state.missing(), state.replaced) == (["worker:1"], [KILLED])
    assert [type(one) for one in state.handle(Entered(3, pid=7))] == [FeedOpened]
    assert state.missing() == []


def test_workers_are_dismissed_when_the_chief_has_trained_also_those_that_come_later() -> None:
    state, sent = after(SERVERS, [*entered(0, 1, 2, 3), KILLED, TrainingEnded(1)])
    assert sent == [Dismissed(2)]
    assert state.handle(Entered(3, pid=7)) == [Dismissed(3)]
    for number in (1, 2, 3):
        sent = state.handle(Returned(number))
    assert sent == [Leave(0), Leave(2), Leave(3)]


def test_a_process_that_is_started_while_its_cluster_is_stopped_is_stopped_too() -> None:
    _, sent = after(SERVERS, [*entered(0, 1, 2, 3), failed(0), KILLED])
    assert sent == [Abort(3, "node ps:0 failed")]


@pytest.mark.parametrize(("topology", "number"), [(SERVERS, 0), (SERVERS, 1), (PAIR, 1)])
def test_other_nodes_cannot_be_started_again_by_themselves(topology: Topology, number: int) -> None:
    with pytest.raises(ClusterError, match="cannot be started again by itself"):
        after(topology, [Restarting(number, "h", "was ended by SIGKILL")])


@pytest.mark.parametrize(
    ("waiting", "returned", "message"),
    [
        (1, 2, "worker:0 has returned from map_fun, and chief:0 waits for it in ctx.parameter_servers"),
        (2, 1, "chief:0 has returned from map_fun, and worker:0 waits for it in ctx.parameter_servers"),
    ],
)
def test_parameter_servers_whose_chief_or_worker_returned_are_an_error(
    waiting: int, returned: int, message: str
) -> None:
    with pytest.raises(ClusterError, match=message):
        after(SERVERS, [*entered(0, 1, 2, 3), Joining(waiting), Returned(returned)])


# --- feeds -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "event",
    [
        Attached(0, "input-1", 0, 8, "x"),
        Received(0, "input-1", 1, 1, 8),
        Consumed(0, "input-1", reader=0, passes=0, step=1, rows=1, waited_s=0.0),
    ],
)
def test_an_event_of_a_feed_that_was_not_opened_is_refused(event: Message) -> None:
    with pytest.raises(ClusterError, match="there is no feed 'input-1'"):
        ClusterState(PAIR).handle(event)


def test_feed_events_reach_their_feed() -> None:
    state = ClusterState(PAIR)
    feed, _ = state.feeds.open("input", "schema", 2)
    assert state.handle(Attached(0, "input-1", 0, 8, "x")) == []
    assert [type(m).__name__ for m in state.handle(Attached(1, "input-1", 0, 8, "x"))] == ["ReaderAgreed"] * 2
    assert state.handle(Received(0, "input-1", 16, 20, 160)) == []
    assert [type(m).__name__ for m in state.handle(Received(1, "input-1", 17, 30, 240))] == ["StepsReady"] * 2
    assert state.handle(Consumed(1, "input-1", reader=0, passes=1, step=0, rows=0, waited_s=0.5)) == []
    assert (feed.rows_received(), feed.passes(0), feed.passes(1)) == (50, 0, 1)
    assert state.handle(Detached(1, "input")) == []
    assert state.feeds.wants_rows("input", 0) and not state.feeds.wants_rows("input", 1)


def test_nodes_that_see_other_rows_are_refused() -> None:
    state = ClusterState(PAIR)
    state.feeds.open("input", "schema", 1)
    state.handle(Attached(0, "input-1", 0, 8, "x float32[4]"))
    with pytest.raises(SchemaError, match=r"does not look the same to all nodes: .*float32\[4\].*float32\[8\]"):
        state.handle(Attached(1, "input-1", 0, 8, "x float32[8]"))


# --- any order of events ---------------------------------------------------------------------------------------------

ORDER = list(Phase)

topologies = st.builds(
    lambda trainers, num_ps, leader, evaluator: plan(
        trainers + num_ps + evaluator, num_ps=num_ps, master_node=leader, eval_node=evaluator
    ),
    st.integers(1, 3), st.integers(0, 2), st.sampled_from([None, "chief"]), st.booleans(),
)  # fmt: skip


@dataclass
class World:
    """Nodes that do what nodes do, each in its own time, and the messages that reached them."""

    topology: Topology
    state: ClusterState = field(init=False)
    sent: list[Message] = field(default_factory=list)
    done: dict[int, list[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.state = ClusterState(self.topology)
        self.done = {node.number: [] for node in self.topology}

    def told(self, kind: type[Message]) -> list[int]:
        return [message.node for message in self.sent if isinstance(message, kind)]

    def next_of(self, number: int) -> str | None:
        """What a node does next by itself, or None while it waits or has ended."""
        done = self.done[number]
        if "exit" in done:
            return None
        if number in self.told(Abort):
            return "exit"
        if "enter" not in done:
            return "enter"
        if self.topology.nodes[number].role is not Role.PS and "return" not in done:
            return "return"
        return "exit" if number in self.told(Leave) else None

    def step(self, number: int, action: str) -> None:
        events = {"enter": Entered(number, pid=1), "return": Returned(number), "exit": Exited(number)}
        before = self.state.phase
        out = self.state.handle(events[action])
        self.done[number].append(action)
        self._take(before, out)

    def break_down(self, number: int, how: str) -> None:
        before = self.state.phase
        if how == "fail":
            out = self.state.handle(failed(number))
            self.done[number].append("exit")
        elif how == "lose":
            out = self.state.lose(number)
        else:
            out = self.state.abort("the driver")
        self._take(before, out)

    def _take(self, before: Phase, out: list[Message]) -> None:
        assert ORDER.index(self.state.phase) >= ORDER.index(before), "phases only move forward"
        if before in (Phase.ABORTING, Phase.ENDED):
            assert out == [], "a stopped cluster says nothing more"
        for message in out:
            assert "exit" not in self.done[message.node], "nothing is said to one who is gone"
            if isinstance(message, Leave):
                self._check_leave(message.node)
        self.sent.extend(out)
        for kind in (Leave, Abort):
            assert len(set(self.told(kind))) == len(self.told(kind)), "each is told once"

    def _check_leave(self, number: int) -> None:
        assert not self.state.failures and not self.state.vanished
        waited_for = [node.number for node in self.topology if node.role is not Role.PS]
        assert all("return" in self.done[other] for other in waited_for), "all have returned before one leaves"
        chief = self.topology.chief.number
        others = [node.number for node in self.topology if node.number != chief]
        if number == chief:
            assert all("exit" in self.done[other] for other in others), "the chief leaves last"

    def ready(self) -> list[int]:
        return [number for number in self.done if self.next_of(number)]

    def run(self, choose: Callable[[list[int]], int]) -> None:
        while ready := self.ready():
            number = choose(ready)
            self.step(number, self.next_of(number) or "")


@given(topologies, st.data())
def test_nodes_that_all_return_leave_in_good_order_whatever_their_pace(topology: Topology, data: st.DataObject) -> None:
    world = World(topology)
    world.run(lambda ready: data.draw(st.sampled_from(ready)))
    assert world.state.phase is Phase.ENDED
    assert sorted(world.told(Leave)) == [node.number for node in topology]
    assert world.told(Leave)[-1] == topology.chief.number
    assert world.told(Abort) == []


@given(topologies, st.data())
def test_a_fault_at_any_time_stops_all_and_lets_nobody_leave(topology: Topology, data: st.DataObject) -> None:
    world = World(topology)
    for _ in range(data.draw(st.integers(0, 3 * len(topology)))):
        if ready := world.ready():
            number = data.draw(st.sampled_from(ready))
            world.step(number, world.next_of(number) or "")
    alive = [number for number, done in world.done.items() if "exit" not in done]
    if not alive:
        return
    unsaid = [n for n in alive if n not in world.told(Leave) and not topology.may_restart(n)]
    how = data.draw(st.sampled_from(["fail", "abort", *(["lose"] if unsaid else [])]))
    world.break_down(data.draw(st.sampled_from(unsaid if how == "lose" else alive)), how)
    left = [number for number, done in world.done.items() if "exit" not in done]
    assert world.told(Abort) == left
    assert world.state.phase is (Phase.ABORTING if left else Phase.ENDED)
    for number in data.draw(st.permutations(left)):
        again = data.draw(st.sampled_from(["fail", "lose", "abort", "none"]))
        if again != "none":
            world.break_down(number, again)
        if "exit" not in world.done[number]:
            world.step(number, "exit")
    assert world.state.phase is Phase.ENDED


def test_addresses_stand_in_the_order_of_the_nodes_and_those_missing_are_named() -> None:
    state = ClusterState(FULL)
    for number in (3, 0, 2):
        state.handle(Reserved(number, "h", f"h:{number}", "e"))
    assert (state.unreserved(), state.addresses()) == (["chief:0"], ["h:0", "h:2", "h:3"])
    state.handle(Reserved(1, "h", "h:1", "e"))
    assert (state.unreserved(), state.addresses()) == ([], ["h:0", "h:1", "h:2", "h:3"])
