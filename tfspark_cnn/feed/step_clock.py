"""Whether a wait for rows kept the training waiting, or was over before the rows at hand were used up. Pure."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass


@dataclass
class StepClock:
    """When training has ended a step, and which; told by a callback, read by who has waited for rows.

    Rows are read ahead of the steps. A wait costs time only from the moment at which the steps that have rows are done.
    What is told before steps are known to be done, as on a GPU that is still at work, counts as done.

    Attributes:
        steps: of the pass that are done.
        ended_s: when the last one was, by `time.monotonic`; infinite: nobody tells.
        starved_s: seconds that training stood still for want of rows.
    """

    steps: int = 0
    ended_s: float = math.inf
    starved_s: float = 0.0

    def waited(self, seconds: float, *, given: int, now_s: float | None = None) -> None:
        """Takes note of a wait that has just ended.

        Args:
            seconds: how long it was.
            given: steps of the pass whose rows were given out before.
            now_s: when it ended.

        Example:
            >>> clock = StepClock(steps=5, ended_s=10.0)
            >>> clock.waited(3.0, given=5, now_s=11.0)      # for the sixth, from 8 on, and the fifth was done at 10
            >>> clock.waited(3.0, given=7, now_s=12.0)      # for the eighth, and the sixth is under way
            >>> clock.starved_s
            1.0
        """
        if self.steps < given:
            return
        ended_s = time.monotonic() if now_s is None else now_s
        self.starved_s += max(0.0, min(seconds, ended_s - self.ended_s))
