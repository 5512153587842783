"""Figures without pyplot: the one module that imports matplotlib when it is imported."""

from __future__ import annotations

import io

from tfspark_cnn.errors import ConfigError

try:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
except ImportError as error:
    raise ConfigError(
        "pictures need matplotlib, which is not installed",
        hint="pip install 'tfspark_cnn[plot]', or pip install matplotlib",
    ) from error

DOTS_PER_INCH = 100
COLOURS = ("#1f77b4", "#ff7f0e", "#2ca02c", "#d62728", "#9467bd", "#8c564b", "#e377c2", "#7f7f7f")
"""Of lines, one after the other."""


class Picture(Figure):
    """A figure that a notebook shows by itself, whether or not pyplot was ever imported."""

    def _repr_png_(self) -> bytes:
        body = io.BytesIO()
        self.savefig(body, format="png")
        return body.getvalue()


def picture(width: float, height: float) -> Picture:
    """Gives an empty figure of some inches, on which what is drawn makes room for its labels."""
    figure = Picture(figsize=(width, height), dpi=DOTS_PER_INCH, layout="constrained")
    FigureCanvasAgg(figure)
    return figure
