"""The driver's service that knows all nodes and the state of the feed.

A thin shell around `ClusterState`: Flight calls bring events in, one stream per node carries messages out, and the
driver's threads wait for conditions on the state. Nothing here polls: every wait ends by an event or by its time limit.
"""

from __future__ import annotations

import contextlib
import json
import logging
import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import pyarrow as pa
from pyarrow import flight

from tfspark_cnn.cluster import liveness, messages, policy
from tfspark_cnn.cluster.feed_events import FeedEvents
from tfspark_cnn.cluster.messages import (
    Alive,
    Consumed,
    Entered,
    Failed,
    Message,
    Position,
    Received,
    Report,
    Restarting,
    Vitals,
)
from tfspark_cnn.cluster.state import ClusterState
from tfspark_cnn.cluster.topology import Topology
from tfspark_cnn.errors import ClusterError, TFSparkError
from tfspark_cnn.feed.transport import Service, endpoint

log = logging.getLogger(__name__)

ALIVE_S = 1.0
"""How often a node hears something. A write is also how a stream notices that its node is gone."""

INTERRUPT_S = 1.0
"""The longest that the driver's thread waits in one go. CPython does not wake it for a signal that comes just before
it begins to wait for a lock: Ctrl-C, or the interrupt of a notebook's cell, would be lost until the next event."""

OUTBOX_MESSAGES = 10_000
"""A node that leaves so many messages unread is not reading any more."""

COMMAND_SCHEMA = pa.schema([("message", pa.binary())])
EVENT = "event"
ADDRESSES = "addresses"

END = None
"""Put into an outbox, it ends the stream of its node."""


def messages_in(outbox: queue.Queue[Message | None], number: int) -> Iterator[Message]:
    """Gives the messages for a node as they come, and `Alive` when there are none.

    Args:
        outbox: from which they are taken, up to an `END`.
        number: of the node.
    """
    yield Alive(number)  # tells the node that from here on its end will be noticed
    while True:
        try:
            message = outbox.get(timeout=ALIVE_S)
        except queue.Empty:
            message = Alive(number)
        if message is END:
            return
        yield message


class Coordinator:
    """Serves the nodes of one cluster from the driver.

    Args:
        topology: the nodes.
        secret: what every call must carry.
        bind_host: the address to listen on.
        public_host: the address by which executors reach the driver (`spark.driver.host`).
        port: to listen on; 0: any free one.
    """

    def __init__(
        self, topology: Topology, *, secret: str, bind_host: str, public_host: str, port: int = 0
    ) -> None:  # fmt: skip
        self.state = ClusterState(topology)
        self.feed_events: FeedEvents | None = None
        self.observe: Callable[[Message], None] = lambda message: None
        self.job_ended = False
        self.job_failure: str | None = None
        self.succeeded: Callable[[int], None] = lambda number: None
        self.last_event_s = time.monotonic()
        self.first_step_s: float | None = None
        self.failed_s: float | None = None
        self._heard_s: dict[tuple[type, int, str], float] = {}
        self._changed = threading.Condition()
        self._outboxes: dict[int, queue.Queue[Message | None]] = {
            node.number: queue.Queue(OUTBOX_MESSAGES) for node in topology
        }
        self._listeners: list[Callable[[dict[str, Any]], None]] = []
        self._service = _Service(self, bind_host, secret, port)
        self.location = endpoint(public_host, self._service.port)

    # --- events in ---------------------------------------------------------------------------------------------------

    def handle(self, event: Message) -> None:
        """Applies a node's message."""
        with self._changed:
            if not isinstance(event, Vitals):  # that a process is alive does not mean that anything moves
                self.last_event_s = time.monotonic()
            if isinstance(event, Consumed | Received):
                self._heard_s[type(event), event.node, event.feed] = self.last_event_s
            if isinstance(event, Restarting):
                self._renew(event)
            try:
                self._send(self.state.handle(event))
            except TFSparkError as error:
                self._send(self.state.handle(_as_failure(event.node, error)))
            self._note_times(event)
            said, self.state.warnings = self.state.warnings, []
            self._changed.notify_all()
        for text in said:
            log.warning("%s", text)
        self.observe(event)
        if isinstance(event, Entered) and any(one.node == event.node for one in self.state.replaced):
            self.succeeded(event.node)
        if isinstance(event, Report):
            self._tell_listeners(event)
        if isinstance(event, Consumed) and event.passes and not event.step:
            self._tell_events(event)
        if isinstance(event, Position):
            self._tell_steps(event)

    def _note_times(self, event: Message) -> None:
        if self.first_step_s is None and isinstance(event, Report) and event.metrics.get("step"):
            self.first_step_s = self.last_event_s
        if self.failed_s is None and self._troubled():
            self.failed_s = self.last_event_s

    def act(self, action: Callable[[ClusterState], Iterable[Message]]) -> None:
        """Applies what the driver does to the state, and sends what follows."""
        with self._changed:
            self._send(action(self.state))
            self._changed.notify_all()

    def abort(self, reason: str) -> None:
        """Tells all nodes to end at once."""
        self.act(lambda state: state.abort(reason))

    def end_job(self, failure: str | None) -> None:
        """Takes note that Spark's job that holds the nodes has ended."""
        with self._changed:
            self.job_ended, self.job_failure = True, failure
            if failure and self.failed_s is None:
                self.failed_s = time.monotonic()
            self._send(self.state.abort(f"Spark ended the job of the nodes: {failure}") if failure else [])
            self._changed.notify_all()

    # --- the driver waits --------------------------------------------------------------------------------------------

    def wait(self, condition: Callable[[ClusterState], bool], *, timeout_s: float | None) -> bool:
        """Waits until the condition holds, and gives whether it did. Raises nothing by itself.

        It also ends when the cluster is being aborted or the job has ended: look at `error()` afterwards.
        """
        return self._wait_for(
            lambda: condition(self.state) or self.state.abort_reason is not None or self.job_ended, timeout_s
        )

    def wait_job(self, *, timeout_s: float | None) -> bool:
        """Waits until Spark's job of the nodes has ended."""
        return self._wait_for(lambda: self.job_ended, timeout_s)

    def wait_addresses(self) -> list[str]:
        """Waits until all nodes hold their ports, and gives where, as `host:port` in the order of the nodes.

        The driver's `reservation_timeout` limits it: what is not up by then is given up.

        Raises:
            ClusterError: the cluster was given up meanwhile.
        """
        self.wait(lambda state: not state.unreserved(), timeout_s=None)
        if missing := self.state.unreserved():
            reason = self.state.abort_reason or "Spark ended the job of the nodes"
            raise ClusterError(f"{', '.join(missing)} had not come up when the cluster was given up: {reason}")
        return self.state.addresses()

    def _wait_for(self, condition: Callable[[], bool], timeout_s: float | None) -> bool:
        deadline_s = None if timeout_s is None else time.monotonic() + timeout_s
        with self._changed:
            while not condition():
                left_s = INTERRUPT_S if deadline_s is None else min(INTERRUPT_S, deadline_s - time.monotonic())
                if left_s <= 0:
                    return False
                self._changed.wait(left_s)
            return True

    def who_waits(self, feed: str) -> str:
        """Says how far Spark and each node are with a feed."""
        with self._changed:
            now_s = time.monotonic()
            return liveness.who_waits(self.state, feed, {key: now_s - at_s for key, at_s in self._heard_s.items()})

    def forget(self, feed: str) -> None:
        """Drops what is known of a feed that nobody reads any more."""
        with self._changed:
            self.state.feeds.retire(feed)
            self._heard_s = {key: at_s for key, at_s in self._heard_s.items() if key[2] != feed}

    def wake(self) -> None:
        """Lets waiting threads look at their conditions again."""
        with self._changed:
            self._changed.notify_all()

    def error(self) -> TFSparkError | None:
        """Gives what went wrong, or None. Where only consequences are known, waits a moment for the cause."""
        with self._changed:
            if not self._troubled():
                return None
            self._changed.wait_for(self._settled, policy.SETTLE_S)
            return self._error()

    def _settled(self) -> bool:
        return policy.is_settled(self.state.failures) or policy.is_executor_lost(self.job_failure)

    def _troubled(self) -> bool:
        return bool(self.state.failures or self.state.vanished or self.job_failure)

    def _error(self) -> TFSparkError:
        state = self.state
        if policy.is_settled(state.failures):
            return policy.to_error(policy.root_cause(state.failures), state.topology)
        if state.vanished:
            reserved = state.nodes[state.vanished[0]].reserved
            lost = policy.Vanished(state.vanished[0])
            return policy.lost_error(lost, state.topology, reserved.host if reserved else "unknown")
        if state.failures and not policy.is_executor_lost(self.job_failure):
            return policy.to_error(policy.root_cause(state.failures), state.topology)
        return policy.job_error(self.job_failure or "")

    # --- messages out ------------------------------------------------------------------------------------------------

    def commands(self, number: int) -> Iterator[Message]:
        """Gives the messages for a node as they come, `Alive` when there are none, until it is let go."""
        outbox = self._outboxes[number]
        try:
            yield from messages_in(outbox, number)
        finally:
            if self._outboxes[number] is outbox:  # else another process of the node has its place
                self._lose(number)

    def _lose(self, number: int) -> None:
        with self._changed:
            self._send(self.state.lose(number))
            if self.failed_s is None and self._troubled():
                self.failed_s = time.monotonic()
            self._changed.notify_all()

    def _renew(self, event: Restarting) -> None:
        """Keeps what is said from here on for the process to come: the dead one's stream may still be open."""
        log.warning("%s %s; it is started again", self.state.topology.nodes[event.node].name, event.message)
        old, self._outboxes[event.node] = self._outboxes[event.node], queue.Queue(OUTBOX_MESSAGES)
        _put(old, END)

    def close(self) -> None:
        """Ends all streams and stops serving."""
        for outbox in self._outboxes.values():
            _put(outbox, END)
        self._service.close()
        if self.feed_events is not None:
            self.feed_events.close()

    @property
    def refused(self) -> int:
        """How many calls the coordinator and the nodes that have returned have refused; see `Service.refused`."""
        return self._service.refused + sum(node.refused for node in self.state.nodes.values())

    def add_listener(self, listener: Callable[[dict[str, Any]], None]) -> None:
        """Calls `listener` with what nodes report, from a thread of the service."""
        self._listeners.append(listener)

    def _send(self, outgoing: Iterable[Message]) -> None:
        for message in outgoing:
            _put(self._outboxes[message.node], message)

    def _tell_events(self, event: Consumed) -> None:
        feed = self.state.feeds.by_id.get(event.feed)
        if self.feed_events is None or feed is None:
            return
        name = self.state.topology.nodes[event.node].name
        with self._figures_or_none() as events:
            events.epoch(name, feed.opened.queue, event, feed.received.get(event.node))

    def _tell_steps(self, event: Position) -> None:
        if self.feed_events is not None:
            name = self.state.topology.nodes[event.node].name
            with self._figures_or_none() as events:
                events.steps(name, event, resumed_step=self.state.resumed_step or 0)

    @contextlib.contextmanager
    def _figures_or_none(self) -> Iterator[FeedEvents]:
        assert self.feed_events is not None
        try:
            yield self.feed_events
        except OSError:  # figures are not worth a run
            log.warning("the figures of feed and steps cannot be written", exc_info=True)
            self.feed_events = None

    def _tell_listeners(self, event: Report) -> None:
        name = self.state.topology.nodes[event.node].name
        for listener in self._listeners:
            try:
                listener({"node": name, **event.metrics})
            except Exception:  # a listener of the user must not take the cluster down
                log.warning("a progress listener failed", exc_info=True)


def _put(outbox: queue.Queue[Message | None], message: Message | None) -> None:
    try:
        outbox.put_nowait(message)
    except queue.Full:  # the node has stopped reading; its stream notices and reports it lost
        log.warning("a node has left %d messages unread", outbox.qsize())


def _as_failure(number: int, error: TFSparkError) -> Failed:
    return Failed(number, host="driver", message=error.message, error=type(error).__name__, hint=error.hint)


class _Service(Service):
    """The Flight side of the coordinator."""

    def __init__(self, coordinator: Coordinator, host: str, secret: str, port: int) -> None:
        self._coordinator = coordinator
        super().__init__(host, secret, port=port)

    def do_action(self, context: Any, action: flight.Action) -> list[flight.Result]:
        if action.type == ADDRESSES:
            return [flight.Result(json.dumps(self._addresses()).encode())]
        if action.type != EVENT:
            raise self.refuse(f"unknown action {action.type[:80]!r}")
        body = action.body
        if body.size > messages.MAX_MESSAGE_BYTES:
            raise self.refuse(f"a message of {body.size} bytes is over the limit")
        try:
            self._coordinator.handle(messages.decode(body.to_pybytes()))
        except TFSparkError as error:
            raise self.refuse(str(error)) from error
        return []

    def _addresses(self) -> list[str]:
        try:
            return self._coordinator.wait_addresses()
        except ClusterError as error:
            raise flight.FlightServerError(str(error)) from error

    def do_get(self, context: Any, ticket: flight.Ticket) -> flight.GeneratorStream:
        name = ticket.ticket[:80].decode(errors="replace")
        number = int(name) if name.isdecimal() else -1
        if number not in self._coordinator.state.nodes:
            raise self.refuse(f"node {name} is not of this cluster")
        return flight.GeneratorStream(COMMAND_SCHEMA, self._batches(number))

    def _batches(self, number: int) -> Iterator[pa.RecordBatch]:
        for message in self._coordinator.commands(number):
            yield pa.record_batch([[messages.encode(message)]], schema=COMMAND_SCHEMA)


def addresses(state: ClusterState) -> Sequence[str | None]:
    """Gives where the inboxes of the data nodes are, in the order of their shares."""
    entered = [state.nodes[node.number].entered for node in state.topology.data_nodes]
    return [event.inbox if event else None for event in entered]
