"""Versions of Python and packages are compared."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tfspark_cnn.doctor import versions
from tfspark_cnn.doctor.findings import Status
from tfspark_cnn.doctor.observed import Installed


def having(installed: Installed, **changed: str) -> Installed:
    return replace(installed, packages=tuple((name, changed.get(name, one)) for name, one in installed.packages))


def test_the_same_everywhere_is_ok(seen: Any) -> None:
    assert versions.python(seen.driver, seen.nodes()).status is Status.OK
    (found,) = versions.packages(seen.driver, seen.nodes())
    assert found.status is Status.OK and "tensorflow 2.4.1" in found.seen


@pytest.mark.parametrize(
    ("package", "there", "status"),
    [
        ("numpy", "9.9.0", Status.FAILED),
        ("numpy", "2.5.1", Status.FAILED),
        ("numpy", "2.4.6", Status.WARNING),
        ("tensorflow", "2.20.0", Status.FAILED),
        ("tfspark_cnn", "2.4.1 (0badcafe)", Status.FAILED),
        ("pyspark", "of unknown version", Status.FAILED),
    ],
)
def test_another_version_on_one_node_names_it(seen: Any, package: str, there: str, status: Status) -> None:
    nodes = seen.nodes(installed=having(seen.driver.installed, **{package: there}))
    (found,) = versions.packages(seen.driver, nodes)
    assert (found.status, found.name) == (status, "packages")
    assert found.seen == f"{package} is 2.4.1 on the driver, {there} on node 1 (10.0.0.6)"
    assert "--archives" in found.cure


def test_another_version_on_all_nodes_is_told_once(seen: Any) -> None:
    other = having(seen.driver.installed, pandas="1.5.0")
    (found,) = versions.packages(seen.driver, [replace(one, installed=other) for one in seen.nodes()])
    assert found.seen == "pandas is 2.4.1 on the driver, 1.5.0 on every node"


def test_a_package_that_a_node_lacks_is_named(seen: Any) -> None:
    nodes = seen.nodes(installed=having(seen.driver.installed, tensorflow="", numpy="9.9"))
    assert {found.seen for found in versions.packages(seen.driver, nodes)} == {
        "tensorflow is not installed on node 1 (10.0.0.6)",
        "numpy is 2.4.1 on the driver, 9.9 on node 1 (10.0.0.6)",
    }


@pytest.mark.parametrize(("here", "status"), [("", Status.OK), ("2.3.0", Status.WARNING)])
def test_a_driver_may_do_without_tensorflow(seen: Any, here: str, status: Status) -> None:
    driver = replace(seen.driver, installed=having(seen.driver.installed, tensorflow=here))
    (found,) = versions.packages(driver, seen.nodes())
    assert found.status is status


@pytest.mark.parametrize(("there", "status"), [("3.12.7", Status.FAILED), ("3.11.9", Status.WARNING)])
def test_another_python_is_told_with_its_path(seen: Any, there: str, status: Status) -> None:
    other = replace(seen.driver.installed, python=there, executable="/usr/bin/python3")
    found = versions.python(seen.driver, seen.nodes(installed=other))
    assert found.status is status
    assert there in found.seen and "/usr/bin/python3" in found.cure and "PYSPARK_PYTHON" in found.cure
