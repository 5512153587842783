"""How a network was trained, as its model tells."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class TrainingSummary:
    """How a network was trained.

    Attributes:
        history: metric to its values by epoch, as Keras' `History.history`.
        fit_s: seconds that the last attempt trained.
        weights: how many the network has.
        attempts: what became of each attempt, in words.
        verdict: what bound the training, and what to turn, in words.
    """

    history: Mapping[str, Sequence[float]] = field(default_factory=dict)
    fit_s: float = 0.0
    weights: int = 0
    attempts: Sequence[str] = ()
    verdict: str = ""

    def plot(self) -> Figure:
        """Gives the metrics by epoch as a picture; those of validation beside those of training.

        Raises:
            ConfigError: there are none, or matplotlib is not installed.

        Example:
            >>> model.summary.plot().savefig("curves.png")                    # doctest: +SKIP
        """
        from tfspark_cnn.pictures.curves import draw

        return draw(self.history)

    def first_epoch_without_a_loss(self) -> int | None:
        """Gives the first epoch, from 1 on, whose loss is NaN or infinite; None where there is none.

        Example:
            >>> TrainingSummary({"loss": [2.3, float("nan")]}).first_epoch_without_a_loss()
            2
        """
        losses = self.history.get("loss", ())
        return next((epoch for epoch, loss in enumerate(losses, 1) if not math.isfinite(loss)), None)

    def __str__(self) -> str:
        last = ", ".join(f"{name} {values[-1]:.4g}" for name, values in self.history.items() if values)
        epochs = max(map(len, self.history.values()), default=0)
        return f"{self.weights:,} weights, {epochs} epochs in {self.fit_s:.1f} s: {last or 'no metrics'}"
