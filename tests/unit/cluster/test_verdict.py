"""What bound a run: tables of measured times."""

from __future__ import annotations

import pytest

from tfspark_cnn.cluster.verdict import Bound, NodeTimes, verdict


def node(
    name: str = "chief:0", *, steps: int = 100, waited: float = 0.0, others: float | None = 0.0, **more
) -> NodeTimes:
    """A node of which each second goes in parts into waiting for rows, for others, and computing."""
    own = {} if others is None else {"own_steps": steps, "own_s": steps * 0.1 * (1 - others)}
    return NodeTimes(name, steps, steps * 0.1, waited_s=steps * 0.1 * waited, **own, **more)


TABLE = [
    # waited and others of two nodes, bound, input, communication
    ((0.7, 0.0), (0.7, 0.0), Bound.INPUT, 0.7, 0.0),
    ((0.7, 0.1), (0.0, 0.7), Bound.INPUT, 0.7, 0.1),  # one starves, and the other waits for its gradients
    ((0.0, 0.05), (0.0, 0.1), Bound.COMPUTE, 0.0, 0.05),
    ((0.1, 0.1), (0.1, 0.1), Bound.COMPUTE, 0.1, 0.1),
    ((0.0, 0.6), (0.0, 0.5), Bound.COMMUNICATION, 0.0, 0.5),
    ((0.3, 0.4), (0.3, 0.4), Bound.COMMUNICATION, 0.3, 0.4),
    ((0.4, 0.3), (0.4, 0.3), Bound.INPUT, 0.4, 0.3),
    ((0.0, 0.0), (0.0, 0.8), Bound.COMPUTE, 0.0, 0.0),  # a straggler: nobody waits for the network
]


@pytest.mark.parametrize(("one", "other", "bound", "waiting", "exchange"), TABLE)
def test_the_largest_part_that_could_be_saved_decides(one, other, bound, waiting, exchange) -> None:
    nodes = [node("chief:0", waited=one[0], others=one[1]), node("worker:0", waited=other[0], others=other[1])]
    found = verdict(nodes)
    assert found.bound is bound
    assert found.input == pytest.approx(waiting) and found.communication == pytest.approx(exchange)
    assert found.input + found.communication + found.compute == pytest.approx(1)


def test_a_first_step_that_waits_for_rows_counts_and_leaves_less_for_the_rest() -> None:
    found = verdict(
        [node("chief:0", others=0.3, first_waited_s=20.0), node("worker:0", others=0.3, first_waited_s=20.0)]
    )
    assert found.bound is Bound.INPUT
    assert found.input == pytest.approx(2 / 3) and found.communication == pytest.approx(0.1)


def test_a_straggler_is_named() -> None:
    found = verdict([node("chief:0", others=0.0), node("worker:0", others=0.8), node("worker:1", others=0.7)])
    assert found.notes == ("the others wait for chief:0 for up to 80% of the time",)


def test_one_node_alone_never_waits_for_gradients() -> None:
    found = verdict([node(waited=0.1, others=None)])
    assert (found.bound, found.communication) == (Bound.COMPUTE, None)
    assert str(found).startswith("compute-bound: waiting for rows 10%, computing 90% of the steps' time\n  to do: more")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"source": True}, "compute rows faster: persist()"),
        ({"source": False}, "send rows faster: more partitions"),
        ({"source": True, "cache": "none"}, 'cache="memory"; compute rows faster'),
    ],
)
def test_who_waits_for_rows_is_told_how_they_come_faster(options, words) -> None:
    found = verdict([node(waited=0.75, others=None)], **options)
    assert words in found.setting
    assert "waiting for rows 75%, computing 25%" in str(found) and "4.0 times as fast" in str(found)


def test_the_settings_of_communication_and_computing() -> None:
    assert "raise batch_size" in verdict([node(others=0.5), node("worker:0", others=0.5)]).setting
    assert "num_executors" in verdict([node(others=None)]).setting
    idle = verdict([node(others=None, gpu_percent=30.0)])
    assert idle.setting == "raise batch_size: GPUs were busy 30% of the time only"
    assert "num_executors" in verdict([node(others=None, gpu_percent=95.0)]).setting


@pytest.mark.parametrize(
    ("nodes", "options", "words"),
    [
        ([], {}, "callbacks=ctx.callbacks()"),
        ([node(steps=0)], {}, "callbacks=ctx.callbacks()"),
        ([node(steps=9)], {}, "fewer than 10 steps"),
        ([node()], {"asynchronous": True}, "parameter servers"),
    ],
)
def test_what_cannot_be_told_is_not_guessed(nodes, options, words) -> None:
    found = verdict(nodes, **options)
    assert found.bound is Bound.UNKNOWN and found.input is None and found.compute is None
    assert words in str(found) and str(found).startswith("what bound it cannot be told")


def test_what_was_not_measured_counts_as_computing_and_is_said() -> None:
    unmeasured = verdict([node(others=None, waited=0.5), node("worker:0", others=None)])
    assert (unmeasured.bound, unmeasured.communication, unmeasured.compute) == (Bound.INPUT, None, 0.5)
    assert "was not measured" in str(unmeasured)
    reads = NodeTimes("chief:0", 100, 10.0, waited_s=None)
    unfed = verdict([reads])
    assert (unfed.bound, unfed.input) == (Bound.COMPUTE, None)
    assert "nodes read their rows themselves" in str(unfed)


def test_a_run_that_did_nothing_but_wait_has_words_too() -> None:
    assert "many times as fast" in str(verdict([node(waited=1.0, others=None)]))


def test_a_verdict_is_plain_values_for_json() -> None:
    told = verdict([node(waited=0.5, others=None)]).as_dict()
    assert told["bound"] == "input-bound" and told["input"] == 0.5 and told["text"].startswith("input-bound")
