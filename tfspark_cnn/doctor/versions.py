"""Whether driver and nodes run the same Python and packages. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from tfspark_cnn.doctor.findings import Finding, failed, ok, warning
from tfspark_cnn.doctor.observed import DriverView, NodeView, named

PACKAGES = ("tfspark_cnn", "tensorflow", "keras", "pyspark", "pyarrow", "numpy", "pandas")
"""Those whose objects or messages pass between driver and nodes, or that nodes must have in common."""

ON_NODES_ALONE = ("tensorflow", "keras")
"""The driver imports neither, and may do without."""

_SAME = "install the same on driver and executors, or ship one environment to all by --archives"


def python(driver: DriverView, views: Sequence[NodeView]) -> Finding:
    """Compares interpreters: minor versions must be equal, since functions travel as their bytecode."""
    others = [one for one in views if one.installed.python != driver.installed.python]
    if not others:
        return ok("python", f"{driver.installed.python} on the driver and {_everywhere(views)}")
    told = _told(driver.installed.python, {one: one.installed.python for one in others}, views)
    paths = ", ".join(sorted({one.installed.executable for one in others}))
    cure = f"set PYSPARK_PYTHON or spark.pyspark.python to the same Python on all hosts; now executors run {paths}"
    unlike = any(_minor(one.installed.python) != _minor(driver.installed.python) for one in others)
    return (failed if unlike else warning)("python", told, cure=cure)


def packages(driver: DriverView, views: Sequence[NodeView]) -> list[Finding]:
    """Compares the packages; gives one finding for each that differs, or one for all."""
    found = [one for package in PACKAGES for one in _package(package, driver, views)]
    if found:
        return found
    told = ", ".join(f"{name} {version}" for name, version in views[0].installed.packages)
    return [ok("packages", f"equal on the driver and {_everywhere(views)}: {told}")]


def _package(name: str, driver: DriverView, views: Sequence[NodeView]) -> Iterator[Finding]:
    versions = {one: dict(one.installed.packages).get(name, "") for one in views}
    here = dict(driver.installed.packages).get(name, "")
    lacking = [one for one, version in versions.items() if not version]
    if lacking:
        yield failed("packages", f"{name} is not installed on {named(lacking, views)}", cure=_SAME)
        return
    others = {one: version for one, version in versions.items() if version != here}
    if not others or (name in ON_NODES_ALONE and not here and len(set(versions.values())) == 1):
        return
    told = f"{name} is {_told(here or 'not installed', others, views)}"
    strict = name == "tfspark_cnn" or any(_minor(version) != _minor(here) for version in others.values())
    only_driver = name in ON_NODES_ALONE and len(set(versions.values())) == 1
    yield (failed if strict and not only_driver else warning)("packages", told, cure=_SAME)


def _told(here: str, others: Mapping[NodeView, str], views: Sequence[NodeView]) -> str:
    groups: dict[str, list[NodeView]] = {}
    for view, version in others.items():
        groups.setdefault(version, []).append(view)
    there = ", ".join(f"{version} on {named(some, views)}" for version, some in groups.items())
    return f"{here} on the driver, {there}"


def _everywhere(views: Sequence[NodeView]) -> str:
    return "all nodes" if len(views) > 1 else "the node"


def _minor(version: str) -> tuple[str, ...]:
    """Gives major and minor version; what is not numbered stays whole."""
    found = re.match(r"(\d+)\.(\d+)", version)
    return found.groups() if found else (version,)
