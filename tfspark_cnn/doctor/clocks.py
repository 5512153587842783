"""How far nodes' clocks are off the driver's, as far as the network lets us know. Pure.

A node asks the driver for its time. The answer was made between question and answer, so the difference is known to
within half of the time that both took (RFC 5905, section 8).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from tfspark_cnn.doctor.findings import Finding, failed, ok, warning
from tfspark_cnn.doctor.observed import Clock, NodeView

WARN_S = 1.0
"""From here on the times of several nodes' logs and event files mislead."""

FAIL_S = 300.0
"""Kerberos refuses tickets from here on (RFC 4120, section 8.2), S3 signatures after 15 minutes."""

_CURE = "let all hosts keep their clocks by NTP, as with `systemctl enable --now chronyd`"


class Exchange(NamedTuple):
    """A question for the time: when it was sent and answered by the node's clock, and the driver's time in it."""

    sent_s: float
    told_s: float
    received_s: float


def clock(exchanges: Iterable[Exchange]) -> Clock | None:
    """Gives how far the node is ahead, by the exchange that was quickest; None without any.

    Example:
        >>> clock([Exchange(100.0, 40.5, 101.0), Exchange(110.0, 45.0, 130.0)])
        Clock(ahead_s=60.0, error_s=0.5)
    """
    quickest = min(exchanges, key=lambda one: one.received_s - one.sent_s, default=None)
    if quickest is None:
        return None
    sent_s, told_s, received_s = quickest
    return Clock((sent_s + received_s) / 2 - told_s, abs(received_s - sent_s) / 2)


def clocks(views: Sequence[NodeView]) -> Finding | None:
    """Tells of the node that is furthest off for certain; None where no driver answered."""
    known = [(_surely_off_s(view.clock), view, view.clock) for view in views if view.clock is not None]
    if not known:
        return None
    off_s, view, worst = max(known, key=lambda one: one[0])
    if off_s <= WARN_S:
        most_s = max(abs(one.ahead_s) + one.error_s for _, _, one in known)
        return ok("clocks", f"within {most_s:.3f} s of the driver's")
    way = "ahead of" if worst.ahead_s > 0 else "behind"
    told = f"the clock of {view.name} is {abs(worst.ahead_s):.1f} s {way} the driver's (known to {worst.error_s:.3f} s)"
    return (failed if off_s > FAIL_S else warning)("clocks", told, cure=_CURE)


def _surely_off_s(one: Clock) -> float:
    return max(abs(one.ahead_s) - one.error_s, 0.0)
