"""Files in local folders, listed, opened, and refused."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from tfspark_cnn.data import storage
from tfspark_cnn.errors import CorruptFileError, SourceError


def test_files_of_a_folder_come_by_name_with_their_sizes_and_without_hidden_ones(tmp_path: Path) -> None:
    for name in ("b.gz", "a.gz", "_SUCCESS", ".a.gz.crc", "c.txt"):
        (tmp_path / name).write_bytes(b"12")
    (tmp_path / "folder.gz").mkdir()
    found = storage.files_at(tmp_path, suffixes=(".gz",))
    assert found == ((f"{tmp_path}/a.gz", 2), (f"{tmp_path}/b.gz", 2))
    assert storage.files_at(f"file://{tmp_path}/c.txt")[0].name == "c.txt"
    assert storage.files_at(f"file://{tmp_path}", suffixes=(".txt",)) == ((f"file://{tmp_path}/c.txt", 2),)


def test_gzip_is_known_by_its_bytes_and_not_by_the_name(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(gzip.compress(b"one"))
    (tmp_path / "b.gz").write_bytes(b"two")
    for name, expected in (("a", b"one"), ("b.gz", b"two")):
        with storage.opened(str(tmp_path / name)) as file:
            assert file.read() == expected


def test_what_is_not_there_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"at .*/gone, received nothing\n.*every executor"):
        storage.files_at(tmp_path / "gone")
    with pytest.raises(SourceError, match="could not read .*/gone"), storage.opened(str(tmp_path / "gone")):
        pass
    with pytest.raises(SourceError, match="could not read nix://x/y"):
        storage.files_at("nix://x/y")


@pytest.mark.parametrize("keep", [-1, 5])
def test_a_cut_gzip_file_is_an_error_that_names_it(tmp_path: Path, keep: int) -> None:
    path = tmp_path / "a.gz"
    path.write_bytes(gzip.compress(bytes(1000))[:keep])
    with pytest.raises(CorruptFileError, match=r"a\.gz: expected a whole gzip file.*\n.*again"):
        with storage.opened(str(path)) as file:
            file.read()


def test_a_changed_gzip_file_is_an_error_that_names_it(tmp_path: Path) -> None:
    path, whole = tmp_path / "a.gz", bytearray(gzip.compress(bytes(range(256))))
    whole[-6] ^= 1  # of the checksum
    path.write_bytes(whole)
    with pytest.raises(CorruptFileError, match=r"a\.gz: expected a whole gzip file, received: CRC check failed"):
        with storage.opened(str(path)) as file:
            file.read()


def test_of_two_open_files_the_error_names_the_one_that_is_cut(tmp_path: Path) -> None:
    for name, data in (("outer", gzip.compress(bytes(1000))[:-5]), ("inner", b"whole")):
        (tmp_path / name).write_bytes(data)
    with storage.opened(f"{tmp_path}/outer") as outer, storage.opened(f"{tmp_path}/inner") as inner:
        assert inner.read() == b"whole"
        with pytest.raises(CorruptFileError, match="outer: expected a whole gzip file"):
            outer.read()


def test_names_with_spaces_and_signs_are_found_under_uris_too(tmp_path: Path) -> None:
    (tmp_path / "a b%20#.gz").write_bytes(b"1")
    for root in (str(tmp_path), tmp_path.as_uri()):
        (found,) = storage.files_at(root)
        assert found.name == "a b%20#.gz"
        with storage.opened(found.uri) as file:
            assert file.read() == b"1"
