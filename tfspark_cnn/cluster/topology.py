"""Which node has which role: a function of the numbers the caller gave.

The order of roles over node numbers is ps, then the chief, then the evaluator, then workers, as in TensorFlowOnSpark.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from tfspark_cnn.errors import TopologyError


class Role(StrEnum):
    """What a node does in the TensorFlow cluster."""

    CHIEF = "chief"
    WORKER = "worker"
    PS = "ps"
    EVALUATOR = "evaluator"
    RUN = "run"  # alone: of no cluster


CLUSTER_ROLES = (Role.CHIEF, Role.WORKER, Role.PS, Role.EVALUATOR)
"""The roles that a cluster has."""

DATA_ROLES = (Role.CHIEF, Role.WORKER, Role.RUN)
"""The roles that train."""


@dataclass(frozen=True)
class Node:
    """One node: its number in the cluster, its role, and its index among the nodes of that role."""

    number: int
    role: Role
    index: int

    @property
    def name(self) -> str:
        """As it stands in logs and errors: `worker:1`."""
        return f"{self.role}:{self.index}"


@dataclass(frozen=True)
class Topology:
    """All nodes of a cluster, by number."""

    nodes: tuple[Node, ...]

    def __len__(self) -> int:
        return len(self.nodes)

    def __iter__(self) -> Iterator[Node]:
        return iter(self.nodes)

    @property
    def trainers(self) -> tuple[Node, ...]:
        """Chief and workers."""
        return tuple(node for node in self.nodes if node.role in DATA_ROLES)

    @property
    def asynchronous(self) -> bool:
        """Whether the chief hands steps to workers that keep the variables on parameter servers.

        That is so with all three roles; the chief takes no rows then.
        """
        return {Role.PS, Role.CHIEF, Role.WORKER} <= {node.role for node in self.nodes}

    @property
    def data_nodes(self) -> tuple[Node, ...]:
        """The nodes that get rows, in the order of their shares: chief and workers, or the workers of a chief."""
        return tuple(node for node in self.trainers if not self.asynchronous or node.role is Role.WORKER)

    @property
    def chief(self) -> Node:
        """The node that writes: the chief, or the first worker where there is none."""
        return self.trainers[0]

    def check_asynchronous(self, node: Node) -> None:
        """Refuses `ctx.parameter_servers()` where there is none, or on a node that has no part in it.

        Raises:
            TopologyError: a role is missing, or the node is an evaluator.
        """
        cures = {Role.PS: "num_ps=1", Role.CHIEF: "master_node='chief'", Role.WORKER: "a larger num_executors"}
        missing = [role for role in cures if role not in {one.role for one in self.nodes}]
        if missing:
            raise TopologyError(
                f"ctx.parameter_servers() expected ps, chief and workers, and there is no {' and no '.join(missing)}",
                hint=f"run with {' and '.join(cures[role] for role in missing)}",
                node=node.name,
            )
        if node.role not in DATA_ROLES:
            raise TopologyError(
                f"{node.name} called ctx.parameter_servers(), which chief and workers do",
                hint="look at ctx.job_name first",
            )

    def may_restart(self, number: int) -> bool:
        """Tells whether the cluster goes on without a node until its process runs again."""
        return self.asynchronous and self.nodes[number].role is Role.WORKER

    @classmethod
    def of_runs(cls, numbers: Iterable[int]) -> Topology:
        """Gives the topology of independent runs, or that of one of them alone.

        Example:
            >>> [node.name for node in Topology.of_runs([0, 1])]
            ['run:0', 'run:1']
        """
        return cls(tuple(Node(number, Role.RUN, number) for number in numbers))

    def share_of(self, number: int) -> int | None:
        """Gives the place of a node among the data nodes, or None for one that gets no rows."""
        numbers = [node.number for node in self.data_nodes]
        return numbers.index(number) if number in numbers else None


def plan(num_executors: int, *, num_ps: int = 0, master_node: str | None = None, eval_node: bool = False) -> Topology:
    """Gives each of `num_executors` nodes a role.

    Args:
        num_executors: all nodes, of every role.
        num_ps: how many of them are parameter servers.
        master_node: `"chief"`, or None for a cluster whose first worker leads.
        eval_node: whether one of them is the evaluator.

    Raises:
        TopologyError: numbers that are negative or do not add up, or an unknown role.

    Example:
        >>> [node.name for node in plan(4, num_ps=1, master_node="chief", eval_node=True)]
        ['ps:0', 'chief:0', 'evaluator:0', 'worker:0']
    """
    _check_count("num_executors", num_executors, least=1)
    _check_count("num_ps", num_ps, least=0)
    leader = _leader(master_node)
    roles = [Role.PS] * num_ps + ([leader] if leader else []) + ([Role.EVALUATOR] if eval_node else [])
    roles += [Role.WORKER] * (num_executors - len(roles))
    _check_sum(num_executors, roles, num_ps=num_ps, leader=leader, eval_node=eval_node)
    return Topology(tuple(_numbered(roles)))


def _numbered(roles: list[Role]) -> Iterator[Node]:
    seen = dict.fromkeys(Role, 0)
    for number, role in enumerate(roles):
        yield Node(number, role, seen[role])
        seen[role] += 1


def _check_count(name: str, value: object, *, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise TopologyError(
            f"{name} is {value!r}, expected a whole number of at least {least}", hint=f"pass {name}={least} or more"
        )


def _leader(master_node: str | None) -> Role | None:
    if master_node is None:
        return None
    if master_node != Role.CHIEF:
        close = difflib.get_close_matches(str(master_node), [Role.CHIEF.value], n=1)
        meant = f"; did you mean {close[0]!r}?" if close else ""
        raise TopologyError(
            f"master_node is {master_node!r}, an unknown role: expected 'chief' or None{meant}",
            hint="pass master_node='chief', or leave it out to let worker 0 lead",
        )
    return Role.CHIEF


def _check_sum(num_executors: int, roles: list[Role], *, num_ps: int, leader: Role | None, eval_node: bool) -> None:
    trainers = sum(role in DATA_ROLES for role in roles)
    if len(roles) == num_executors and trainers:
        return
    named = f"{num_ps} ps + {int(leader is not None)} chief + {int(eval_node)} evaluator"
    needed = num_ps + int(eval_node) + 1
    raise TopologyError(
        f"num_executors={num_executors} does not add up: {named} leaves no chief or worker to train",
        hint=f"pass num_executors={needed} or more (it counts all nodes), or fewer ps",
    )


def gpu_counts(gpus_per_node: int | Mapping[str, int] | None) -> dict[Role, int | None]:
    """Gives how many GPUs a node of each role may use; None means all that Spark assigned to it.

    A number counts for chief and workers; ps and evaluator get none unless a mapping by role names them.

    Raises:
        TopologyError: a negative number or an unknown role.

    Example:
        >>> gpu_counts({"worker": 2, "evaluator": 1})[Role.EVALUATOR]
        1
    """
    if gpus_per_node is None:
        return {role: None if role in DATA_ROLES else 0 for role in CLUSTER_ROLES}
    if not isinstance(gpus_per_node, Mapping):
        _check_count("gpus_per_node", gpus_per_node, least=0)
        return {role: gpus_per_node if role in DATA_ROLES else 0 for role in CLUSTER_ROLES}
    for role, count in gpus_per_node.items():
        if role not in CLUSTER_ROLES:
            known = ", ".join(CLUSTER_ROLES)
            raise TopologyError(f"gpus_per_node names the unknown role {role!r}", hint=f"use one of {known}")
        _check_count(f"gpus_per_node[{role!r}]", count, least=0)
    return {role: gpus_per_node.get(role, 0) for role in CLUSTER_ROLES}
