"""Which reports of steps are kept: so many that a run of any length can be drawn, and its file stays small. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

EVERY_S = 1.0
"""A report of each node is kept so often in the first minutes."""

DENSE_S = 600.0
"""After so long they are kept ever more rarely, in proportion to how long the run has lasted: at a rate of one in
`age / 600` seconds a day has 3,600 reports of each node, and ten days have 5,000."""


@dataclass
class Sampling:
    """Says of each report whether it is kept.

    Attributes:
        began_s: when the run began.
    """

    began_s: float
    _kept_s: dict[str, float] = field(default_factory=dict)

    def keeps(self, node: str, now_s: float) -> bool:
        """Tells whether a report that a node makes now is kept, and takes note of it.

        Example:
            >>> sampling = Sampling(0.0)
            >>> [sampling.keeps("chief:0", now_s) for now_s in (0.2, 0.4, 1.3)]
            [True, False, True]
        """
        every_s = EVERY_S * max(1.0, (now_s - self.began_s) / DENSE_S)
        if node in self._kept_s and now_s - self._kept_s[node] < every_s:
            return False
        self._kept_s[node] = now_s
        return True
