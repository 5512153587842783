"""The table of what is downloaded: each source has what its reader looks for, under the names it looks for."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tfspark_cnn import data
from tfspark_cnn.data import cifar, idx
from tfspark_cnn.data.cifar_batches import CIFAR10, CIFAR100
from tfspark_cnn.data.published import names, owners, published
from tfspark_cnn.errors import ConfigError


def test_all_sources_in_folders_can_be_downloaded() -> None:
    sources = [data.source(name) for name in data.names()]
    assert list(names()) == [one.name for one in sources if one.in_folder and one.encoding == "raw"]


@pytest.mark.parametrize("name", names())
def test_sums_are_sums_and_places_are_beginnings_of_urls(name: str) -> None:
    found = published(name)
    assert all(re.fullmatch("[0-9a-f]{64}", file.sha256) and file.size_bytes > 4000 for file in found.files)
    assert all(re.fullmatch(r"https?://[^?]+/", place) for place in found.places) and len(found.places) > 1
    assert {owners()[file.sha256] for file in found.files} == {name}


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist"])
def test_the_reader_of_idx_files_finds_them_as_they_are_named(name: str, tmp_path: Path) -> None:
    for file in published(name).files:
        (tmp_path / file.name).write_bytes(b"")
    found = {path for train in (True, False) for path in idx.pair_in(tmp_path, train=train)}
    assert found == {str(tmp_path / file.name) for file in published(name).files}


@pytest.mark.parametrize(("name", "kind"), [("cifar10", CIFAR10), ("cifar100", CIFAR100)])
def test_the_reader_of_cifar_finds_the_archive_in_the_folder(name: str, kind, tmp_path: Path) -> None:
    (file,) = published(name).files
    (tmp_path / file.name).write_bytes(b"")
    (tmp_path / f"{file.name}.part").write_bytes(b"")
    for train in (True, False):
        assert cifar._files(str(tmp_path), kind, train=train) == [str(tmp_path / file.name)]


def test_a_mirror_takes_the_place_of_all_others() -> None:
    assert published("cifar10").at("file:///data").urls("x") == ("file:///data/x",)


def test_another_name_is_refused() -> None:
    with pytest.raises(ConfigError, match="received 'cifar'\n.*did you mean 'cifar1"):
        published("cifar")
