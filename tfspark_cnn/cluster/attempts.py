"""One life of a cluster, from the job that reserves executors to the end of the last node; and what all lives share."""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from tfspark_cnn import env
from tfspark_cnn.cluster import restarts, server_port, slots
from tfspark_cnn.cluster.coordinator import Coordinator
from tfspark_cnn.cluster.driver_nodes import DriverNodes
from tfspark_cnn.cluster.feed_events import FeedEvents
from tfspark_cnn.cluster.feed_job import FeedJob
from tfspark_cnn.cluster.launcher import Launch
from tfspark_cnn.cluster.node_events import NodeEvents
from tfspark_cnn.cluster.node_plan import RunOptions
from tfspark_cnn.cluster.node_task import NodeTask
from tfspark_cnn.cluster.recorder import Recorder
from tfspark_cnn.cluster.resending import Resending
from tfspark_cnn.cluster.topology import Node, Role, Topology
from tfspark_cnn.errors import ClusterError, ReservationTimeout, SourceError

log = logging.getLogger(__name__)

LEAVE_S = 2.0
"""How long nodes that are told to end are waited for; they do within a second, and Spark's own way takes longer."""

STOP_S = 30.0
"""How long a cluster that is being cancelled may take before its job is given up; nodes end within a second."""


@dataclass(frozen=True)
class AttemptReport:
    """What became of one attempt.

    Attributes:
        number: from 1.
        seconds: how long it lasted, or has lasted.
        cause: what ended it, in a line; None where nothing went wrong.
        node: the node that is to blame, as `worker:1`, or None.
        resumed_step: the step, counted over all epochs, at which training went on; None: from the beginning.
        saved_step: the newest step that its checkpoints hold, or None.
        first_step_s: seconds from its beginning until a node had trained a step, or None.
        recovery_s: seconds from the failure before it until a node had trained a step, or None.
    """

    number: int
    seconds: float
    cause: str | None = None
    node: str | None = None
    resumed_step: int | None = None
    saved_step: int | None = None
    first_step_s: float | None = None
    recovery_s: float | None = None

    def __str__(self) -> str:
        begun = f"attempt {self.number}: "
        begun += "from the beginning" if self.resumed_step is None else f"from step {self.resumed_step}"
        if self.recovery_s is not None:
            begun += f", first step {self.recovery_s:.1f} s after the failure before it"
        return f"{begun}; {self.cause or 'well'} after {self.seconds:.1f} s"


@dataclass(frozen=True)
class Blueprint:
    """What all attempts of a run are made from.

    Attributes:
        spark: the session.
        topology: the nodes.
        options: common to all nodes; coordinator, secret and attempt are each attempt's own.
        payload: `(map_fun, args)`, pickled.
        gpu_counts: GPUs by role.
        profile: ResourceProfile of the nodes, or None.
        on_driver: nodes that are processes of the driver's host.
        reservation_timeout_s: within which all nodes must be up.
        listeners: are called with what nodes report.
        recorder: makes events of what nodes say.
    """

    spark: Any
    topology: Topology
    options: RunOptions
    payload: bytes = field(repr=False)
    gpu_counts: Mapping[Role, int | None]
    profile: Any
    on_driver: tuple[Node, ...]
    reservation_timeout_s: float
    listeners: list[Callable[[dict[str, Any]], None]] = field(default_factory=list)
    recorder: Recorder | None = None

    def attempt(self, number: int) -> Attempt:
        """Makes the coordinator of an attempt; nothing is started on executors yet."""
        secret = secrets.token_urlsafe(32)
        coordinator = _coordinator(self.spark, self.topology, secret)
        coordinator.feed_events = _feed_events(self.options.log_dir)
        if self.recorder is not None:
            coordinator.observe = self.recorder.take
        for listener in self.listeners:
            coordinator.add_listener(listener)
        options = replace(self.options, attempt=number, coordinator=coordinator.location, secret=secret)
        beside = DriverNodes(coordinator, options, self.on_driver, host=driver_address(self.spark)[0])
        task = NodeTask(self.topology, options, self.payload, dict(self.gpu_counts), beside.addresses)
        launch = Launch(self.spark, task, self.profile, coordinator.end_job, beside)
        return Attempt(self, options, coordinator, launch, Resending(coordinator))


@dataclass
class Attempt:
    """One life of the cluster; made by `Blueprint.attempt`.

    Attributes:
        jobs: feeds that are on their way, or have failed.
        ended: whether nothing of it runs any more.
    """

    blueprint: Blueprint
    options: RunOptions
    coordinator: Coordinator
    launch: Launch
    resending: Resending
    jobs: list[FeedJob] = field(default_factory=list)
    ended: bool = False
    _began_s: float = field(default_factory=time.monotonic)

    def start(self) -> None:
        """Starts the nodes, and returns when map_fun was entered on all.

        Raises:
            SlotsError: there are too few slots.
            ReservationTimeout: some nodes did not come up in time.
            ClusterError: a node failed.
        """
        timeout_s = self.blueprint.reservation_timeout_s
        if self.options.attempt > 1:  # executors may have been lost with the last attempt, and Spark replaces them
            self._await_slots(timeout_s)
        self.launch.start()
        started = self.coordinator.wait(lambda state: not state.missing(), timeout_s=timeout_s)
        self.raise_error()
        if not started:
            missing = ", ".join(self.coordinator.state.missing())
            raise ReservationTimeout(
                f"after {timeout_s:g} s these nodes were not up: {missing}",
                hint="other jobs may hold the slots: see the Spark UI; or raise reservation_timeout",
            )

    def _await_slots(self, timeout_s: float) -> None:
        context = self.blueprint.spark.sparkContext
        nodes = len(self.blueprint.topology) - len(self.blueprint.on_driver)
        profile = self.blueprint.profile
        slots.check(context, nodes=nodes, feeders=int(self.options.fed), profile=profile, patience_s=timeout_s)

    def raise_error(self) -> None:
        """Raises what went wrong with a node or with the job that holds them."""
        error = self.coordinator.error()
        if error is not None:
            raise error
        if self.coordinator.job_ended and self.coordinator.state.working():
            raise ClusterError("Spark ended the job of the nodes", hint="was it cancelled in the Spark UI?")

    def end(self, reason: str) -> None:
        """Ends all nodes and feeds at once. Harmless if they have ended."""
        if self.ended:
            return
        self.coordinator.abort(reason)
        if self.launch.started and not self.coordinator.wait_job(timeout_s=LEAVE_S):
            self.launch.cancel()
            self.coordinator.wait_job(timeout_s=STOP_S)
        self.close()

    def close(self) -> None:
        """Gives up what the driver holds of it, once the nodes have ended."""
        self.ended = True
        for job in self.jobs:
            job.cancel()
        self.jobs.clear()
        self.resending.close()
        self.launch.join(STOP_S)
        self.coordinator.close()

    def report(self, *, error: BaseException | None = None, before: Attempt | None = None) -> AttemptReport:
        """Gives what became of it, so far."""
        noted, now_s = self.coordinator, time.monotonic()
        failed_s = before.coordinator.failed_s if before else None
        recovered = noted.first_step_s is not None and failed_s is not None
        return AttemptReport(
            self.options.attempt,
            seconds=(noted.failed_s or now_s) - self._began_s,
            cause=None if error is None else restarts.cause(error),
            node=getattr(error, "node", None),
            resumed_step=noted.state.resumed_step,
            saved_step=noted.state.saved_step,
            first_step_s=None if noted.first_step_s is None else noted.first_step_s - self._began_s,
            recovery_s=(noted.first_step_s or 0.0) - (failed_s or 0.0) if recovered else None,
        )


def driver_address(spark: Any) -> tuple[str, str]:
    """Gives the driver's address as executors know it, and the one to listen on.

    TFOS_SERVER_HOST may be that of a host around this one, as of a container, so it is not listened on itself.
    """
    conf = spark.sparkContext.getConf()
    own, told = conf.get("spark.driver.host") or "127.0.0.1", env.server_host()
    return told or own, conf.get("spark.driver.bindAddress") or ("0.0.0.0" if told else own)


def _coordinator(spark: Any, plan: Topology, secret: str) -> Coordinator:
    public, bind = driver_address(spark)
    return server_port.listening(
        lambda port: Coordinator(plan, secret=secret, bind_host=bind, public_host=public, port=port), bind=bind
    )


def _feed_events(log_dir: str | None) -> FeedEvents | None:
    """Gives the writer of the figures of feed and steps, or None where they cannot be written."""
    events = NodeEvents(log_dir)
    try:
        folder = events.folder()
    except SourceError as error:  # figures are not worth a run
        log.warning("the figures of feed and steps cannot be written: %s", error.message)
        return None
    return FeedEvents(folder, closed=events.close) if folder else None
