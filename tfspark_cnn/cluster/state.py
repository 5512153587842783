"""The life of a cluster as a function of events: what happened comes in, messages for nodes go out.

No sockets, threads or clocks. The coordinator holds one `ClusterState` behind its lock and sends what it returns.

    starting ── all entered ──> running ── all returned ──> leaving ── all exited ──> ended
        └───────────┴── a failure, or abort ──> aborting ──────────────────────────────┘
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, ClassVar

from tfspark_cnn.cluster.feeds import Feeds
from tfspark_cnn.cluster.lockstep import Lockstep
from tfspark_cnn.cluster.messages import (
    Abort,
    Arrived,
    Attached,
    BarrierPassed,
    CheckpointWritten,
    Consumed,
    Created,
    Detached,
    Dismissed,
    Entered,
    Evaluated,
    Exited,
    Failed,
    Joining,
    Leave,
    Message,
    Position,
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
    Vitals,
    Warned,
)
from tfspark_cnn.cluster.step_report import Paces
from tfspark_cnn.cluster.topology import Role, Topology
from tfspark_cnn.errors import ClusterError


class Phase(StrEnum):
    """Where in its life a cluster is."""

    STARTING = "starting"
    RUNNING = "running"
    LEAVING = "leaving"
    ABORTING = "aborting"
    ENDED = "ended"


@dataclass
class NodeState:
    """What is known of one node."""

    reserved: Reserved | None = None
    entered: Entered | None = None
    returned: bool = False
    let_go: bool = False
    exited: bool = False
    refused: int = 0
    metrics: dict[str, Any] = field(default_factory=dict)


@dataclass
class ClusterState:
    """The state machine. `handle` takes a node's message; the other methods take what the driver does."""

    topology: Topology
    phase: Phase = Phase.STARTING
    nodes: dict[int, NodeState] = field(default_factory=dict)
    failures: list[Failed] = field(default_factory=list)
    vanished: list[int] = field(default_factory=list)
    abort_reason: str | None = None
    barriers: dict[int, set[int]] = field(default_factory=dict)
    joining: set[int] = field(default_factory=set)
    resumed_step: int | None = None
    saved: Saved | None = None
    evaluations: list[Evaluated] = field(default_factory=list)
    replaced: list[Restarting] = field(default_factory=list)
    trained: bool = False
    feeds: Feeds = field(init=False)
    lockstep: Lockstep = field(init=False)
    paces: Paces = field(init=False)
    warnings: list[str] = field(default_factory=list)
    _said: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.nodes = {node.number: NodeState() for node in self.topology}
        self.feeds = Feeds(self.topology)
        self.lockstep = Lockstep(self.topology)
        self.paces = Paces({node.number: node.name for node in self.topology.data_nodes})

    # --- what nodes say ----------------------------------------------------------------------------------------------

    def handle(self, event: Message) -> list[Message]:
        """Applies a node's message and gives the messages that follow from it.

        Raises:
            ClusterError: a message of a node that the topology does not have, or of a kind that nodes do not send.
            SchemaError: nodes read a feed in ways that do not fit together.
        """
        if event.node not in self.nodes:
            raise ClusterError(f"node {event.node} is not of this cluster of {len(self.nodes)}")
        handler = self._handlers.get(type(event))
        if handler is None:
            raise ClusterError(f"nodes do not send {type(event).__name__}")
        return handler(self, event)

    def _reserved(self, event: Reserved) -> list[Message]:
        self.nodes[event.node].reserved = event
        return []

    def _entered(self, event: Entered) -> list[Message]:
        self.nodes[event.node].entered = event
        if self.phase is Phase.STARTING and not self.missing():
            self.phase = Phase.RUNNING
        successor = any(one.node == event.node for one in self.replaced)
        news = self.feeds.repeat(event.node) if successor else []
        news += [Dismissed(event.node)] if self.trained and self.topology.may_restart(event.node) else []
        # The others may have returned before the last came up.
        return [*news, *self._tell_evaluators(), *self._let_go()]

    def _report(self, event: Report) -> list[Message]:
        self.nodes[event.node].metrics = event.metrics
        return []

    def _vitals(self, event: Vitals) -> list[Message]:
        return []  # for who watches

    def _returned(self, event: Returned) -> list[Message]:
        self.nodes[event.node].returned, self.nodes[event.node].refused = True, event.refused
        self._check_nobody_waits_for_returned()
        return [*self._tell_evaluators(), *self._let_go()]

    def _joining(self, event: Joining) -> list[Message]:
        self.joining.add(event.node)
        self._check_nobody_waits_for_returned()
        return []

    def _check_nobody_waits_for_returned(self) -> None:
        """Finds nodes that wait for what a node whose map_fun has returned will never do.

        Raises:
            ClusterError: there are such nodes.
        """
        if self.phase in (Phase.ABORTING, Phase.ENDED):
            return
        returned = [number for number, node in self.nodes.items() if node.returned]
        trainers = {node.number for node in self.topology.trainers}
        data_nodes = {node.number for node in self.topology.data_nodes}
        asks = "ctx.parameter_servers()" if self.topology.asynchronous else "ctx.strategy()"
        waits = [("at ctx.barrier()", here, trainers) for here in self.barriers.values()]
        waits += [(f"in {asks}", self.joining, trainers)] if self.joining else []
        waits += [("for the same ctx.dataset()", here, data_nodes) for here in self.feeds.half_attached()]
        for where, here, needed in waits:
            for number in (number for number in returned if number in needed - here):
                names = ", ".join(self.topology.nodes[one].name for one in sorted(here))
                raise ClusterError(
                    f"{self.topology.nodes[number].name} has returned from map_fun, and {names} waits for it {where}",
                    hint="let map_fun do the same on chief and workers, as often",
                )
        self.lockstep.check_rest(
            {number: "waits at ctx.barrier()" for here in self.barriers.values() for number in here}
            | {number: "has returned from map_fun" for number in returned if number in trainers}
        )

    def _created(self, event: Created) -> list[Message]:
        if self.phase not in (Phase.ABORTING, Phase.ENDED):
            self.lockstep.create(event)
            self._check_nobody_waits_for_returned()
        return []

    def _position(self, event: Position) -> list[Message]:
        if self.phase in (Phase.ABORTING, Phase.ENDED):
            return []
        self.lockstep.move(event)
        self._check_nobody_waits_for_returned()
        self._warn(self.paces.take(event))
        found = self.lockstep.first_nan()
        if found is not None:
            self._warn(
                f"the loss became NaN or infinite on {', '.join(found[0])} first, in step {found[1]} of all epochs; to "
                "do: look at that node's rows (Column(finite=True) refuses such), lower the learning rate, or pass "
                "keras.callbacks.TerminateOnNaN() to ctx.callbacks()"
            )
        return []

    def _warned(self, event: Warned) -> list[Message]:
        self._warn(event.text, said_by=f"[{self.topology.nodes[event.node].name}] ")
        return []

    def _warn(self, text: str, *, said_by: str = "") -> None:
        if text and text not in self._said:
            self._said.add(text)
            self.warnings.append(said_by + text)

    def _exited(self, event: Exited) -> list[Message]:
        lost = self.lose(event.node)  # an end without leave is a loss
        self._gone(event.node)
        return lost or self._let_go()

    def _restarting(self, event: Restarting) -> list[Message]:
        if not self.topology.may_restart(event.node):
            raise ClusterError(f"{self.topology.nodes[event.node].name} cannot be started again by itself")
        self.replaced.append(event)
        self.nodes[event.node] = NodeState(reserved=self.nodes[event.node].reserved)
        # A process that is started while its cluster is given up has to be told, too.
        return [Abort(event.node, self.abort_reason or "")] if self.phase is Phase.ABORTING else []

    def _training_ended(self, event: TrainingEnded) -> list[Message]:
        self.trained = True
        workers = [node.number for node in self.topology if self.topology.may_restart(node.number)]
        return [Dismissed(number) for number in workers if self.nodes[number].entered and not self._done(number)]

    def _failed(self, event: Failed) -> list[Message]:
        self.failures.append(event)
        self.nodes[event.node].exited = True
        others = self.abort(f"node {self.topology.nodes[event.node].name} failed")
        self._gone(event.node)
        return others

    def _gone(self, number: int) -> None:
        self.nodes[number].exited = True
        if all(node.exited for node in self.nodes.values()):
            self.phase = Phase.ENDED

    def _arrived(self, event: Arrived) -> list[Message]:
        trainers = {node.number for node in self.topology.trainers}
        if event.node not in trainers:
            raise ClusterError(
                f"{self.topology.nodes[event.node].name} came to a barrier, which is for chief and workers",
                hint="call ctx.barrier() only where ctx.job_name is 'chief' or 'worker'",
            )
        here = self.barriers.setdefault(event.sequence, set())
        here.add(event.node)
        if here != trainers:
            self._check_nobody_waits_for_returned()
            return []
        del self.barriers[event.sequence]
        return [BarrierPassed(number, event.sequence) for number in sorted(trainers)]

    def _of_feed(self, event: Attached | Received | Consumed) -> list[Message]:
        feed = self.feeds.by_id.get(event.feed)
        if feed is not None:
            news = feed.handle(event)
            if isinstance(event, Attached):
                self._check_nobody_waits_for_returned()
            return news
        if not self.feeds.is_retired(event.feed):
            raise ClusterError(f"there is no feed {event.feed!r}")
        return []

    def _resumed(self, event: Resumed) -> list[Message]:
        self.resumed_step = event.step
        return []

    def _saved(self, event: Saved) -> list[Message]:
        self.saved = event
        return [CheckpointWritten(number, event.step, event.name) for number in self._evaluators()]

    def _evaluated(self, event: Evaluated) -> list[Message]:
        self.evaluations.append(event)
        if not event.stop:
            return []
        reason = f"{self.topology.nodes[event.node].name} found no better checkpoint after step {event.step}"
        return [StopTraining(number, reason) for number in self._trainers()]

    def _trainers(self) -> list[int]:
        return [node.number for node in self.topology.trainers if not self._done(node.number)]

    def _evaluators(self) -> list[int]:
        return [node.number for node in self.topology if node.role is Role.EVALUATOR and not self._done(node.number)]

    def _tell_evaluators(self) -> list[Message]:
        """Lets evaluators go when nobody trains any more."""
        return [] if self._trainers() else [TrainingOver(number) for number in self._evaluators()]

    @property
    def saved_step(self) -> int | None:
        """The newest step that a checkpoint holds, or None."""
        return self.saved.step if self.saved else self.resumed_step

    def _detached(self, event: Detached) -> list[Message]:
        self.feeds.detach(event.queue, event.node)
        return []

    _handlers: ClassVar[dict[type[Message], Callable[[ClusterState, Any], list[Message]]]] = {
        Reserved: _reserved,
        Entered: _entered,
        Report: _report,
        Vitals: _vitals,
        Returned: _returned,
        Exited: _exited,
        Failed: _failed,
        Arrived: _arrived,
        Joining: _joining,
        Created: _created,
        Position: _position,
        Warned: _warned,
        Restarting: _restarting,
        TrainingEnded: _training_ended,
        Attached: _of_feed,
        Received: _of_feed,
        Consumed: _of_feed,
        Detached: _detached,
        Resumed: _resumed,
        Saved: _saved,
        Evaluated: _evaluated,
    }

    # --- what the driver does ----------------------------------------------------------------------------------------

    def lose(self, number: int) -> list[Message]:
        """Takes note that a node's line broke before it was let go."""
        node = self.nodes[number]
        if node.exited or node.let_go or self.phase in (Phase.ABORTING, Phase.ENDED):
            return []
        if self.topology.may_restart(number):  # its Spark task says what follows; if that is lost too, Spark does
            return []
        self.vanished.append(number)
        return self.abort(f"node {self.topology.nodes[number].name} is gone")

    def abort(self, reason: str) -> list[Message]:
        """Stops all nodes at once."""
        if self.phase in (Phase.ABORTING, Phase.ENDED):
            return []
        self.phase = Phase.ABORTING
        self.abort_reason = reason
        return [Abort(number, reason) for number, node in self.nodes.items() if not node.exited]

    def missing(self) -> list[str]:
        """Gives the names of the nodes whose map_fun was not entered yet."""
        return [self.topology.nodes[number].name for number, node in self.nodes.items() if node.entered is None]

    def working(self) -> list[str]:
        """Gives the names of the nodes whose map_fun has not returned; a ps serves, and is not waited for."""
        return [node.name for node in self.topology if node.role is not Role.PS and not self._done(node.number)]

    def training(self) -> list[int]:
        """Gives the numbers of the data nodes whose map_fun has not returned."""
        return [node.number for node in self.topology.data_nodes if not self._done(node.number)]

    def _done(self, number: int) -> bool:
        return self.nodes[number].returned or self.nodes[number].exited

    def _let_go(self) -> list[Message]:
        """Lets nodes leave: none before all have returned, and the chief after all others have gone.

        TensorFlow's coordination service runs in the chief; whoever is still connected when it goes sees an error.
        """
        if self.phase not in (Phase.RUNNING, Phase.LEAVING) or self.working():
            return []
        self.phase = Phase.LEAVING
        chief = self.topology.chief.number
        others = [number for number in self.nodes if number != chief]
        go = others if not all(self.nodes[number].exited for number in others) else [chief]
        fresh = [number for number in go if not self.nodes[number].let_go]
        for number in fresh:
            self.nodes[number].let_go = True
        return [Leave(number) for number in fresh]
