"""How far this node is in what all nodes must do alike, and what its own part of a step takes: told to the driver.

`Pace.attach` puts a `Pace` on a strategy of several workers. From then on it counts the variables made under the
strategy, the gradients that this node was ready to sum, and the values summed besides, as metrics; a thread tells the
coordinator once a second if anything moved, also while the main thread waits for another node for ever. What the
coordinator makes of it: `cluster/lockstep.py`, `cluster/step_report.py`.
"""

from __future__ import annotations

import dataclasses
import threading
from collections import deque
from collections.abc import Hashable, Sequence
from contextvars import ContextVar
from typing import Any, Protocol

import tensorflow as tf

from tfspark_cnn.cluster.messages import Created, Message, Position, Warned
from tfspark_cnn.training import strategy_hooks

SAMPLE_S = 1.0
"""A node that is found to wait for ever is found that soon; reading two counters takes 0.1 ms."""

GRACE_S = 3.0
"""What a call of fit that ended by an exception is kept back: mostly map_fun ends by it too, and tells it better."""

WITHIN_S = 0.2
CHUNK = 64
"""Variables are told together for so long, and so many in a message."""

CHUNKS = 4
"""Messages that may not have left yet when a node comes to rest: making a variable takes over a millisecond."""

COUNTED: ContextVar[bool] = ContextVar("whether steps are counted; XLA has no clock", default=True)

_PLACE = "_tfspark_cnn_pace"

_NEVER_S = 1e18
"""A moment that has not come: what is measured from it is nothing."""


class Line(Protocol):
    """What is needed of a node's line to the coordinator (`cluster.link.Link`)."""

    node: int

    def send(self, event: Message) -> None:
        """Sends an event and waits until the coordinator has it."""

    def send_latest(self, key: Hashable, event: Message, *, within_s: float = 0.0) -> None:
        """Sends an event soon; a newer one with the same key replaces it."""


class Pace:
    """The counts of one strategy. Made by `attach`."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._position = Position(line.node, 0, 0, 0)
        self._chunks: deque[Created] = deque(maxlen=CHUNKS)
        self._epoch_began = self._restarted = 0  # reductions
        self._restarts = 1
        self._nan_at = 0
        # As few operations a step as can be: the rest is counted here. Of their own, not of the strategy's variables.
        with tf.device("CPU:0"):
            self._reductions = tf.Variable(0, dtype=tf.int64, trainable=False)
            self._bad = tf.Variable(0, dtype=tf.int64, trainable=False)
            self._own_s = tf.Variable(0.0, dtype=tf.float64, trainable=False)
            self._summed_at_s = tf.Variable(_NEVER_S, dtype=tf.float64, trainable=False)

    @classmethod
    def attach(cls, strategy: Any, line: Line) -> Pace:
        """Makes the pace of a strategy that was just made, and begins to tell."""
        pace = cls(line)
        setattr(strategy.extended, _PLACE, pace)
        strategy_hooks.record_variables(strategy.extended, pace.create)
        strategy_hooks.record_reads(strategy.extended, pace.read)
        threading.Thread(target=pace._tell_changes, name="tfspark-pace", daemon=True).start()
        return pace

    # --- what happens on the main thread -----------------------------------------------------------------------------

    @property
    def inside(self) -> bool:
        """Whether a call of fit or evaluate runs."""
        return bool(self._position.inside)

    @property
    def steps(self) -> int:
        """Steps of the present epoch so far."""
        return self._now().step

    @property
    def own(self) -> tuple[int, float]:
        """Steps that were measured so far, and seconds of them that this node did not wait for gradients of others."""
        now = self._now()
        return now.measured, now.own_s

    def enter(self, what: str, *, epoch: int = 0) -> None:
        """Takes note that a call begins; `epoch` is the one before its first."""
        self._position = self._now(call=self._position.call + 1, inside=what, epoch=epoch, step=0)
        self._epoch_began = self._position.reductions

    def leave(self, error: BaseException | None) -> None:
        """Takes note that the call has ended, and how."""
        failed = f"{type(error).__name__}: {error}"[:500] if error is not None else ""
        what = self._position.inside
        self._position = self._now(inside="")
        left = dataclasses.replace(self._position, left=what, failed=failed)
        self._line.send_latest(("left", left.call), left, within_s=GRACE_S if failed else 0.0)

    def begin_epoch(self) -> None:
        """Takes note that an epoch of fit begins; its first step, with whatever came between, is not measured."""
        self._summed_at_s.assign(_NEVER_S)
        self._position = self._now(epoch=self._position.epoch + 1)
        self._epoch_began = self._position.reductions
        self._restarts += self._restarted != self._epoch_began
        self._restarted = self._epoch_began

    def read(self) -> None:
        """Takes note that a value is about to be summed over all nodes: a metric that is read, or set back."""
        self._position = dataclasses.replace(self._position, reads=self._position.reads + 1)

    def create(self, path: str, kind: str) -> None:
        """Takes note that a variable is about to get its first value, which the chief sends to all."""
        made = self._position.variables
        last = self._chunks.pop() if made % CHUNK else Created(self._line.node, made, [])
        event = dataclasses.replace(last, variables=[*last.variables, [path, kind]])
        self._chunks.append(event)
        self._line.send_latest(("created", event.first), event, within_s=WITHIN_S)
        self._position = dataclasses.replace(self._position, variables=made + 1)

    def rest(self) -> None:
        """Tells where this node is, and waits until the coordinator knows: it is about to do nothing for others."""
        self._position = self._now()
        for created in self._chunks:
            self._line.send(created)
        self._line.send(self._position)

    def warn(self, text: str) -> None:
        """Lets the driver's log say something, once for all nodes that say the same."""
        self._line.send_latest(("warned", text), Warned(self._line.node, text))

    # --- what happens in the graph -----------------------------------------------------------------------------------

    def ready(self, gradients: Sequence[Any]) -> None:
        """Counts, in the step that is being traced, when this replica has its own gradients."""
        if not self._counts():
            return
        with tf.control_dependencies(_tensors(gradients)), tf.device("CPU:0"):
            self._own_s.assign_add(tf.maximum(tf.timestamp() - self._summed_at_s, 0))
            self._reductions.assign_add(1)

    def summed(self, gradients: Sequence[Any]) -> None:
        """Takes note, in the step that is being traced, when this replica has the sum over all nodes."""
        if self._counts():
            with tf.control_dependencies(_tensors(gradients)), tf.device("CPU:0"):
                self._summed_at_s.assign(tf.timestamp())

    def watch_loss(self, logs: Any) -> None:
        """Counts, in the step that is being traced, those whose loss is NaN or infinite on this node."""
        loss = logs.get("loss") if isinstance(logs, dict) else None
        if loss is None or not self._counts():
            return
        with tf.device("CPU:0"):
            self._bad.assign_add(tf.cast(tf.logical_not(tf.math.is_finite(loss)), tf.int64))

    @staticmethod
    def _counts() -> bool:
        replica = tf.distribute.get_replica_context()
        if replica is None or not COUNTED.get():
            return False
        local = len(replica.strategy.extended.worker_devices)
        number = tf.get_static_value(replica.replica_id_in_sync_group)
        return local == 1 or (number is not None and int(number) % local == 0)  # one for all of this node

    # --- telling -----------------------------------------------------------------------------------------------------

    def _now(self, **changes: Any) -> Position:
        """Gives the position now. A step that passes meanwhile on another thread makes it inexact."""
        before = self._position
        reductions, own_s, bad = int(self._reductions.numpy()), float(self._own_s.numpy()), int(self._bad.numpy())
        if bad and not self._nan_at and int(self._reductions.numpy()) == reductions:  # what was bad once mostly stays
            self._nan_at = reductions - bad + 1
        now = dataclasses.replace(
            before,
            reductions=reductions,
            exact=self._position is before,
            measured=max(0, reductions - self._restarts + (reductions == self._restarted)),
            own_s=own_s,
            nan_at=self._nan_at,
            **changes,
        )
        began = reductions if "epoch" in changes else self._epoch_began
        return dataclasses.replace(now, step=reductions - began)

    def _tell_changes(self) -> None:
        told, pause = None, threading.Event()
        while True:  # ends with the process
            pause.wait(SAMPLE_S)
            position = self._now()
            if position != told:
                told = position
                self._line.send_latest("position", position)


def pace_of(strategy: Any) -> Pace | None:
    """Gives the pace of a strategy, or None where nobody is told."""
    return getattr(strategy.extended, _PLACE, None)


def _tensors(gradients: Sequence[Any]) -> list[Any]:
    found = [gradient.values if isinstance(gradient, tf.IndexedSlices) else gradient for gradient in gradients]
    return [gradient for gradient in found if gradient is not None]
