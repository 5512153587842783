from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfspark_cnn.cluster.topology import DATA_ROLES, Node, Role, Topology, gpu_counts, plan
from tfspark_cnn.errors import ConfigError, TopologyError

leaders = st.sampled_from([None, "chief"])


def names(topology: Topology) -> list[str]:
    return [node.name for node in topology]


@pytest.mark.parametrize(
    ("num_executors", "options", "expected"),
    [
        (1, {}, ["worker:0"]),
        (1, {"master_node": "chief"}, ["chief:0"]),
        (3, {}, ["worker:0", "worker:1", "worker:2"]),
        (3, {"master_node": "chief"}, ["chief:0", "worker:0", "worker:1"]),
        (2, {"num_ps": 1}, ["ps:0", "worker:0"]),
        (3, {"num_ps": 2, "master_node": "chief"}, ["ps:0", "ps:1", "chief:0"]),
        (2, {"eval_node": True}, ["evaluator:0", "worker:0"]),
        (
            6,
            {"num_ps": 2, "master_node": "chief", "eval_node": True},
            ["ps:0", "ps:1", "chief:0", "evaluator:0", "worker:0", "worker:1"],
        ),
    ],
)
def test_roles_come_as_ps_chief_evaluator_workers(num_executors: int, options: dict, expected: list[str]) -> None:
    assert names(plan(num_executors, **options)) == expected


@pytest.mark.parametrize(
    ("num_executors", "options", "message", "hint"),
    [
        (0, {}, "num_executors is 0, expected a whole number of at least 1", "num_executors=1"),
        (-2, {}, "num_executors is -2", "num_executors=1"),
        (True, {}, "num_executors is True", "num_executors=1"),
        (2.0, {}, r"num_executors is 2\.0", "num_executors=1"),
        ("2", {}, "num_executors is '2'", "num_executors=1"),
        (2, {"num_ps": -1}, "num_ps is -1, expected a whole number of at least 0", "num_ps=0"),
        (2, {"num_ps": True}, "num_ps is True", "num_ps=0"),
        (1, {"num_ps": 1}, r"num_executors=1 does not add up: 1 ps \+ 0 chief \+ 0 evaluator", "num_executors=2"),
        (2, {"num_ps": 5}, r"num_executors=2 does not add up: 5 ps", "num_executors=6"),
        (1, {"eval_node": True}, r"0 ps \+ 0 chief \+ 1 evaluator leaves no chief or worker", "num_executors=2"),
        (2, {"num_ps": 2, "master_node": "chief"}, r"2 ps \+ 1 chief \+ 0 evaluator", "num_executors=3"),
    ],
)
def test_numbers_that_do_not_add_up_are_refused(num_executors: object, options: dict, message: str, hint: str) -> None:
    with pytest.raises(TopologyError, match=message) as caught:
        plan(num_executors, **options)  # type: ignore[arg-type]
    assert hint in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("role", "words"),
    [("cheif", "unknown role: expected 'chief' or None; did you mean 'chief'"), ("worker", "'worker'"), ("", "''")],
)
def test_an_unknown_master_node_is_refused_with_what_was_meant(role: str, words: str) -> None:
    with pytest.raises(TopologyError, match=words) as caught:
        plan(3, master_node=role)
    assert "master_node='chief'" in (caught.value.hint or "")


@given(st.integers(1, 12), st.integers(0, 12), leaders, st.booleans())
def test_every_plan_has_all_numbers_once_and_somebody_who_trains(
    num_executors: int, num_ps: int, leader: str | None, eval_node: bool
) -> None:
    needed = num_ps + eval_node + 1
    if num_executors < needed:
        with pytest.raises(TopologyError, match=rf"num_executors={num_executors} does not add up") as caught:
            plan(num_executors, num_ps=num_ps, master_node=leader, eval_node=eval_node)
        assert f"num_executors={needed} or more" in (caught.value.hint or "")
        return
    topology = plan(num_executors, num_ps=num_ps, master_node=leader, eval_node=eval_node)
    assert [node.number for node in topology] == list(range(num_executors)) and len(topology) == num_executors
    counts = Counter(node.role for node in topology)
    assert (counts[Role.PS], counts[Role.CHIEF], counts[Role.EVALUATOR]) == (num_ps, leader is not None, eval_node)
    for role, count in counts.items():
        assert [node.index for node in topology if node.role is role] == list(range(count))
    assert len(set(names(topology))) == num_executors
    assert topology.chief == topology.trainers[0]
    assert topology.chief.role is (Role.CHIEF if leader else Role.WORKER)


@given(st.integers(1, 8), st.integers(0, 3), leaders, st.booleans())
def test_shares_number_the_data_nodes_and_nobody_else(
    trainers: int, num_ps: int, leader: str | None, eval_node: bool
) -> None:
    topology = plan(trainers + num_ps + eval_node, num_ps=num_ps, master_node=leader, eval_node=eval_node)
    coordinates = bool(num_ps and leader and trainers > 1)
    fed = DATA_ROLES[1:] if coordinates else DATA_ROLES
    assert topology.asynchronous is coordinates
    shares = [topology.share_of(node.number) for node in topology if node.role in fed]
    assert shares == list(range(trainers - coordinates))
    assert all(topology.share_of(node.number) is None for node in topology if node.role not in fed)
    assert topology.share_of(len(topology)) is None


@pytest.mark.parametrize(
    ("num_executors", "options", "missing", "cure"),
    [
        (2, {"master_node": "chief"}, "there is no ps", "num_ps=1"),
        (2, {"num_ps": 1}, "there is no chief", "master_node='chief'"),
        (2, {"num_ps": 1, "master_node": "chief"}, "there is no worker", "a larger num_executors"),
        (1, {}, "there is no ps and no chief", "num_ps=1 and master_node='chief'"),
    ],
)
def test_parameter_servers_need_all_three_roles(num_executors: int, options: dict, missing: str, cure: str) -> None:
    topology = plan(num_executors, **options)
    with pytest.raises(TopologyError, match=missing) as caught:
        topology.check_asynchronous(topology.chief)
    assert cure in (caught.value.hint or "")


def test_an_evaluator_has_no_part_in_parameter_server_training() -> None:
    topology = plan(4, num_ps=1, master_node="chief", eval_node=True)
    topology.check_asynchronous(topology.chief)
    with pytest.raises(TopologyError, match="evaluator:0 called"):
        topology.check_asynchronous(topology.nodes[2])
    assert [topology.may_restart(node.number) for node in topology] == [False, False, False, True]


def test_a_node_is_named_as_in_logs() -> None:
    assert Node(4, Role.WORKER, 1).name == "worker:1"


@pytest.mark.parametrize(
    ("asked", "chief", "worker", "ps", "evaluator"),
    [
        (None, None, None, 0, 0),
        (0, 0, 0, 0, 0),
        (2, 2, 2, 0, 0),
        ({}, 0, 0, 0, 0),
        ({"worker": 2, "evaluator": 1}, 0, 2, 0, 1),
        ({Role.CHIEF: 1, "ps": 3}, 1, 0, 3, 0),
    ],
)
def test_gpus_go_to_those_who_train_unless_named(
    asked: object, chief: int | None, worker: int | None, ps: int, evaluator: int
) -> None:
    counts = gpu_counts(asked)  # type: ignore[arg-type]
    assert counts == {Role.CHIEF: chief, Role.WORKER: worker, Role.PS: ps, Role.EVALUATOR: evaluator}


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (-1, "gpus_per_node is -1, expected a whole number of at least 0"),
        (1.5, r"gpus_per_node is 1\.5"),
        (True, "gpus_per_node is True"),
        ({"boss": 1}, "gpus_per_node names the unknown role 'boss'"),
        ({"worker": -1}, r"gpus_per_node\['worker'\] is -1"),
        ({"worker": True}, r"gpus_per_node\['worker'\] is True"),
    ],
)
def test_impossible_gpu_counts_are_refused(asked: object, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        gpu_counts(asked)  # type: ignore[arg-type]
    assert caught.value.hint
