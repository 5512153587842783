"""Whether there is room for rows that memory has no room for. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from tfspark_cnn.doctor.findings import Finding, failed, ok, warning
from tfspark_cnn.doctor.observed import NodeView, gib

WARN_BYTES = 5 << 30
"""Data sets that go to disk are larger than a quarter of a host's memory, and so seldom smaller than this."""

FAIL_BYTES = 1 << 29
"""Spark's own shuffle files, logs and shipped packages would not fit either."""

_CURE = "let spark.local.dir (SPARK_LOCAL_DIRS, or YARN's) name a disk with room, or free some"


def disks(views: Sequence[NodeView]) -> Finding:
    """Tells of the local directory that is worst off."""
    found = [(disk, view) for view in views for disk in view.disks]
    broken = [(disk, view) for disk, view in found if disk.problem]
    if broken:
        disk, view = broken[0]
        return failed("disk", f"{view.name} cannot write to {disk.path}: {disk.problem}", cure=_CURE)
    if not found:
        return failed("disk", "no node has a local directory", cure=_CURE)
    disk, view = min(found, key=lambda one: one[0].free_bytes)
    told = f"{gib(disk.free_bytes)} free in {disk.path} of {view.name}"
    if disk.free_bytes < WARN_BYTES:
        return (failed if disk.free_bytes < FAIL_BYTES else warning)("disk", told, cure=_CURE)
    return ok("disk", f"at least {told}")
