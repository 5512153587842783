"""What is known of a run from its events so far, as a display shows it. Pure: times come with the events."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from tfspark_cnn.events.schema import Event, Kind

WINDOW_S = 3.0
"""Rates are of the last so many seconds: long enough to even out reports of several nodes, short enough for a stall."""

EPOCHS_AVERAGED = 3
"""The time that is left goes by so many epochs. The first one is longer, it traces the network: it counts while it is
the only one."""


@dataclass
class NodeView:
    """One node.

    Attributes:
        name: as `worker:1`.
        state: in a word or two.
        step_s: seconds of a step, lately; None before it is known.
        waited: the part of them in which it stood still for rows, 0 to 1.
        memory_bytes: of its process.
        gpu_percent: busy; None without a GPU.
        images: rows that it has trained.
    """

    name: str
    state: str = "waits for a slot"
    step_s: float | None = None
    waited: float | None = None
    memory_bytes: int | None = None
    gpu_percent: float | None = None
    images: int = 0
    _timed: tuple[int, float, float] = (0, 0.0, 0.0)

    def take(self, values: Mapping[str, Any]) -> None:
        """Takes in the figures of a report; those that it does not have stay."""
        self.memory_bytes = values.get("memory_bytes", self.memory_bytes)
        self.gpu_percent = values.get("gpu_percent", self.gpu_percent)
        self.images = int(values.get("images") or self.images)
        timed = (int(values.get("timed_steps", 0)), float(values.get("timed_s", 0)), float(values.get("waited_s", 0)))
        if timed[0] < self._timed[0]:  # another process, or another fit
            self._timed = (0, 0.0, 0.0)
        steps, seconds, waited_s = (now - then for now, then in zip(timed, self._timed, strict=True))
        if steps > 0 and seconds > 0:
            self.step_s, self.waited, self._timed = seconds / steps, min(1.0, waited_s / seconds), timed


@dataclass
class RunView:
    """A run, folded from its events by `take`.

    Attributes:
        phase: what is being done, while no step has been reported.
        nodes: by name, in the order of their numbers.
        epoch: that is trained, from 1; 0 before the first.
        epochs: of the call of fit.
        step: of the epoch.
        steps: of an epoch; None in the first one.
        metrics: the newest.
        attempt: which life of the cluster.
        notes: what else there is to say, the newest last.
        incidents: those of them that somebody who reads a log wants: deaths, attempts, the step it goes on from.
        incidents_ever: how many there were.
        epoch_ended: whether the epoch is over.
        epochs_ended: how many there were, of all calls of fit.
        outcome: empty until the end.
        began_s: when the first event came, in Unix seconds.
        ended_s: when the run ended.
    """

    phase: str = ""
    nodes: dict[str, NodeView] = field(default_factory=dict)
    epoch: int = 0
    epochs: int = 0
    step: int = 0
    steps: int | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    attempt: int = 1
    notes: deque[str] = field(default_factory=lambda: deque(maxlen=3))
    incidents: deque[str] = field(default_factory=lambda: deque(maxlen=16))
    incidents_ever: int = 0
    epoch_ended: bool = False
    epochs_ended: int = 0
    outcome: str = ""
    began_s: float | None = None
    ended_s: float | None = None
    _speaker: str = ""
    _epoch_began_s: float = 0.0
    _epoch_s: deque[float] = field(default_factory=lambda: deque(maxlen=EPOCHS_AVERAGED))
    _totals: deque[tuple[float, int]] = field(default_factory=deque)

    def take(self, event: Event) -> None:
        """Takes in what happened."""
        if self.began_s is None:
            self.began_s = event.time_s
        handler = self._handlers.get(event.kind)
        if handler is not None:
            handler(self, event)

    # --- what is shown -----------------------------------------------------------------------------------------------

    @property
    def images(self) -> int:
        """Rows that all nodes together have trained."""
        return sum(node.images for node in self.nodes.values())

    def images_per_s(self) -> float:
        """Gives the rate of all nodes together. The time before the first report does not count: it is starting."""
        if len(self._totals) < 2:
            return 0.0
        (began_s, before), (ended_s, after) = self._totals[0], self._totals[-1]
        return max(after - before, 0) / (ended_s - began_s) if ended_s > began_s else 0.0

    def done(self) -> float:
        """Gives the part of all epochs that is done, 0 to 1."""
        if not self.epochs or not self.epoch:
            return 0.0
        within = 1.0 if self.epoch_ended else min(1.0, self.step / self.steps) if self.steps else 0.0
        return min(1.0, (self.epoch - 1 + within) / self.epochs)

    def left_s(self, now_s: float) -> float | None:
        """Gives the seconds that the epochs to come will take as the last ones did; None while that is unknown."""
        if not self._epoch_s or self.outcome:
            return None
        mean_s = sum(self._epoch_s) / len(self._epoch_s)
        spent_s = 0.0 if self.epoch_ended else min(mean_s, max(0.0, now_s - self._epoch_began_s))
        return max(0.0, (self.epochs - self.epoch + (not self.epoch_ended)) * mean_s - spent_s)

    def incidents_after(self, number: int) -> list[str]:
        """Gives the incidents that came after the first so many; of very many at once the newest."""
        return list(self.incidents)[max(0, len(self.incidents) - (self.incidents_ever - number)) :]

    def elapsed_s(self, now_s: float) -> float:
        """Gives the seconds since the beginning, or from it to the end."""
        return (self.ended_s or now_s) - (self.began_s if self.began_s is not None else now_s)

    def speaks(self, event: Event) -> bool:
        """Tells whether an event is of the node that speaks for all: its losses and steps are those of the others."""
        return event.node == self._speaker or (not self._speaker and event.node.startswith("chief"))

    # --- what happens ------------------------------------------------------------------------------------------------

    def _start(self, event: Event) -> None:
        names: Sequence[str] = event.values.get("nodes", ())
        self.nodes = {name: NodeView(name) for name in names}
        leaders = [name for role in ("chief", "worker") for name in names if name.startswith(role)]
        self._speaker = leaders[0] if leaders else ""
        self.phase = f"starting {len(names)} node{'s' * (len(names) != 1)}"

    def _attempt(self, event: Event) -> None:
        self.attempt = int(event.values.get("attempt", 1))
        if self.attempt > 1:
            self._totals.clear()
            self.nodes = {name: NodeView(name) for name in self.nodes}
            self.phase = f"starting attempt {self.attempt}"
            self.epoch = self.step = 0

    def _reserved(self, event: Event) -> None:
        self._node(event).state = "starting"

    def _entered(self, event: Event) -> None:
        self._node(event).state = "serves" if event.node.startswith("ps") else "running"
        if all(node.state not in ("starting", "waits for a slot") for node in self.nodes.values()):
            self.phase = "running"

    def _feed(self, event: Event) -> None:
        self.phase = "feeding"

    def _began(self, event: Event) -> None:
        if self.speaks(event):
            self._turn(event, int(event.values["epoch"]))

    def _turn(self, event: Event, epoch: int) -> None:
        self.epoch, self.step, self.epoch_ended, self._epoch_began_s = epoch, 0, False, event.time_s
        self.epochs = int(event.values.get("epochs") or self.epochs)

    def _step(self, event: Event) -> None:
        node, values = self._node(event), event.values
        node.take(values)
        if "epoch" not in values:
            return
        node.state = "training"
        self._count(event.time_s)
        if not self.speaks(event):
            return
        if int(values["epoch"]) != self.epoch:
            self._turn(event, int(values["epoch"]))
        self.step, self.steps = int(values.get("step", 0)), values.get("steps") or self.steps
        self.epochs = int(values.get("epochs") or self.epochs)
        self.metrics = values.get("metrics") or self.metrics

    def _ended(self, event: Event) -> None:
        self._step(event)
        if self.speaks(event):
            self.epoch_ended, self.steps = True, self.step or self.steps
            self.epochs_ended += 1
            if (seconds := event.values.get("seconds")) is not None:
                if self.epochs_ended == 2:  # the first one traced the network: it says nothing of those to come
                    self._epoch_s.clear()
                self._epoch_s.append(float(seconds))

    def _checkpoint(self, event: Event) -> None:
        self.notes.append(f"checkpoint at step {event.values.get('step')}")

    def _resumed(self, event: Event) -> None:
        self._incident(f"goes on from step {event.values.get('step')}")

    def _evaluated(self, event: Event) -> None:
        words = metric_words(event.values.get("metrics", {}))
        self.notes.append(f"{event.node} scored step {event.values.get('step')}: {words}")

    def _death(self, event: Event) -> None:
        if event.node in self.nodes:
            self.nodes[event.node].state = "died"
        cause, _, _ = str(event.values.get("cause", "")).partition("\n")
        self._incident(f"{event.node} died: {cause[:200] or 'cause unknown'}")

    def _replaced(self, event: Event) -> None:
        self._node(event).state = "starts again"

    def _restart(self, event: Event) -> None:
        self._incident(f"attempt {event.values.get('attempt')} begins")

    def _returned(self, event: Event) -> None:
        self._node(event).state = "returned"

    def _end(self, event: Event) -> None:
        self.outcome, self.ended_s = str(event.values.get("outcome", "done")), event.time_s
        for node in self.nodes.values():
            if node.state not in ("died", "returned"):
                node.state = "ended"

    def _incident(self, what: str) -> None:
        self.notes.append(what)
        self.incidents.append(what)
        self.incidents_ever += 1

    def _node(self, event: Event) -> NodeView:
        return self.nodes.setdefault(event.node, NodeView(event.node))

    def _count(self, now_s: float) -> None:
        self._totals.append((now_s, self.images))
        # Two always stay: the rate is between the newest and what came before it.
        while len(self._totals) > 2 and self._totals[1][0] < now_s - WINDOW_S:
            self._totals.popleft()

    _handlers: ClassVar[dict[Kind, Callable[[RunView, Event], None]]] = {
        Kind.START: _start,
        Kind.ATTEMPT: _attempt,
        Kind.RESERVED: _reserved,
        Kind.ENTERED: _entered,
        Kind.FEED: _feed,
        Kind.EPOCH_BEGIN: _began,
        Kind.STEP: _step,
        Kind.EPOCH_END: _ended,
        Kind.CHECKPOINT: _checkpoint,
        Kind.RESUMED: _resumed,
        Kind.EVALUATED: _evaluated,
        Kind.DEATH: _death,
        Kind.REPLACED: _replaced,
        Kind.RESTART: _restart,
        Kind.RETURNED: _returned,
        Kind.END: _end,
    }


def metric_words(metrics: Mapping[str, float]) -> str:
    """Gives metrics as text, the loss first.

    Example:
        >>> metric_words({"accuracy": 0.98712, "loss": 0.41})
        'loss 0.4100  accuracy 0.9871'
    """
    ordered = sorted(metrics.items(), key=lambda one: one[0] != "loss")
    return "  ".join(f"{name} {_number(value)}" for name, value in ordered)


def _number(value: float) -> str:
    small = math.isfinite(value) and 0 < abs(value) < 0.001  # as a learning rate
    return f"{value:.2e}" if small else f"{value:.4f}"
