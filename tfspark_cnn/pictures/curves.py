"""Metrics by epoch: a plot for each metric, training and validation in one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tfspark_cnn.errors import ConfigError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

VALIDATION = "val_"
COLUMNS = 3
MARKED_EPOCHS = 40
"""Points are marked as long as there are no more of them; further ones would run into each other."""


def draw(metrics: Mapping[str, Sequence[float]]) -> Figure:
    """Gives the picture of metrics by epoch, the loss first.

    Args:
        metrics: to their values by epoch, as Keras' `History.history`.

    Raises:
        ConfigError: there are none, or matplotlib is not installed.
    """
    if not any(metrics.values()):
        raise ConfigError(
            "there are no metrics to draw: no epoch has ended, or fit told of none",
            hint="pass callbacks=ctx.callbacks() to fit",
        )
    from tfspark_cnn.pictures.figure import picture

    names = sorted(plots(metrics), key=lambda name: name != "loss")
    columns = min(COLUMNS, len(names))
    rows = -(-len(names) // columns)
    figure = picture(4.6 * columns, 3.4 * rows)
    for number, name in enumerate(names, 1):
        _plot(figure.add_subplot(rows, columns, number), name, metrics)
    return figure


def plots(metrics: Mapping[str, Sequence[float]]) -> list[str]:
    """Gives the metrics that have a plot: those of validation are in that of the metric itself.

    Example:
        >>> plots({"loss": [1.0], "val_loss": [1.1], "accuracy": [0.9]})
        ['loss', 'accuracy']
    """
    return list(dict.fromkeys(name.removeprefix(VALIDATION) for name, values in metrics.items() if values))


def _plot(axes: Any, name: str, metrics: Mapping[str, Sequence[float]]) -> None:
    from matplotlib.ticker import MaxNLocator

    from tfspark_cnn.pictures.figure import COLOURS

    both = [("training", metrics.get(name, ()), "-"), ("validation", metrics.get(VALIDATION + name, ()), "--")]
    shown = [(label, values, style) for label, values, style in both if values]
    for colour, (label, values, style) in zip(COLOURS, shown, strict=False):
        marker = "o" if len(values) <= MARKED_EPOCHS else ""
        axes.plot(range(1, len(values) + 1), values, style, marker=marker, markersize=4, color=colour, label=label)
    axes.set_title(name.replace("_", " "))
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    if len(shown) > 1:
        axes.legend(frameon=False)
