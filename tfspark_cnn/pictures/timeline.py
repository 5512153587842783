"""A run as spans and moments on lines of nodes, from its events. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tfspark_cnn.events.schema import DRIVER, Event, Kind


@dataclass(frozen=True)
class Span:
    """What a node, or the driver, did for a while.

    Attributes:
        node: as `worker:1`, or `driver`.
        what: `wait` for a slot, `start`, `map_fun`, `feed` or `epoch`.
        began_s: seconds since the beginning of the run.
        ended_s: likewise.
        label: as `epoch 3`.
    """

    node: str
    what: str
    began_s: float
    ended_s: float
    label: str = ""


@dataclass(frozen=True)
class Moment:
    """What happened at once.

    Attributes:
        node: as `worker:1`, or `driver`.
        what: `checkpoint`, `resumed`, `death`, `replaced`, `restart`, `returned` or `end`.
        at_s: seconds since the beginning of the run.
        label: what there is to say of it.
    """

    node: str
    what: str
    at_s: float
    label: str = ""


_MOMENTS: Mapping[Kind, Callable[[Mapping[str, Any]], str]] = {
    Kind.CHECKPOINT: lambda values: f"step {values.get('step')}",
    Kind.RESUMED: lambda values: f"from step {values.get('step')}",
    Kind.DEATH: lambda values: str(values.get("cause", "")),
    Kind.REPLACED: lambda values: str(values.get("cause", "")),
    Kind.RESTART: lambda values: f"attempt {values.get('attempt')}",
    Kind.RETURNED: lambda values: "",
    Kind.END: lambda values: str(values.get("outcome", "")),
}


@dataclass(frozen=True)
class Timeline:
    """A run, as it went on on each node.

    Attributes:
        nodes: `driver` first, then in the order of their numbers.
        spans: by their beginning.
        moments: in the order in which they happened.
        seconds: how long the run lasted, or has lasted.
    """

    nodes: tuple[str, ...]
    spans: tuple[Span, ...]
    moments: tuple[Moment, ...]
    seconds: float

    def plot(self) -> Any:
        """Gives it as a picture, a `matplotlib.figure.Figure`.

        Raises:
            ConfigError: matplotlib is not installed.
        """
        from tfspark_cnn.pictures.lanes import draw

        return draw(self)


def timeline(events: Sequence[Event]) -> Timeline:
    """Gives a run as it went on on each node.

    Args:
        events: of one run, in the order of their times.

    Example:
        >>> timeline(events.read("runs/digits/logs/20260101-120000")).plot()      # doctest: +SKIP
    """
    if not events:
        return Timeline((), (), (), 0.0)
    origin_s, last_s = events[0].time_s, events[-1].time_s
    names = [name for event in events if event.kind is Kind.START for name in event.values.get("nodes", ())]
    known = dict.fromkeys([DRIVER, *names, *(event.node for event in events)])
    spans = sorted(_spans(events, origin_s), key=lambda span: span.began_s)
    moments = [
        Moment(event.node, str(event.kind), event.time_s - origin_s, _MOMENTS[event.kind](event.values))
        for event in events
        if event.kind in _MOMENTS
    ]
    return Timeline(tuple(known), tuple(spans), tuple(moments), last_s - origin_s)


@dataclass
class _Open:
    """A span that has begun."""

    what: str
    began_s: float
    label: str = ""


class _Spans:
    """Puts together what begins and what ends."""

    def __init__(self, origin_s: float) -> None:
        self._origin_s = origin_s
        self._names: Sequence[str] = ()
        self._open: dict[tuple[str, str], _Open] = {}
        self.found: list[Span] = []

    def take(self, event: Event) -> None:
        """Takes in what happened."""
        at_s, node = event.time_s, event.node
        match event.kind:
            case Kind.START:
                self._names = event.values.get("nodes", ())
            case Kind.ATTEMPT:
                self.end(at_s)
                for name in self._names:
                    self._open[name, "life"] = _Open("wait", at_s)
            case Kind.RESERVED:
                self._turn(node, "life", _Open("start", at_s))
            case Kind.ENTERED:
                self._turn(node, "life", _Open("map_fun", at_s))
            case Kind.RETURNED:
                self._close(node, "life", at_s)
            case Kind.FEED:
                feed = str(event.values.get("feed", ""))
                self._open[node, feed] = _Open("feed", at_s, feed)
            case Kind.FED:
                self._fed(event)
            case Kind.EPOCH_BEGIN:
                self._turn(node, "epoch", _Open("epoch", at_s, f"epoch {event.values.get('epoch')}"))
            case Kind.EPOCH_END:
                self._close(node, "epoch", at_s)
            case Kind.DEATH:
                self._close(node, "life", at_s)
                self._close(node, "epoch", at_s)
            case Kind.RESTART | Kind.END:
                self.end(at_s)

    def end(self, at_s: float) -> None:
        """Ends whatever has begun."""
        for node, place in list(self._open):
            self._close(node, place, at_s)

    def _fed(self, event: Event) -> None:
        """Ends a feed when its rows were with the nodes, which is before these have taken them."""
        feed, report = str(event.values.get("feed", "")), event.values.get("report", {})
        begun = self._open.get((event.node, feed))
        sent_s = begun.began_s + float(report.get("sent_s", math.inf)) if begun is not None else math.inf
        self._close(event.node, feed, min(event.time_s, sent_s))

    def _turn(self, node: str, place: str, following: _Open) -> None:
        self._close(node, place, following.began_s)
        self._open[node, place] = following

    def _close(self, node: str, place: str, at_s: float) -> None:
        if (one := self._open.pop((node, place), None)) is not None:
            began_s, ended_s = one.began_s - self._origin_s, at_s - self._origin_s
            self.found.append(Span(node, one.what, began_s, max(began_s, ended_s), one.label))


def _spans(events: Sequence[Event], origin_s: float) -> list[Span]:
    spans = _Spans(origin_s)
    for event in events:
        spans.take(event)
    spans.end(events[-1].time_s)
    return spans.found
