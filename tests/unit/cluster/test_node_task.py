from __future__ import annotations

import pytest

from tfspark_cnn.cluster.messages import Exited, Failed
from tfspark_cnn.cluster.node_plan import RunOptions
from tfspark_cnn.cluster.node_task import NodeTask, as_restart, died, ended
from tfspark_cnn.cluster.supervisor import EXIT_ABORTED, Outcome
from tfspark_cnn.cluster.topology import plan


def outcome(exit_code: int, *, signal: str | None = None, record: object = None) -> Outcome:
    return Outcome(exit_code, signal, record, ["last words"], oom_kills=0, peak_mib=7)


RESULT, ERROR = {"result": b""}, {"error": "ValueError", "message": "m", "hint": None, "traceback": "t"}


@pytest.mark.parametrize(
    ("how", "dead", "event"),
    [
        (outcome(137, signal="SIGKILL"), True, Failed),
        (outcome(1), True, Failed),
        (outcome(0), True, Failed),
        (outcome(0, record=RESULT), False, Exited),
        (outcome(EXIT_ABORTED), False, Exited),
        (outcome(1, record=ERROR), False, Failed),
        (outcome(134, signal="SIGABRT", record=RESULT), False, Failed),
    ],
)
def test_a_process_has_died_if_it_ended_before_map_fun_and_was_not_told_to(
    how: Outcome, dead: bool, event: type
) -> None:
    assert died(how) is dead
    assert type(ended(3, "h", how)) is event


def test_what_is_said_of_a_process_that_is_started_again_is_why_it_ended() -> None:
    said = as_restart(3, "h", outcome(137, signal="SIGKILL"))
    assert (said.node, said.exit_code, said.signal, said.stderr_tail) == (3, 137, "SIGKILL", ["last words"])
    assert said.message.startswith("was ended by SIGKILL")


def test_nodes_of_the_driver_are_none_of_the_job() -> None:
    options = RunOptions("run", "grpc://driver:1", "secret")
    topology = plan(4, num_ps=1, master_node="chief")
    assert NodeTask(topology, options, b"", {}).nodes == topology.nodes
    beside = NodeTask(topology, options, b"", {}, {0: "driver:2"})
    assert [one.name for one in beside.nodes] == ["chief:0", "worker:0", "worker:1"]
