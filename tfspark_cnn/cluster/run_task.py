"""An independent run inside its Spark task: ask whether it begins here, spawn, watch, bring the result home."""

from __future__ import annotations

import dataclasses
import json
import os
import socket
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa
from pyarrow import flight

from tfspark_cnn.cluster import messages, node_task, supervisor, tf_config
from tfspark_cnn.cluster.messages import Asking, Failed, RunEnded
from tfspark_cnn.cluster.node_plan import NodePlan, RunOptions
from tfspark_cnn.cluster.supervisor import Outcome
from tfspark_cnn.cluster.topology import Topology
from tfspark_cnn.errors import ClusterError
from tfspark_cnn.feed import transport

BEGIN, EVENT = "begin", "event"
PART_SCHEMA = pa.schema([("part", pa.binary())])

_REACH = "set spark.driver.host to an address that executors reach, and open its ports to them"


@dataclass(frozen=True)
class RunTask:
    """The function of the job's tasks: each asks for the run of its partition's number.

    Never fails by what a run does, so that Spark has no reason to try a map_fun again that has failed by itself.
    Results do not travel as values of tasks: of one that Spark tries again, or twice, they would be lost or doubled.

    Attributes:
        count: how many runs there are.
        options: common to all.
        gpus: how many GPUs a run may use; None: all that Spark assigned.
    """

    count: int
    options: RunOptions
    gpus: int | None

    def __call__(self) -> tuple[()]:
        """Runs what the coordinator hands out for this partition, and gives no values."""
        from pyspark import TaskContext

        context: Any = TaskContext.get()
        client = transport.connect(self.options.coordinator, self.options.secret)
        asking = Asking(context.partitionId(), context.taskAttemptId(), socket.gethostname())
        resources = context.resources()
        assigned = tuple(resources["gpu"].addresses) if "gpu" in resources else ()
        while answer := _ask(client, asking):
            self._tell(client, asking, _run(self._plan(asking, answer, assigned)))
        client.close()
        return ()

    def _plan(self, asking: Asking, answer: bytes, assigned: tuple[str, ...]) -> NodePlan:
        header, _, payload = answer.partition(b"\n")
        alone = Topology.of_runs([asking.node])
        return NodePlan(
            node=alone.chief,
            topology=alone,
            spec={},
            host=asking.host,
            gpus=tf_config.visible_devices(assigned, self.gpus),
            payload=payload,
            options=replace(own_folders(self.options, asking.node), attempt=json.loads(header)["attempt"]),
            port_fd=None,
            working_dir=os.getcwd(),
            runs=self.count,
        )

    def _tell(self, client: Any, asking: Asking, outcome: Outcome) -> None:
        event = node_task.ended(asking.node, asking.host, outcome)
        if not isinstance(event, Failed) and outcome.record is not None:
            _bring_home(client, asking, outcome.record["result"])
            return
        failure = dataclasses.asdict(event) if isinstance(event, Failed) else None
        told = RunEnded(asking.node, asking.task, failure)
        transport.call(client, EVENT, messages.encode(told))


def own_folders(options: RunOptions, number: int) -> RunOptions:
    """Gives each run folders of its own for what it writes.

    Example:
        >>> own_folders(RunOptions("id", "grpc://driver:1", "secret", model_dir="s3://bucket/trials/"), 3).model_dir
        's3://bucket/trials/run-3'
    """
    model_dir, log_dir = (
        folder and f"{folder.rstrip('/')}/run-{number}" for folder in (options.model_dir, options.log_dir)
    )
    return replace(options, model_dir=model_dir, log_dir=log_dir)


def naming(asking: Asking, nbytes: int) -> bytes:
    """Gives what names the stream of a result of so many bytes."""
    return json.dumps([asking.node, asking.task, nbytes]).encode()


def named(command: bytes) -> tuple[int, int, int]:
    """Reads what `naming` has written: run, task and bytes.

    Raises:
        ClusterError: it is nothing of the kind.
    """
    try:
        number, task, nbytes = json.loads(command)
    except (ValueError, TypeError, RecursionError) as error:
        raise ClusterError("a stream does not name its run, task and bytes") from error
    if not all(type(one) is int for one in (number, task, nbytes)):
        raise ClusterError("a stream names its run, task and bytes by other things than numbers")
    return number, task, nbytes


def _ask(client: Any, asking: Asking) -> bytes:
    """Gives what to begin, or nothing. Waits where another try of this task has the run, for that one to end."""
    try:
        return transport.call(client, BEGIN, messages.encode(asking), timeout_s=None)
    except ClusterError as error:
        raise ClusterError(f"an executor cannot reach the driver: {error.message}", hint=_REACH) from error


def _run(plan: NodePlan) -> Outcome:
    command = node_task.command(plan, may_fork=True)
    with supervisor.running(command, role=plan.node.role, index=plan.node.index) as process:
        return process.wait()


def _bring_home(client: Any, asking: Asking, result: bytes) -> None:
    writer, _ = client.do_put(flight.FlightDescriptor.for_command(naming(asking, len(result))), PART_SCHEMA)
    with writer:
        for start in range(0, len(result), node_task.RESULT_PART_BYTES):
            part = result[start : start + node_task.RESULT_PART_BYTES]
            writer.write_batch(pa.record_batch([[part]], schema=PART_SCHEMA))
