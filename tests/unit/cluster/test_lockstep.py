"""Who waits for whom for ever: tables of what nodes say, and no alarm in whatever order a program's messages come."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfspark_cnn.cluster.lockstep import SAME_CALLS, SAME_END, SAME_MODEL, Lockstep
from tfspark_cnn.cluster.messages import Arrived, Created, Position, Returned, Warned
from tfspark_cnn.cluster.state import ClusterState, Phase
from tfspark_cnn.cluster.topology import plan
from tfspark_cnn.errors import ClusterError

PAIR = plan(2, master_node="chief")  # 0: chief, 1: worker
TRIO = plan(3, master_node="chief")


def at(node, variables=0, reductions=0, reads=0, **more):
    return Position(node, variables, reductions, reads, **more)


def in_fit(node, reductions, reads=0, *, call=1, epoch=1, step=None, variables=8):
    step = reductions if step is None else step
    return at(node, variables, reductions, reads, call=call, inside="fit", epoch=epoch, step=step)


def left_fit(node, reductions, reads=0, **more):
    return dataclasses.replace(in_fit(node, reductions, reads), inside="", left="fit", **more)


def error_of(*events, topology=PAIR):
    state = ClusterState(topology)
    with pytest.raises(ClusterError) as caught:
        for event in events:
            state.handle(event)
    return str(caught.value)


@pytest.mark.parametrize(
    ("events", "words"),
    [
        (
            [left_fit(1, 3), in_fit(0, 4)],
            "worker:0 has left fit after epoch 1, step 3, and chief:0 waits for it in epoch 1, step 4",
        ),
        (
            [in_fit(0, 4), left_fit(1, 3, failed="OSError: full")],
            "worker:0 has left fit by OSError: full after epoch 1, step 3, and chief:0 waits",
        ),
        (
            [left_fit(1, 6), in_fit(0, 6, 1)],
            "worker:0 has left fit after epoch 1, step 6, and chief:0 waits for it in the metrics of epoch 1",
        ),
        (
            [left_fit(1, 5), left_fit(0, 9)],
            "worker:0 has left fit after epoch 1, step 5, and chief:0 has left it after epoch 1, step 9",
        ),
        (
            [at(1, 5, 7), Returned(1), at(0, 5, 8)],
            "worker:0 has returned from map_fun, and chief:0 waits for it in step 8",
        ),
        (
            [at(0, 5, 8), at(1, 5, 7), Arrived(1, 0)],
            "worker:0 waits at ctx.barrier(), and chief:0 waits for it in step 8",
        ),
        ([Returned(1), at(0, 0, 0, 1)], "waits for it in a metric or in strategy.reduce()"),
        (
            [at(1, 1), Returned(1), Created(0, 0, [["a/k", "float32[1]"], ["b/k", "float32[2]"]])],
            "worker:0 has returned from map_fun, and chief:0 waits for it to make variable 2, b/k float32[2]",
        ),
        (
            [in_fit(0, 4), at(1, 8, 3, 1)],
            "chief:0 waits for worker:0 in epoch 1, step 4, which waits for it in a metric",
        ),
        (
            [in_fit(0, 4), at(1, 9, 3)],
            "chief:0 waits for worker:0 in epoch 1, step 4, which waits for it to make variable 9",
        ),
        (
            [Created(0, 0, [["d/k", "float32[784, 10]"]]), Created(1, 0, [["d/k", "float32[784, 20]"]])],
            "worker:0 created variable 1 as d/k float32[784, 20], chief:0 as d/k float32[784, 10]",
        ),
    ],
)
def test_nodes_that_wait_for_ever_are_named_with_the_cure(events, words):
    said = error_of(*events)
    assert words in said
    assert any(hint in said for hint in (SAME_MODEL, SAME_END, SAME_CALLS))


@pytest.mark.parametrize(
    "events",
    [
        [left_fit(1, 4), in_fit(0, 4), left_fit(0, 4)],
        [left_fit(1, 4), in_fit(0, 3), in_fit(0, 4)],
        [left_fit(1, 4, failed="ValueError: x"), left_fit(0, 5, failed="ValueError: x")],
        [left_fit(1, 4), in_fit(0, 4), at(0, 8, 4, call=1), at(0, 8, 5, call=1), at(1, 8, 5, call=1)],
        [left_fit(1, 4), in_fit(1, 5, call=2), left_fit(0, 4), in_fit(0, 5, call=2)],
        [in_fit(0, 4), in_fit(1, 3), in_fit(1, 5)],
        [in_fit(0, 4), at(1, 9, 3, exact=False)],
        [at(0, 5, 8), at(1, 5, 8), Arrived(1, 0), Arrived(0, 0), at(0, 5, 9), at(1, 5, 9)],
        [at(0, 5, 8), at(1, 5, 8), Returned(1), Returned(0)],
        [at(1, 5, 8), Returned(1), at(1, 5, 7), at(0, 5, 8)],
    ],
)
def test_nodes_that_are_together_or_one_behind_the_other_go_on(events):
    state = ClusterState(PAIR)
    for event in events:
        state.handle(event)
    assert not state.failures


def test_after_an_abort_nothing_is_found_any_more():
    state = ClusterState(PAIR)
    state.abort("the driver cancelled the cluster")
    for event in (left_fit(1, 3), in_fit(0, 4), Created(0, 0, [["a", "x[]"]]), Created(1, 0, [["b", "x[]"]])):
        assert state.handle(event) == []
    assert state.phase is Phase.ABORTING


PROGRAM = st.lists(st.sampled_from(["variable", "step", "read", "enter", "leave"]), max_size=30)


@given(PROGRAM, st.lists(st.tuples(st.integers(0, 2), st.booleans()), max_size=120), st.randoms())
def test_one_program_on_three_nodes_raises_no_alarm_in_whatever_order_their_messages_come(program, moves, random):
    nodes = [_Node(number, program) for number in range(3)]
    sent: list[Position] = []
    for number, tells in moves:
        nodes[number].advance(nodes)
        if tells:
            sent.append(nodes[number].position)
        sent += nodes[number].take_left()
    resting = [node.position for node in nodes if node.done == len(program)]  # told before a node comes to rest
    sent += resting
    random.shuffle(sent)
    lockstep = Lockstep(TRIO)
    for event in sent:
        lockstep.move(event)
    lockstep.check_rest({position.node: "has returned" for position in resting})


@given(st.integers(1, 20), st.integers(0, 19), st.lists(st.booleans(), max_size=40))
def test_a_node_that_leaves_before_the_others_is_always_found(steps, leaves_after, order):
    leaves_after = min(leaves_after, steps - 1)
    lockstep = Lockstep(TRIO)
    events = {True: [left_fit(2, leaves_after)], False: [in_fit(0, leaves_after + 1), in_fit(1, leaves_after + 1)]}
    with pytest.raises(ClusterError, match=f"worker:1 has left fit after epoch 1, step {leaves_after}, and chief:0"):
        for which in [*order, True, False, False]:
            if events[which]:
                lockstep.move(events[which].pop(0))


class _Node:
    """One node of a program: it begins a collective when all have begun the one before."""

    def __init__(self, number, program):
        self.position, self.program, self.done, self._left = at(number), program, 0, []

    def collectives(self):
        return self.position.variables + self.position.reductions + self.position.reads

    def advance(self, nodes):
        if self.done == len(self.program):
            return
        what = self.program[self.done]
        if what in ("variable", "step", "read") and min(one.collectives() for one in nodes) < self.collectives():
            return
        self.done += 1
        self.position = self._after(what)

    def _after(self, what):
        now = self.position
        match what:
            case "enter":
                return dataclasses.replace(now, call=now.call + 1, inside="fit") if not now.inside else now
            case "leave":
                if now.inside:
                    self._left.append(dataclasses.replace(now, inside="", left="fit"))
                return dataclasses.replace(now, inside="")
        counted = {"variable": "variables", "step": "reductions", "read": "reads"}[what]
        return dataclasses.replace(now, **{counted: getattr(now, counted) + 1})

    def take_left(self):
        left, self._left = self._left, []
        return left


@pytest.mark.parametrize(
    ("events", "found"),
    [
        ([at(0, 0, 5, nan_at=4), at(1, 0, 5, nan_at=3)], (["worker:0"], 3)),
        ([at(1, 0, 5, nan_at=3), at(0, 0, 5, nan_at=4)], (["worker:0"], 3)),
        ([at(0, 0, 5, nan_at=3), at(1, 0, 5, nan_at=3)], (["chief:0", "worker:0"], 3)),
        ([at(0, 0, 5, nan_at=4), at(1, 0, 3)], None),
        ([at(0, 0, 5, nan_at=4)], None),
        ([at(0, 0, 5), at(1, 0, 5)], None),
    ],
)
def test_the_first_loss_that_is_nan_is_known_when_all_are_that_far(events, found):
    lockstep = Lockstep(PAIR)
    for event in events:
        lockstep.move(event)
    assert lockstep.first_nan() == found


def test_each_warning_is_said_once_with_the_first_node_that_said_it():
    state = ClusterState(PAIR)
    for event in (Warned(1, "too few rows"), Warned(0, "too few rows"), at(0, 0, 2, nan_at=2), at(1, 0, 2, nan_at=1)):
        state.handle(event)
    state.handle(at(1, 0, 3, nan_at=1))
    assert state.warnings[0] == "[worker:0] too few rows"
    assert len(state.warnings) == 2 and "on worker:0 first, in step 1" in state.warnings[1]
