"""`model_dir`, as driver and nodes see it: by values, and in real folders."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tfspark_cnn.doctor import folders, shared_folder
from tfspark_cnn.doctor.findings import Status

TOKEN = "0123456789abcdef"


def test_who_cannot_write_is_named(seen: Any) -> None:
    well = folders.model_dir("/m", None, seen.nodes())
    assert well.status is Status.OK and well.seen == "driver and nodes write to the same /m"
    found = folders.model_dir("/m", None, seen.nodes(folder=("could not write /m/x", "let them")))
    assert (found.status, found.seen) == (Status.FAILED, "/m: node 1 (10.0.0.6) could not write /m/x")
    driver = folders.model_dir("/m", ("could not write", "let it"), seen.nodes())
    assert (driver.status, driver.seen, driver.cure) == (Status.FAILED, "the driver could not write", "let it")


def test_a_folder_that_is_shared_is_found_and_nothing_of_it_is_left(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    with shared_folder.marked(str(folder), TOKEN) as problem:
        assert problem is None
        assert shared_folder.look(str(folder), TOKEN, 3) is None
        assert len(list(folder.iterdir())) == 1
    assert list(tmp_path.iterdir()) == []


def test_what_was_there_before_stays(tmp_path: Path) -> None:
    (tmp_path / "model.keras").touch()
    with shared_folder.marked(tmp_path.as_uri(), TOKEN):
        assert shared_folder.look(str(tmp_path), TOKEN, 0) is None
    assert [one.name for one in tmp_path.iterdir()] == ["model.keras"]


def test_another_folder_is_not_the_drivers(tmp_path: Path) -> None:
    with shared_folder.marked(str(tmp_path / "here"), TOKEN):
        assert shared_folder.look(str(tmp_path / "there"), TOKEN, 0) == folders.NOT_SHARED
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("uri", ["{tmp}/file/model", "nosuch://bucket/model"])
def test_a_folder_that_cannot_be_is_told_with_a_cure(tmp_path: Path, uri: str) -> None:
    (tmp_path / "file").touch()
    with shared_folder.marked(uri.format(tmp=tmp_path), TOKEN) as problem:
        assert problem is not None
        message, cure = problem
        assert message.startswith("could not ") and cure
    assert [one.name for one in tmp_path.iterdir()] == ["file"]
