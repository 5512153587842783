"""What happened in a run: metrics by epoch, a timeline, pictures of both, and a verdict; all of it from its events."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tfspark_cnn import events as event_files
from tfspark_cnn.cluster.verdict import NodeTimes, Verdict, verdict
from tfspark_cnn.events.curves import last_figures, metrics_by_epoch
from tfspark_cnn.events.schema import Event, Kind
from tfspark_cnn.pictures.timeline import Timeline, timeline

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class History:
    """What happened in a run. `cluster.history()` gives it, or `History.read` of its file of events.

    Args:
        events: in the order of their times.

    Attributes:
        events: likewise.

    Example:
        >>> history = History.read("runs/digits/logs/20260101-120000")       # doctest: +SKIP
        >>> history.plot().savefig("curves.png")                              # doctest: +SKIP
        >>> print(history.verdict())                                          # doctest: +SKIP
    """

    def __init__(self, events: Sequence[Event]) -> None:
        self.events = tuple(events)

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> History:
        """Gives the history of a run from its file of events, or from the newest one in its `log_dir`.

        Raises:
            SourceError: there is none.
            CorruptFileError: it is none.
        """
        return cls(event_files.read(path))

    @property
    def metrics(self) -> dict[str, list[float]]:
        """Metric to its values by epoch, as Keras' `History.history`; empty where no epoch has ended."""
        return metrics_by_epoch(self.events)

    def plot(self) -> Figure:
        """Gives the metrics by epoch as a picture; those of validation beside those of training.

        Raises:
            ConfigError: no epoch has ended, or matplotlib is not installed.
        """
        from tfspark_cnn.pictures.curves import draw

        return draw(self.metrics)

    def timeline(self) -> Timeline:
        """Gives the run as it went on on each node, as data, and by `.plot()` as a picture."""
        return timeline(self.events)

    def verdict(self) -> Verdict:
        """Gives what bound the run, by how much, and what to turn."""
        start: Mapping[str, Any] = next((one.values for one in self.events if one.kind is Kind.START), {})
        reports = [one.values["report"] for one in self.events if one.kind is Kind.FED and "report" in one.values]
        fed = any(one.kind is Kind.FEED for one in self.events)
        nodes = [_times(name, values, fed=fed) for name, values in last_figures(self.events).items()]
        source = None
        if reports:
            source = sum(one["source_s"] for one in reports) >= sum(one["deal_s"] + one["send_s"] for one in reports)
        return verdict(
            nodes, asynchronous="ps" in start.get("roles", ()), source=source, cache=str(start.get("cache", ""))
        )

    def __repr__(self) -> str:
        last = {name: f"{values[-1]:.4g}" for name, values in self.metrics.items()}
        return f"History({len(self.events)} events, {', '.join(f'{name} {text}' for name, text in last.items())})"


def _times(name: str, values: Mapping[str, Any], *, fed: bool) -> NodeTimes:
    return NodeTimes(
        name,
        steps=int(values["timed_steps"]),
        seconds=float(values["timed_s"]),
        waited_s=float(values.get("waited_s", 0.0)) if fed else None,
        first_waited_s=float(values.get("first_waited_s", 0.0)) if fed else 0.0,
        own_steps=int(values.get("own_steps", 0)),
        own_s=float(values.get("own_s", 0.0)),
        gpu_percent=values.get("gpu_percent"),
    )
