from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfspark_cnn.cluster.tf_config import cluster_spec, node_environment, tf_config, visible_devices
from tfspark_cnn.cluster.topology import DATA_ROLES, Role, Topology, plan

FULL = plan(6, num_ps=2, master_node="chief", eval_node=True)
ADDRESSES = [f"host{number}:{2000 + number}" for number in range(6)]

topologies = st.builds(
    lambda trainers, num_ps, leader, evaluator: plan(
        trainers + num_ps + evaluator, num_ps=num_ps, master_node=leader, eval_node=evaluator
    ),
    st.integers(1, 5), st.integers(0, 3), st.sampled_from([None, "chief"]), st.booleans(),
)  # fmt: skip


def test_addresses_are_sorted_by_role_in_the_order_of_indexes() -> None:
    assert cluster_spec(FULL, ADDRESSES) == {
        "ps": ["host0:2000", "host1:2001"],
        "chief": ["host2:2002"],
        "evaluator": ["host3:2003"],
        "worker": ["host4:2004", "host5:2005"],
    }


def test_tf_config_of_a_worker_is_written_as_tensorflow_reads_it() -> None:
    found = json.loads(tf_config(cluster_spec(plan(2, master_node="chief"), ["a:1", "b:2"]), FULL.nodes[4]))
    assert found == {"cluster": {"chief": ["a:1"], "worker": ["b:2"]}, "task": {"type": "worker", "index": 0}}


def test_the_evaluator_is_a_task_but_not_a_member_of_the_cluster() -> None:
    found = json.loads(tf_config(cluster_spec(FULL, ADDRESSES), FULL.nodes[3]))
    assert found["task"] == {"type": "evaluator", "index": 0}
    assert set(found["cluster"]) == {"ps", "chief", "worker"}


@given(topologies)
def test_each_node_finds_its_own_address_in_tf_config(topology: Topology) -> None:
    addresses = [f"h:{number}" for number in range(len(topology))]
    spec = cluster_spec(topology, addresses)
    assert sorted(address for found in spec.values() for address in found) == sorted(addresses)
    clusters = set()
    for node in topology:
        assert spec[node.role][node.index] == addresses[node.number]
        found = json.loads(tf_config(spec, node))
        clusters.add(json.dumps(found["cluster"]))
        task = found["task"]
        if node.role is not Role.EVALUATOR:
            assert found["cluster"][task["type"]][task["index"]] == addresses[node.number]
    assert len(clusters) == 1, "all nodes must be told the same cluster"
    assert sum(len(json.loads(clusters.copy().pop()).get(role, [])) for role in DATA_ROLES) == len(topology.trainers)


def test_tf_config_is_plain_text_without_our_types() -> None:
    assert "Role" not in tf_config(cluster_spec(FULL, ADDRESSES), FULL.nodes[0])


@pytest.mark.parametrize(
    ("assigned", "limit", "visible"),
    [
        (["0", "1"], None, ("0", "1")),
        (["0", "1"], 1, ("0",)),
        (["3"], 4, ("3",)),
        (["0"], 0, ()),
        ([], None, ()),
        ([], 2, ()),
    ],
)
def test_a_node_sees_the_first_of_the_gpus_that_spark_assigned(
    assigned: list[str], limit: int | None, visible: tuple[str, ...]
) -> None:
    assert visible_devices(assigned, limit) == visible


@pytest.mark.parametrize(("gpus", "variable"), [((), "-1"), (("0",), "0"), (("2", "5"), "2,5")])
def test_cuda_is_told_the_gpus_or_that_there_are_none(gpus: tuple[str, ...], variable: str) -> None:
    found = node_environment({"worker": ["a:1"]}, plan(1).nodes[0], gpus)
    assert found["CUDA_VISIBLE_DEVICES"] == variable


def test_tensorflow_may_bind_the_port_that_is_held_for_it() -> None:
    spec = {"worker": ["a:1"]}
    found = node_environment(spec, plan(1).nodes[0], ())
    assert found["TF_GRPC_REUSE_PORT"] == "true"
    assert found["TF_CONFIG"] == tf_config(spec, plan(1).nodes[0])
