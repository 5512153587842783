"""Versions are those of what would be imported, wherever it lies."""

from __future__ import annotations

import platform
import re
import zipfile
from importlib import metadata
from pathlib import Path

import pytest

from tfspark_cnn.doctor import host, installed
from tfspark_cnn.doctor.versions import PACKAGES


def test_this_interpreter_has_all_packages() -> None:
    found = installed.installed()
    assert found.python == platform.python_version()
    assert dict(found.packages)["numpy"] == metadata.version("numpy")
    assert tuple(name for name, version in found.packages if version) == PACKAGES
    assert re.fullmatch(r"\d+\.\d+\.\d+ \([0-9a-f]{8}\)", dict(found.packages)["tfspark_cnn"])


def package(folder: Path, name: str, source: str) -> None:
    (folder / name).mkdir()
    (folder / name / "__init__.py").write_text(source)


def test_a_package_that_shadows_another_is_the_one_that_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package(tmp_path, "pandas", '__version__ = "0.1.2"\n')
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(__import__("sys").modules, "pandas", raising=False)
    assert installed.version_of("pandas") == "0.1.2"


def test_a_package_in_an_archive_has_the_version_of_its_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with zipfile.ZipFile(tmp_path / "made_up.zip", "w") as archive:
        archive.writestr("made_up/__init__.py", "")
        archive.writestr("made_up/version.py", '__version__: str = "4.1.4"\n')
    monkeypatch.syspath_prepend(str(tmp_path / "made_up.zip"))
    assert installed.version_of("made_up") == "4.1.4"


def test_a_package_that_tells_nothing_is_there_and_one_that_is_not_is_empty(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package(tmp_path, "tells_nothing", "")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert installed.version_of("tells_nothing") == "of unknown version"
    assert installed.version_of("not_there") == ""


def test_the_host_tells_its_name_disks_and_memory(tmp_path: Path) -> None:
    here = host.host()
    assert here.name and here.machine.startswith(here.name) and here == host.host()
    assert host.disk(str(tmp_path)).free_bytes > 0 and host.disk(str(tmp_path)).problem == ""
    assert host.disk(str(tmp_path / "nowhere")).problem == "No such file or directory"
    assert (host.memory().available_bytes or 0) > 1 << 20
