"""A run on one line for each node: waiting, starting, feeding, epochs, and what happened in between."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tfspark_cnn.errors import ConfigError
from tfspark_cnn.pictures.timeline import Span, Timeline

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SPANS = {
    "wait": ("waits for a slot", "#d9d9d9"),
    "start": ("starts", "#fdbf6f"),
    "map_fun": ("runs map_fun", "#d0e4f3"),
    "feed": ("Spark feeds", "#b2df8a"),
    "epoch": ("trains an epoch", "#1f78b4"),
}
MOMENTS = {
    "checkpoint": ("checkpoint", "v", "#33a02c"),
    "resumed": ("goes on from a checkpoint", ">", "#6a3d9a"),
    "death": ("dies", "X", "#e31a1c"),
    "replaced": ("is started again", "P", "#ff7f00"),
    "restart": ("next attempt", "|", "#e31a1c"),
}
"""How each is called and drawn; the end, and the return of a node, show by themselves."""

BAR = 0.6
SMALLEST_LABEL = 0.03
"""An epoch has its number on it where its bar is so much of the width."""


def draw(timeline: Timeline) -> Figure:
    """Gives the picture of a timeline.

    Raises:
        ConfigError: there is nothing on it, or matplotlib is not installed.
    """
    if not timeline.nodes:
        raise ConfigError("there are no events to draw", hint="pass those of a run, as tfspark_cnn.events.read gives")
    from tfspark_cnn.pictures.figure import picture

    figure = picture(10, 1.5 + 0.45 * len(timeline.nodes))
    axes = figure.add_subplot()
    places = {name: number for number, name in enumerate(timeline.nodes)}
    for span in timeline.spans:
        _bar(axes, span, places[span.node], timeline.seconds)
    for moment in timeline.moments:
        if moment.what in MOMENTS:
            _, marker, colour = MOMENTS[moment.what]
            above = places[moment.node] - (BAR / 2 if moment.what == "checkpoint" else 0)  # epochs are numbered below
            axes.plot([moment.at_s], [above], marker, color=colour, markersize=8, zorder=3, clip_on=False)
    for restart in (moment for moment in timeline.moments if moment.what == "restart"):
        axes.axvline(restart.at_s, color="#e31a1c", linewidth=1, linestyle=":")
    axes.set_yticks(range(len(places)), list(places))
    axes.set_ylim(len(places) - 0.5, -0.5)
    axes.set_xlim(0, max(timeline.seconds, 0.001))
    axes.set_xlabel("seconds since the beginning")
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(left=False)
    figure.legend(handles=_legend(timeline), loc="outside lower center", ncols=4, frameon=False, fontsize="small")
    return figure


def _bar(axes: Any, span: Span, place: int, seconds: float) -> None:
    _, colour = SPANS[span.what]
    width = span.ended_s - span.began_s
    axes.barh(place, width, left=span.began_s, height=BAR, color=colour, edgecolor="white", linewidth=0.5)
    if span.what == "epoch" and width > SMALLEST_LABEL * seconds:
        number = span.label.rpartition(" ")[2]
        axes.text(
            span.began_s + width / 2, place, number, ha="center", va="center", color="white", fontsize="small"
        )  # fmt: skip


def _legend(timeline: Timeline) -> list[Any]:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    seen = {span.what for span in timeline.spans} | {moment.what for moment in timeline.moments}
    patches = [Patch(color=colour, label=label) for what, (label, colour) in SPANS.items() if what in seen]
    return patches + [
        Line2D([], [], color=colour, marker=marker, linestyle="", label=label)
        for what, (label, marker, colour) in MOMENTS.items()
        if what in seen
    ]
