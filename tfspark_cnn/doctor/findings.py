"""What an examination finds, and how it reads. Pure.

Example:
    >>> print(Report((ok("java", "Java 17"), failed("clocks", "node 1 is 400 s ahead", cure="run chrony")), nodes=2))
    ok       java: Java 17
    failed   clocks: node 1 is 400 s ahead
      to do: run chrony
    2 nodes examined in 0.0 s: 1 failed
"""

from __future__ import annotations

import html
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any


class Status(StrEnum):
    """How bad a finding is: nothing to do, training suffers, or a run fails."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        name: of what was looked at, as `ports`; several findings may share it.
        status: how bad it is.
        seen: what was seen, in a line.
        cure: what to do, in a line; empty if there is nothing to do.
    """

    name: str
    status: Status
    seen: str
    cure: str = ""

    def __str__(self) -> str:
        cure = f"\n  to do: {self.cure}" if self.cure else ""
        return f"{self.status:<8} {self.name}: {self.seen}{cure}"


def ok(name: str, seen: str) -> Finding:
    """Gives a finding with nothing to do."""
    return Finding(name, Status.OK, _line(seen))


def warning(name: str, seen: str, *, cure: str) -> Finding:
    """Gives a finding with which a run is possible."""
    return Finding(name, Status.WARNING, _line(seen), _line(cure))


def failed(name: str, seen: str, *, cure: str) -> Finding:
    """Gives a finding with which a run fails."""
    return Finding(name, Status.FAILED, _line(seen), _line(cure))


def _line(text: str) -> str:
    """What others say, as Spark, may be a page."""
    return " ".join(text.split())[:1000]


@dataclass(frozen=True)
class Report:
    """All findings of an examination. In a notebook it shows itself.

    Attributes:
        findings: in the order in which they were looked for.
        nodes: how many nodes were examined.
        seconds: that it took.
    """

    findings: tuple[Finding, ...]
    nodes: int = 0
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        """Whether nothing failed."""
        return not self.failed

    @property
    def failed(self) -> tuple[Finding, ...]:
        """The findings with which a run fails."""
        return self._of(Status.FAILED)

    @property
    def warnings(self) -> tuple[Finding, ...]:
        """The findings with which a run suffers."""
        return self._of(Status.WARNING)

    def of(self, name: str) -> tuple[Finding, ...]:
        """Gives the findings of that name."""
        return tuple(one for one in self.findings if one.name == name)

    def as_dict(self) -> dict[str, Any]:
        """Gives plain values, for JSON."""
        return {"ok": self.ok, **asdict(self)}

    def __str__(self) -> str:
        told = f"{self.nodes} node{'s' * (self.nodes != 1)} examined in {self.seconds:.1f} s"
        return "\n".join([*map(str, self.findings), f"{told}: {self._verdict()}"])

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(str(self))}</pre>"

    def _verdict(self) -> str:
        bad, worth = len(self.failed), len(self.warnings)
        parts = [f"{bad} failed"] * bool(bad) + [f"{worth} warning{'s' * (worth != 1)}"] * bool(worth)
        return ", ".join(parts) or "all well"

    def _of(self, status: Status) -> tuple[Finding, ...]:
        return tuple(one for one in self.findings if one.status is status)


def told(findings: Iterable[Finding]) -> str:
    """Gives what failed as one line, for the hint of an error; empty where nothing did.

    Example:
        >>> told([ok("java", "17"), failed("ports", "node 0 cannot reach node 1", cure="open them")])
        'ports: node 0 cannot reach node 1, so open them'
    """
    return "; ".join(f"{one.name}: {one.seen}, so {one.cure}" for one in findings if one.status is Status.FAILED)
