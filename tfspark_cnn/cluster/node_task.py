"""A node's life inside its Spark task: reserve, spawn, watch, tell.

Runs in a barrier stage, so all nodes of a cluster start together or not at all.
"""

from __future__ import annotations

import json
import os
import pickle
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from tfspark_cnn import env
from tfspark_cnn.cluster import messages, policy, ports, supervisor, tf_config
from tfspark_cnn.cluster.messages import Exited, Failed, Message, Reserved, Restarting
from tfspark_cnn.cluster.node_plan import NodePlan, RunOptions
from tfspark_cnn.cluster.supervisor import EXIT_ABORTED, Command, Outcome
from tfspark_cnn.cluster.topology import Node, Role, Topology
from tfspark_cnn.errors import ClusterError, NodeError
from tfspark_cnn.feed import transport

RESTARTS = 3
"""So often a worker of parameter servers is started again. One that dies more often has a reason of its own."""

RESULT_PART_BYTES = 16 << 20
"""Results travel to the driver in parts of at most so many bytes."""


@dataclass(frozen=True)
class ResultPart:
    """A part of what map_fun returned on a node, pickled; those of a node come in order."""

    node: int
    body: bytes


@dataclass(frozen=True)
class NodeTask:
    """The function of the barrier stage: each task becomes the node of its partition's number.

    Attributes:
        topology: all nodes.
        options: common to all nodes.
        payload: `(map_fun, args)`, pickled.
        gpu_counts: how many GPUs a node of each role may use; None: all that Spark assigned.
        elsewhere: addresses of the nodes that are not of this job, by number.
    """

    topology: Topology
    options: RunOptions
    payload: bytes = field(repr=False)
    gpu_counts: dict[Role, int | None]
    elsewhere: Mapping[int, str] = field(default_factory=dict)

    @property
    def nodes(self) -> tuple[Node, ...]:
        """The nodes of this job, by partition."""
        return tuple(node for node in self.topology if node.number not in self.elsewhere)

    def __call__(self) -> Iterator[ResultPart]:
        """Runs the node and gives the result of its map_fun."""
        from pyspark import BarrierTaskContext

        context = BarrierTaskContext.get()
        node = self.nodes[context.partitionId()]
        client = transport.connect(self.options.coordinator, self.options.secret)
        held = ports.reserve(env.tensorflow_ports())
        try:
            plan = self._plan(node, context, held, client)
            outcome = self._live(plan, held, client)
        finally:
            held.release()
        self._tell(client, node, plan.host, outcome)
        client.close()
        return _parts(node.number, outcome.record)

    def _plan(self, node: Node, context: Any, held: ports.HeldPort, client: Any) -> NodePlan:
        executor = context.getTaskInfos()[context.partitionId()].address
        host = executor.rpartition(":")[0].strip("[]")
        address = transport.endpoint(host, held.number).removeprefix("grpc://")
        _send(client, Reserved(node.number, host=host, address=address, executor=executor))
        # Not by the context's allGather: Spark looks for its end once a second (BarrierTaskContext.runBarrier).
        addresses = json.loads(transport.call(client, "addresses", b"", timeout_s=None))
        resources = context.resources()
        assigned = tuple(resources["gpu"].addresses) if "gpu" in resources else ()
        return NodePlan(
            node=node,
            topology=self.topology,
            spec=tf_config.cluster_spec(self.topology, addresses),
            host=host,
            gpus=tf_config.visible_devices(assigned, self.gpu_counts[node.role]),
            payload=self.payload,
            options=self.options,
            port_fd=held.fd,
            working_dir=os.getcwd(),
        )

    def _live(self, plan: NodePlan, held: ports.HeldPort, client: Any) -> Outcome:
        """Runs the process of the node; where the cluster can do without it for a while, again when it has died."""
        may_restart = self.topology.may_restart(plan.node.number)
        for _ in range(RESTARTS if may_restart else 0):
            outcome = self._run(plan)
            if not died(outcome):
                return outcome
            _send(client, as_restart(plan.node.number, plan.host, outcome))
        return self._run(plan, None if may_restart else held)

    def _run(self, plan: NodePlan, held: ports.HeldPort | None = None) -> Outcome:
        with supervisor.running(command(plan, may_fork=True), role=plan.node.role, index=plan.node.index) as process:
            if held is not None:
                held.release()  # the process holds it now
            return process.wait()

    def _tell(self, client: Any, node: Node, host: str, outcome: Outcome) -> None:
        event = ended(node.number, host, outcome)
        _send(client, event, may_fail=True)
        if isinstance(event, Failed):
            raise NodeError(event.message, hint=event.hint, node=node.name)


def command(plan: NodePlan, *, may_fork: bool = False) -> Command:
    """Gives how to start the process of a node; `may_fork`: in a Python worker of Spark, which has a fork server."""
    variables: dict[str, str | None] = {
        **plan.options.extra_env,
        **tf_config.node_environment(plan.spec, plan.node, plan.gpus),
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        "PYTHONUNBUFFERED": "1",
    }
    argv = [sys.executable, "-m", "tfspark_cnn.cluster.node_process"]
    return Command(
        argv,
        stdin=pickle.dumps(plan),
        environment=variables,
        inherit=() if plan.port_fd is None else (plan.port_fd,),
        may_fork=may_fork,
        likeness=None if plan.gpus else plan.options.likeness,
    )


def ended(number: int, host: str, outcome: Outcome) -> Exited | Failed:
    """Gives the event for a process that has ended."""
    if outcome.exit_code == 0 and _is_result(outcome.record) or outcome.exit_code == EXIT_ABORTED:
        return Exited(number)
    return as_failure(number, host, outcome)


def died(outcome: Outcome) -> bool:
    """Tells whether a process has ended from outside of map_fun, and not since it was told to."""
    return outcome.record is None and outcome.exit_code != EXIT_ABORTED


def as_restart(number: int, host: str, outcome: Outcome) -> Restarting:
    """Gives the event for a process that is started again."""
    failure = as_failure(number, host, outcome)
    return Restarting(
        number,
        host=host,
        message=failure.message,
        exit_code=failure.exit_code,
        signal=failure.signal,
        stderr_tail=failure.stderr_tail,
    )


def as_failure(number: int, host: str, outcome: Outcome) -> Failed:
    """Gives the event for a process that ended before its map_fun returned."""
    record = outcome.record if isinstance(outcome.record, dict) and "error" in outcome.record else None
    tail = [line[-2000:] for line in outcome.stderr_tail]
    if record is not None:
        return Failed(
            number,
            host=host,
            message=messages.cut_end(record["message"]),
            error=record["error"],
            hint=record["hint"],
            exit_code=outcome.exit_code,
            traceback=messages.cut(record["traceback"]),
            stderr_tail=tail,
        )
    message, hint = policy.explain_exit(
        outcome.exit_code, outcome.signal, oom_kills=outcome.oom_kills, peak_mib=outcome.peak_mib
    )
    return Failed(
        number, host=host, message=message, hint=hint, exit_code=outcome.exit_code, signal=outcome.signal,
        stderr_tail=tail,
    )  # fmt: skip


def _is_result(record: Any) -> bool:
    return isinstance(record, dict) and "result" in record


def _send(client: Any, event: Message, *, may_fail: bool = False) -> None:
    try:
        transport.call(client, "event", messages.encode(event))
    except ClusterError as error:
        if may_fail:  # the coordinator went first; the driver knows
            return
        raise ClusterError(
            f"an executor cannot reach the coordinator on the driver: {error.message}",
            hint="set spark.driver.host to an address that executors reach, and open its ports to them",
        ) from error


def _parts(number: int, record: Any) -> Iterator[ResultPart]:
    body: bytes = record["result"] if _is_result(record) else b""
    for start in range(0, len(body), RESULT_PART_BYTES):
        yield ResultPart(number, body[start : start + RESULT_PART_BYTES])
