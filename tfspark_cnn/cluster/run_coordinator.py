"""The driver's service of independent runs: hands them out to Spark's tasks, and takes in what becomes of them.

A thin shell around `Runs`, as `coordinator` is around the state of a cluster. Each process of a run holds a line to it,
and ends when that breaks.
"""

from __future__ import annotations

import json
import logging
import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import pyarrow as pa
from pyarrow import flight

from tfspark_cnn.cluster import messages
from tfspark_cnn.cluster.coordinator import COMMAND_SCHEMA, END, INTERRUPT_S, OUTBOX_MESSAGES, messages_in
from tfspark_cnn.cluster.messages import Asking, Message, Report, Warned
from tfspark_cnn.cluster.run_task import BEGIN, EVENT, named
from tfspark_cnn.cluster.runs import Answer, Runs
from tfspark_cnn.errors import TFSparkError
from tfspark_cnn.feed.transport import Service, endpoint

log = logging.getLogger(__name__)

_Outbox = queue.Queue[Message | None]  # a handful of messages in a run's life


class RunCoordinator:
    """Serves the tasks and processes of independent runs from the driver.

    Args:
        runs: their state.
        payloads: `(map_fun, args)` of each, pickled.
        secret: what every call must carry.
        bind_host: the address to listen on.
        port: to listen on; 0: any free one.
        public_host: the address by which executors reach the driver.
        progress: called with what runs report.
    """

    def __init__(
        self,
        runs: Runs,
        payloads: Sequence[bytes],
        *,
        secret: str,
        bind_host: str,
        port: int = 0,
        public_host: str,
        progress: Callable[[dict[str, Any]], None] = lambda metrics: None,
    ) -> None:
        self.runs, self.job_ended, self.job_failure = runs, False, ""
        self._payloads, self._progress = payloads, progress
        self._changed = threading.Condition()
        self._outboxes: dict[int, _Outbox] = {}
        self._closed = False
        self._service = _Service(self, bind_host, secret, port)
        self.location = endpoint(public_host, self._service.port)

    # --- from executors ----------------------------------------------------------------------------------------------

    def begin(self, asking: Asking) -> bytes:
        """Gives what the task is to run: a line of JSON and the payload; nothing: nothing. Waits for another try."""
        with self._changed:
            while not self._closed:
                now_s = time.monotonic()
                answer, news = self.runs.ask(asking.node, task=asking.task, host=asking.host, now_s=now_s)
                self._send(news)
                self._say()
                if answer is not Answer.WAIT:
                    break
                self._changed.wait()  # for the try that has the run to end, or for `close`
            if self._closed or answer is Answer.NOTHING:
                return b""
            if asking.node in self._outboxes:
                self._outboxes[asking.node].put(END)
            self._outboxes[asking.node] = queue.Queue(OUTBOX_MESSAGES)
            header = json.dumps({"attempt": self.runs.by_number[asking.node].begun})
            return header.encode() + b"\n" + self._payloads[asking.node]

    def handle(self, event: Message) -> None:
        """Applies a message of a run's process or task."""
        with self._changed:
            self._send(self.runs.handle(event))
            self._say()
        if isinstance(event, Warned):
            log.warning("[%s] %s", self.runs.name(event.node), event.text)
        if isinstance(event, Report):
            self._tell_progress(event)

    def home(self, number: int, *, task: int, result: bytes) -> None:
        """Takes the result of a run."""
        with self._changed:
            self.runs.home(number, task=task, result=result)
            self._say()

    def commands(self, number: int) -> Iterator[Message]:
        """Gives the messages for the process of a run as they come, `Alive` when there are none."""
        outbox = self._outboxes[number]
        try:
            yield from messages_in(outbox, number)
        finally:
            self._break(number, outbox)

    def has(self, number: int) -> bool:
        """Tells whether a run has begun."""
        return number in self._outboxes

    def _break(self, number: int, outbox: _Outbox) -> None:
        with self._changed:
            if self._outboxes[number] is outbox:  # else another process of the run has its place
                self.runs.broken(number, now_s=time.monotonic())

    def _tell_progress(self, event: Report) -> None:
        name = self.runs.name(event.node)
        log.debug("[%s] %s", name, event.metrics)
        try:
            self._progress({"node": name, **event.metrics})
        except Exception:  # a listener of the user must not take the runs down
            log.warning("a progress listener failed", exc_info=True)

    # --- the driver --------------------------------------------------------------------------------------------------

    def wait(self, condition: Callable[[Runs], bool], *, timeout_s: float | None) -> bool:
        """Waits until the condition holds or the job has ended, and gives whether the condition does."""
        deadline_s = None if timeout_s is None else time.monotonic() + timeout_s
        with self._changed:
            while not (met := condition(self.runs)) and not self.job_ended:
                left_s = INTERRUPT_S if deadline_s is None else min(INTERRUPT_S, deadline_s - time.monotonic())
                if left_s <= 0:
                    break
                self._changed.wait(left_s)
                self.runs.expire(time.monotonic())
                self._say()
            return met

    def wait_job(self, *, timeout_s: float) -> bool:
        """Waits until Spark's job has ended, and gives whether it has."""
        self.wait(lambda _: False, timeout_s=timeout_s)
        return self.job_ended

    def end_job(self, failure: str | None) -> None:
        """Takes note that Spark's job has ended."""
        with self._changed:
            self.job_ended, self.job_failure = True, failure or ""
            self._changed.notify_all()

    def abort(self, reason: str) -> None:
        """Ends all runs that are not done."""
        with self._changed:
            self._send(self.runs.abort(reason))
            self._changed.notify_all()

    def close(self) -> None:
        """Ends all lines and stops serving."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        for outbox in self._outboxes.values():
            outbox.put(END)
        self._service.close()

    @property
    def refused(self) -> int:
        """How many calls the coordinator has refused; see `Service.refused`."""
        return self._service.refused

    def _send(self, outgoing: Iterable[Message]) -> None:
        for message in outgoing:
            self._outboxes[message.node].put(message)

    def _say(self) -> None:
        """Logs what has happened, and lets those who wait look."""
        said, self.runs.said = self.runs.said, []
        for text in said:
            log.info("%s", text)
        self._changed.notify_all()


class _Service(Service):
    """The Flight side."""

    def __init__(self, coordinator: RunCoordinator, host: str, secret: str, port: int) -> None:
        self._coordinator = coordinator
        super().__init__(host, secret, port=port)

    def do_action(self, context: Any, action: flight.Action) -> list[flight.Result]:
        if action.type not in (BEGIN, EVENT):
            raise self.refuse(f"unknown action {action.type[:80]!r}")
        if action.body.size > messages.MAX_MESSAGE_BYTES:
            raise self.refuse(f"a message of {action.body.size} bytes is over the limit")
        try:
            message = messages.decode(action.body.to_pybytes())
            if action.type == EVENT:
                self._coordinator.handle(message)
                return []
            if isinstance(message, Asking):
                return [flight.Result(self._coordinator.begin(message))]
        except TFSparkError as error:
            raise self.refuse(str(error)) from error
        raise self.refuse(f"a task asks by {type(message).__name__}")

    def do_put(self, context: Any, descriptor: Any, reader: Any, writer: Any) -> None:
        try:
            number, task, nbytes = named(descriptor.command or b"")
            result = b"".join(part.as_py() for chunk in reader for part in chunk.data.column(0))
            if len(result) == nbytes:  # else its task broke off
                self._coordinator.home(number, task=task, result=result)
        except (TFSparkError, TypeError) as error:
            raise self.refuse(str(error)) from error

    def do_get(self, context: Any, ticket: flight.Ticket) -> flight.GeneratorStream:
        name = ticket.ticket[:80].decode(errors="replace")
        number = int(name) if name.isdecimal() else -1
        if not self._coordinator.has(number):
            raise self.refuse(f"there is no run {name} that has begun")
        return flight.GeneratorStream(COMMAND_SCHEMA, self._batches(number))

    def _batches(self, number: int) -> Iterator[pa.RecordBatch]:
        for message in self._coordinator.commands(number):
            yield pa.record_batch([[messages.encode(message)]], schema=COMMAND_SCHEMA)
