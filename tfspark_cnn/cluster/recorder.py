"""What the driver hears and does, as events: for the file of the run, its history, and whoever watches."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from tfspark_cnn.cluster.feed_report import FeedReport
from tfspark_cnn.cluster.messages import (
    Entered,
    Evaluated,
    Failed,
    Message,
    Report,
    Reserved,
    Restarting,
    Resumed,
    Returned,
    Saved,
    Vitals,
)
from tfspark_cnn.cluster.topology import Topology
from tfspark_cnn.events.sampling import Sampling
from tfspark_cnn.events.schema import DRIVER, Event, Kind
from tfspark_cnn.events.writer import EventFile, path_of

log = logging.getLogger(__name__)

KEPT = 50_000
"""Events of a run that the driver keeps, 20 MB at most; the file has all."""

Watcher = Callable[[Event], None]


class Recorder:
    """Makes events of a run, over all of its attempts. Its methods may be called from any thread; none of them raises.

    Args:
        run_id: of the run.
        topology: its nodes.
        cache: where nodes keep rows.
        log_dir: where the file of events goes; None, or a URI, which files are not appended to: there is no file.
        clock: Unix seconds.
    """

    def __init__(
        self,
        run_id: str,
        topology: Topology,
        *,
        log_dir: str | None,
        cache: str = "",
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._clock, self._topology = clock, topology
        self._lock = threading.Lock()
        self._kept: deque[Event] = deque(maxlen=KEPT)
        self._watchers: list[Watcher] = []
        self._figures: dict[str, dict[str, Any]] = {}  # the newest of each node
        self._epochs: dict[str, int] = {}
        self._died: set[str] = set()
        self._ended = False
        self._sampling = Sampling(clock())
        local = log_dir is not None and "://" not in log_dir
        self._file = EventFile(path_of(log_dir, run_id)) if local and log_dir is not None else None
        nodes = list(topology)
        names = {"nodes": [node.name for node in nodes], "roles": [node.role.value for node in nodes]}
        self.record(Kind.START, values={"run": run_id, "cache": cache, **names})

    @property
    def path(self) -> str | None:
        """Where the file of events is, or None."""
        return str(self._file.path) if self._file is not None else None

    def events(self) -> list[Event]:
        """Gives the events so far, in the order of their times."""
        with self._lock:
            return sorted(self._kept, key=lambda event: event.time_s)

    def watch(self, watcher: Watcher) -> None:
        """Calls `watcher` with what has happened so far, and with each event to come: also with reports that are not
        kept."""
        with self._lock:
            for event in self._kept:
                _told(watcher, event)
            self._watchers.append(watcher)

    def record(
        self, kind: Kind, node: str = DRIVER, *, values: Mapping[str, Any] | None = None, time_s: float | None = None
    ) -> None:
        """Takes note that something has happened.

        Args:
            kind: what.
            node: to whom.
            values: as `events.VALUES` says.
            time_s: when; None: now.
        """
        now_s = self._clock()
        event = Event(round(now_s if time_s is None else time_s, 3), kind, node, values or {})  # as the file has it
        with self._lock:
            if self._ended:
                return
            self._ended = kind is Kind.END
            if kind is not Kind.STEP or self._sampling.keeps(node, now_s):
                self._kept.append(event)
                if self._file is not None:
                    self._file.add(event)
            watchers = list(self._watchers)
        for watcher in watchers:
            _told(watcher, event)

    def take(self, message: Message) -> None:
        """Takes note of what a node has said; most of it is no event."""
        handler = self._handlers.get(type(message))
        if handler is not None:
            handler(self, self._topology.nodes[message.node].name, message)

    # --- what the driver does ----------------------------------------------------------------------------------------

    def begin_attempt(self, number: int, *, cause: str = "") -> None:
        """Takes note that an attempt begins; `cause` ended the one before."""
        if number > 1:
            self.record(Kind.RESTART, values={"attempt": number, "cause": cause})
        with self._lock:
            self._figures.clear()
            self._epochs.clear()
            self._died.clear()
        self.record(Kind.ATTEMPT, values={"attempt": number})

    def blame(self, node: str | None, cause: str) -> None:
        """Takes note of the node that ended an attempt, unless it has said so itself."""
        if node is not None and node not in self._died:
            self._dead(node, {"cause": cause})

    def feed_began(self, name: str, queue: str, epochs: int) -> None:
        """Takes note that the rows of a `train` call are being sent."""
        self.record(Kind.FEED, values={"feed": name, "queue": queue, "epochs": epochs})

    def feed_ended(self, queue: str, report: FeedReport) -> None:
        """Takes note that a feed was taken."""
        told = report.as_dict()
        told["nodes"] = list(told["nodes"])  # as it is read back
        self.record(Kind.FED, values={"feed": report.feed, "queue": queue, "report": told})

    def end(self, outcome: str, cause: str = "") -> None:
        """Takes note of the end of the run, and writes what is left."""
        self.record(Kind.END, values={"outcome": outcome} | ({"cause": cause} if cause else {}))
        if self._file is not None:
            self._file.close()

    # --- what nodes say ----------------------------------------------------------------------------------------------

    def _reserved(self, node: str, message: Reserved) -> None:
        self.record(Kind.RESERVED, node, values={"host": message.host})

    def _entered(self, node: str, message: Entered) -> None:
        self.record(Kind.ENTERED, node, values={"pid": message.pid})

    def _report(self, node: str, message: Report) -> None:
        metrics = message.metrics
        if "epoch" not in metrics or "epochs" not in metrics:
            return  # a report of the user's own
        fields = {name: value for name, value in metrics.items() if value is not None and name in _REPORTED}
        figures = self._known(node, fields)
        ended = bool(metrics.get("epoch_end"))
        now_s = self._clock()
        if self._epochs.get(node) != metrics["epoch"] or metrics.get("epoch_begin"):
            self._epochs[node] = metrics["epoch"]
            began_s = now_s - float(metrics.get("seconds") or 0.0)
            values = {name: metrics[name] for name in ("epoch", "epochs")}
            self.record(Kind.EPOCH_BEGIN, node, values=values, time_s=began_s)
        if ended:
            self._epochs.pop(node, None)
            figures |= {"seconds": metrics.get("seconds")}
        self.record(Kind.EPOCH_END if ended else Kind.STEP, node, values=figures, time_s=now_s)

    def _vitals(self, node: str, message: Vitals) -> None:
        fields = {
            "memory_bytes": message.memory_bytes, "gpu_percent": message.gpu_percent, "gpu_bytes": message.gpu_bytes,
        }  # fmt: skip
        found = {name: value for name, value in fields.items() if value is not None}
        self._known(node, found)
        self.record(Kind.STEP, node, values=found)

    def _saved(self, node: str, message: Saved) -> None:
        values = {"step": message.step, "epoch": message.epoch, "name": message.name}
        self.record(Kind.CHECKPOINT, node, values=values)

    def _resumed(self, node: str, message: Resumed) -> None:
        self.record(Kind.RESUMED, node, values={"step": message.step, "epoch": message.epoch})

    def _evaluated(self, node: str, message: Evaluated) -> None:
        values = {"step": message.step, "name": message.name, "metrics": message.metrics, "best": message.best}
        self.record(Kind.EVALUATED, node, values=values)

    def _failed(self, node: str, message: Failed) -> None:
        self._dead(node, {"cause": message.message, "exit_code": message.exit_code, "signal": message.signal})

    def _restarting(self, node: str, message: Restarting) -> None:
        self.record(Kind.REPLACED, node, values={"cause": message.message})

    def _returned(self, node: str, message: Returned) -> None:
        self.record(Kind.RETURNED, node)

    def _dead(self, node: str, values: Mapping[str, Any]) -> None:
        self._died.add(node)
        known = {name: value for name, value in values.items() if value is not None}
        self.record(Kind.DEATH, node, values=known)

    def _known(self, node: str, fields: Mapping[str, Any]) -> dict[str, Any]:
        with self._lock:
            known = self._figures.setdefault(node, {})
            known.update(fields)
            return dict(known)

    _handlers: ClassVar[dict[type[Message], Callable[[Recorder, str, Any], None]]] = {
        Reserved: _reserved,
        Entered: _entered,
        Report: _report,
        Vitals: _vitals,
        Saved: _saved,
        Resumed: _resumed,
        Evaluated: _evaluated,
        Failed: _failed,
        Restarting: _restarting,
        Returned: _returned,
    }


_REPORTED = frozenset(
    ["epoch", "epochs", "step", "steps", "metrics", "images", "timed_steps", "timed_s", "waited_s"]
    + ["first_waited_s", "own_steps", "own_s"]
)
"""Of what Keras' callback reports, what goes into events."""


def _told(watcher: Watcher, event: Event) -> None:
    try:
        watcher(event)
    except Exception:  # whoever watches must not take the cluster down
        log.warning("a watcher of events failed", exc_info=True)
