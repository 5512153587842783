"""What the chief writes for TensorBoard besides scalars and the graph, and how often it writes scalars. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tfspark_cnn.errors import ConfigError

MOST_IMAGES = 100
POINT_S = 0.2
"""Scalars of a step are read and written so often at most: an eye follows no more."""

POINTS = 1000
"""TensorBoard draws about so many. After so many points they come less and less often: a day has 7,000 of them."""


@dataclass(frozen=True)
class EventOptions:
    """What `ctx.callbacks` was asked to write.

    Attributes:
        images: of the first batch, as the network gets it; 0: none.
        profile: first and last step, from 1, that TensorFlow's profiler traces; None: none.
    """

    images: int = 0
    profile: tuple[int, int] | None = None

    @classmethod
    def of(cls, images: object = 0, profile: object = None) -> EventOptions:
        """Gives the options that `ctx.callbacks(images=..., profile=...)` means; a step alone is traced alone.

        Raises:
            ConfigError: one of them is none that can be.

        Example:
            >>> EventOptions.of(9, "10,20")
            EventOptions(images=9, profile=(10, 20))
        """
        if isinstance(images, bool) or not isinstance(images, int) or not 0 <= images <= MOST_IMAGES:
            raise ConfigError(f"images is {images!r}, expected 0 to {MOST_IMAGES}", hint="pass images=9; 0: none")
        return cls(images, _steps(profile))


def _steps(profile: Any) -> tuple[int, int] | None:
    if profile in (None, "", 0):
        return None
    parts = profile.split(",") if isinstance(profile, str) else profile
    try:
        found = [int(one) for one in (parts if isinstance(parts, (list, tuple)) else [parts])]
    except (TypeError, ValueError):
        found = []
    if len(found) not in (1, 2) or not 1 <= found[0] <= found[-1]:
        raise ConfigError(
            f"profile is {profile!r}, expected the first and the last step to trace",
            hint='pass profile=(10, 20), or output.profile = "10,20": from step 10 to step 20',
        )
    return found[0], found[-1]


def next_point_s(began_s: float, now_s: float) -> float:
    """Gives when the next point of a curve is due, after one at `now_s`; all in seconds of one clock.

    Example:
        >>> next_point_s(0.0, 10.0), next_point_s(0.0, 3600.0)
        (10.2, 3603.6)
    """
    return now_s + max(POINT_S, (now_s - began_s) / POINTS)
