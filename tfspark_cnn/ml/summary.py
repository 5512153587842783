"""How a network was trained, as its model tells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class TrainingSummary:
    """How a network was trained.

    Attributes:
        history: metric to its values by epoch, as Keras' `History.history`.
        fit_s: seconds that the last attempt trained.
        weights: how many the network has.
        attempts: what became of each attempt, in words.
    """

    history: Mapping[str, Sequence[float]] = field(default_factory=dict)
    fit_s: float = 0.0
    weights: int = 0
    attempts: Sequence[str] = ()

    def __str__(self) -> str:
        last = ", ".join(f"{name} {values[-1]:.4g}" for name, values in self.history.items() if values)
        epochs = max(map(len, self.history.values()), default=0)
        return f"{self.weights:,} weights, {epochs} epochs in {self.fit_s:.1f} s: {last or 'no metrics'}"
