"""A node's line to the coordinator: events go up, messages come down, and the node ends when the line does."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Hashable
from typing import Any

import pyarrow as pa
from pyarrow import flight

from tfspark_cnn.cluster import messages
from tfspark_cnn.cluster.messages import Message
from tfspark_cnn.errors import ClusterError
from tfspark_cnn.feed import transport

log = logging.getLogger(__name__)

SILENCE_S = 90.0
"""The coordinator says `Alive` every second. So much silence means that its host is gone: a closed connection would
have been seen at once. A driver may pause for half a minute, in a garbage collection or a suspended laptop."""


class Link:
    """The line of one node.

    Args:
        location: the coordinator's Flight location.
        secret: of the cluster.
        node: our number.
        lost: called once, from a thread, with the reason, when the line broke or fell silent.
    """

    def __init__(self, location: str, *, secret: str, node: int, lost: Callable[[str], None]) -> None:
        self.node = node
        self._location, self._secret, self._lost = location, secret, lost
        self._client = transport.connect(location, secret)
        self._lock = threading.Lock()
        self._handlers: dict[type[Message], Callable[[Any], None]] = {}
        self._latest: dict[Hashable, Message] = {}
        self._due_s: dict[Hashable, float] = {}  # when what `_latest` holds is to be sent, by time.monotonic()
        self._pending = threading.Condition()
        self._flushing = threading.Lock()
        self._heard = threading.Event()
        self._answered = threading.Event()
        self._closed = False
        self._threads: list[threading.Thread] = []

    def on(self, kind: type[Message], handler: Callable[[Any], None]) -> None:
        """Calls `handler` with each message of that kind, from the line's thread. To be set before `open`."""
        self._handlers[kind] = handler

    def open(self) -> None:
        """Begins to listen. Returns when the coordinator has answered: from then on each notices the other's end."""
        for target in (self._listen, self._watch, self._send_latest):
            thread = threading.Thread(target=target, name=f"tfspark-{target.__name__}", daemon=True)
            self._threads.append(thread)
            thread.start()
        self._answered.wait(SILENCE_S)

    def send(self, event: Message) -> None:
        """Sends an event and waits until the coordinator has it, through a pause of the driver too.

        Raises:
            ClusterError: the coordinator is gone or refused it.
        """
        with self._lock:  # a driver that pauses answers late; whether it is gone, the listening thread finds out
            transport.call(self._client, "event", messages.encode(event), timeout_s=SILENCE_S)

    def send_latest(self, key: Hashable, event: Message, *, within_s: float = 0.0) -> None:
        """Sends an event soon, without waiting; a newer one with the same key replaces it if it has not left yet.

        Args:
            key: of the event.
            event: to be sent.
            within_s: seconds that it may be kept for a newer one. A message costs driver and node about as much as
                taking a small batch does.
        """
        with self._pending:
            self._latest[key] = event
            due_s = time.monotonic() + within_s
            if due_s < self._due_s.get(key, math.inf):
                self._due_s[key] = due_s
                self._pending.notify()

    def flush(self) -> None:
        """Sends now what `send_latest` still holds."""
        self._flush(math.inf)

    def _flush(self, until_s: float) -> None:
        """Sends what is due until then. What another thread has taken out to send has left, too, when this returns."""
        errors = []
        with self._flushing:
            for event in self._due(until_s):
                try:
                    self.send(event)
                except ClusterError as error:  # one that cannot be sent must not keep the others here
                    errors.append(error)
        if errors:
            raise errors[0]

    def _due(self, until_s: float) -> list[Message]:
        """Takes out what is due until then."""
        with self._pending:
            keys = [key for key, due_s in self._due_s.items() if due_s <= until_s]
            for key in keys:
                del self._due_s[key]
            return [self._latest.pop(key) for key in keys]

    def close(self) -> None:
        """Stops listening; the process may end without `lost` being called."""
        with self._pending:
            self._closed = True
            self._pending.notify()
        self._heard.set()  # the watching thread looks and ends

    # --- threads -----------------------------------------------------------------------------------------------------

    def _listen(self) -> None:
        reason = "the coordinator closed the line"
        try:
            client = transport.connect(self._location, self._secret)
            for chunk in client.do_get(flight.Ticket(str(self.node).encode())):
                self._heard.set()
                self._answered.set()
                for body in chunk.data.column(0):
                    self._dispatch(messages.decode(body.as_py()))
        except (pa.ArrowException, OSError) as error:
            reason = f"the line to the coordinator broke: {error}"
        except Exception as error:  # of a handler: this node can no longer follow the coordinator
            log.exception("a message of the coordinator could not be handled")
            reason = f"a message of the coordinator could not be handled: {type(error).__name__}: {error}"
        self._lose(reason)

    def _dispatch(self, message: Message) -> None:
        handler = self._handlers.get(type(message))
        if handler is not None:
            handler(message)

    def _watch(self) -> None:
        while self._heard.wait(SILENCE_S):
            self._heard.clear()
            if self._closed:
                return
        self._lose(f"the coordinator has said nothing for {SILENCE_S:.0f} s")

    def _send_latest(self) -> None:
        while not self._closed:
            with self._pending:
                while not self._closed and (wait_s := self._until_due_s()) > 0:
                    self._pending.wait(None if wait_s == math.inf else wait_s)
            try:
                self._flush(time.monotonic())
            except ClusterError as error:  # the listening thread finds out whether the line is lost
                log.debug("could not send: %s", error)

    def _until_due_s(self) -> float:
        return min(self._due_s.values(), default=math.inf) - time.monotonic()

    def _lose(self, reason: str) -> None:
        with self._pending:
            first, self._closed = not self._closed, True
        if first:
            self.close()
            self._answered.set()
            self._lost(reason)
