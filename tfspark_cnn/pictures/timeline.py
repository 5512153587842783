"""A run as spans and moments on lines of nodes, from its events. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tfspark_cnn.events.schema import DRIVER, Event, Kind


@dataclass(frozen=True)
class Span:
    """What a node, or the driver, did for a while.

    Attributes:
        node: as `worker:1`, or `driver`.
        what: `wait` for a slot, `start`, `feed` or `epoch`.
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


def _spans(events: Sequence[Event], origin_s: float) -> Iterable[Span]:
    begun: dict[tuple[str, str], _Open] = {}
    names: tuple[str, ...] = ()

    def closed(node: str, place: str, at_s: float) -> Iterable[Span]:
        if (one := begun.pop((node, place), None)) is not None:
            yield Span(node, one.what, one.began_s - origin_s, at_s - origin_s, one.label)

    def everything(at_s: float) -> Iterable[Span]:
        for node, place in list(begun):
            yield from closed(node, place, at_s)

    for event in events:
        at_s, node = event.time_s, event.node
        match event.kind:
            case Kind.START:
                names = tuple(event.values.get("nodes", ()))
            case Kind.ATTEMPT:
                yield from everything(at_s)
                begun |= {(name, "life"): _Open("wait", at_s) for name in names}
            case Kind.RESERVED:
                yield from closed(node, "life", at_s)
                begun[node, "life"] = _Open("start", at_s)
            case Kind.ENTERED:
                yield from closed(node, "life", at_s)
            case Kind.FEED:
                feed = str(event.values.get("feed", ""))
                begun[node, feed] = _Open("feed", at_s, feed)
            case Kind.FED:
                # The rows are with the nodes before they have taken them.
                report, feed = event.values.get("report", {}), str(event.values.get("feed", ""))
                one = begun.get((node, feed))
                sent_s = one.began_s + float(report.get("sent_s", at_s - one.began_s)) if one is not None else at_s
                yield from closed(node, feed, min(at_s, sent_s))
            case Kind.EPOCH_BEGIN:
                yield from closed(node, "epoch", at_s)
                begun[node, "epoch"] = _Open("epoch", at_s, f"epoch {event.values.get('epoch')}")
            case Kind.EPOCH_END:
                yield from closed(node, "epoch", at_s)
            case Kind.DEATH:
                yield from closed(node, "epoch", at_s)
            case Kind.RESTART | Kind.END:
                yield from everything(at_s)
            case _:
                pass
    yield from everything(events[-1].time_s)
