"""CIFAR's archives, folders and files, of both versions, and what is wrong with bad ones; no Spark here."""

from __future__ import annotations

import gzip
import io
import os
import pickle
import tarfile
from pathlib import Path
from typing import Any

import made_files
import numpy as np
import pytest

from tfspark_cnn.data import cifar
from tfspark_cnn.data.cifar import CifarFile, read_file
from tfspark_cnn.data.cifar_batches import CIFAR10, CIFAR100, Kind
from tfspark_cnn.errors import CorruptFileError, SourceError

IMAGES = made_files.images(24, 32, 32, 3)
FINE = np.arange(24) % 10
COARSE = np.arange(24) % 7
NO_SPARK: Any = None
PARTS = {**made_files.cifar10_parts(20), "test_batch": slice(20, 24)}


def rows_of(path: str | Path, kind: Kind = CIFAR10, *, train: bool = True) -> dict[str, list[Any]]:
    batches = list(read_file(CifarFile(str(path), kind, train)))
    return {name: [row for batch in batches for row in batch[name].to_pylist()] for name in batches[0].schema.names}


def binaries() -> dict[str, bytes]:
    return {
        f"cifar-10-batches-bin/{name}.bin": made_files.cifar_records(IMAGES[part], FINE[part])
        for name, part in PARTS.items()
    }


def pickles(protocol: int = 2) -> dict[str, bytes]:
    batches = {
        f"cifar-10-batches-py/{name}": made_files.cifar_pickle(IMAGES[part], protocol, labels=FINE[part])
        for name, part in PARTS.items()
    }
    return {"cifar-10-batches-py/batches.meta": pickle.dumps({"label_names": ["airplane"]}), **batches}


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("files", [binaries(), pickles(), pickles(5)], ids=["binary", "python 2", "python 3"])
def test_an_archive_gives_its_training_rows_or_its_test_rows(
    tmp_path: Path, files: dict[str, bytes], zipped: bool
) -> None:
    path = made_files.write(tmp_path / "archive", made_files.tar(files, zipped=zipped))
    for train, part in ((True, slice(0, 20)), (False, slice(20, 24))):
        rows = rows_of(path, train=train)
        assert rows["image"] == [image.tobytes() for image in IMAGES[part]], "height, width, channels"
        assert rows["label"] == FINE[part].tolist()
        assert rows["name"] == [CIFAR10.names[label] for label in FINE[part]]


@pytest.mark.parametrize("name", ["train.bin", "train.bin.gz", "train"])
def test_a_file_of_cifar_100_has_both_labels(tmp_path: Path, name: str) -> None:
    records = made_files.cifar_records(IMAGES, COARSE, FINE)
    pickled = made_files.cifar_pickle(IMAGES, coarse_labels=COARSE, fine_labels=FINE)
    made_files.write(tmp_path / name, records if ".bin" in name else pickled, zipped=name.endswith(".gz"))
    rows = rows_of(tmp_path / name, CIFAR100)
    assert list(rows) == ["image", "coarse_label", "label", "name"]
    assert (rows["coarse_label"], rows["label"]) == (COARSE.tolist(), FINE.tolist())
    assert rows["name"][:3] == ["apple", "aquarium_fish", "baby"]
    assert rows["image"] == [image.tobytes() for image in IMAGES]


def test_there_are_so_many_classes() -> None:
    assert (len(CIFAR10.names), len(CIFAR100.names)) == (10, 100)
    assert list(CIFAR100.names) == sorted(set(CIFAR100.names))


def test_a_folder_gives_a_file_for_each_task_and_no_other_files(tmp_path: Path) -> None:
    batches = [f"data_batch_{number}.bin" for number in range(1, 6)]
    for name in (*batches[::-1], "test_batch.bin", "readme.html"):
        (tmp_path / name).write_bytes(b"")
    found = cifar._files(str(tmp_path), CIFAR10, train=True)
    assert [Path(one).name for one in found] == batches


@pytest.mark.parametrize(
    ("change", "faults"),
    [
        ({"data_batch_3.bin": None}, "data_batch_3 missing"),
        ({"data_batch_1.bin": None, "data_batch_5.bin": None}, "data_batch_1, data_batch_5 missing"),
        ({"data_batch_2": b""}, "data_batch_2 more than once"),
        ({"data_batch_2.bin.gz": b"", "data_batch_4.bin": None}, "data_batch_4 missing, data_batch_2 more than once"),
    ],
)
def test_a_folder_in_which_files_are_missing_or_doubled_is_refused_before_spark_starts(
    tmp_path: Path, change: dict[str, bytes | None], faults: str
) -> None:
    names = [*(f"data_batch_{number}.bin" for number in range(1, 6)), *change]
    for name in dict.fromkeys(name for name in names if change.get(name, b"") is not None):
        (tmp_path / name).write_bytes(b"")
    with pytest.raises(SourceError, match=f"each file of CIFAR-10 once in .*, received {faults}\n.*path of one file"):
        cifar.cifar10(NO_SPARK, tmp_path)


@pytest.mark.parametrize("files", [binaries(), pickles()], ids=["binary", "python"])
def test_an_archive_that_is_cut_between_its_files_is_refused_with_what_is_missing(
    tmp_path: Path, files: dict[str, bytes]
) -> None:
    whole = made_files.tar(files, zipped=False)
    with tarfile.open(fileobj=io.BytesIO(whole)) as archive:
        (cut,) = (one.offset for one in archive if "data_batch_4" in one.name)
    path = made_files.write(tmp_path / "archive", whole[:cut])
    with pytest.raises(
        CorruptFileError, match=r"archive: .* CIFAR-10 once, received data_batch_4, data_batch_5 missing\n"
    ):
        rows_of(path)
    with pytest.raises(SourceError, match=r"expected files of CIFAR-10 as test_batch"):
        rows_of(path, train=False)


def test_an_archive_without_one_of_its_files_gives_the_rows_of_others_only_to_who_wants_them(tmp_path: Path) -> None:
    files = {name: data for name, data in binaries().items() if "data_batch_3" not in name}
    path = made_files.write(tmp_path / "archive", made_files.tar(files, zipped=True))
    assert rows_of(path, train=False)["label"] == FINE[20:].tolist()
    with pytest.raises(CorruptFileError, match="received data_batch_3 missing\n.*again"):
        rows_of(path)


def test_a_folder_without_such_files_is_refused_before_spark_starts(tmp_path: Path) -> None:
    (tmp_path / "train.bin").write_bytes(b"")
    with pytest.raises(SourceError, match=r"CIFAR-10 as test_batch\.bin or test_batch in .*, received train\.bin\n"):
        cifar.cifar10(NO_SPARK, tmp_path, train=False)
    with pytest.raises(SourceError, match="expected a file or folder at .*gone"):
        cifar.cifar100(NO_SPARK, tmp_path / "gone")


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("files", [binaries(), pickles()], ids=["binary", "python"])
def test_an_archive_that_is_cut_is_refused(tmp_path: Path, files: dict[str, bytes], zipped: bool) -> None:
    whole = made_files.tar(files, zipped=zipped)
    path = made_files.write(tmp_path / "archive", whole[: len(whole) * 2 // 3])
    with pytest.raises(
        CorruptFileError, match="archive: expected a whole (tar archive|gzip file), received: .*\n.*again"
    ):
        rows_of(path)


def test_an_archive_of_which_a_byte_changed_is_refused(tmp_path: Path) -> None:
    whole = bytearray(made_files.tar(binaries(), zipped=True))
    whole[len(whole) // 2] ^= 0xFF
    with pytest.raises(CorruptFileError, match="archive"):
        rows_of(made_files.write(tmp_path / "archive", bytes(whole)))


@pytest.mark.parametrize("data", [b"", b"<html>not found</html>", gzip.compress(b"no tar" * 1000, mtime=0)])
def test_what_is_no_archive_is_refused(tmp_path: Path, data: bytes) -> None:
    with pytest.raises((CorruptFileError, SourceError), match="archive"):
        rows_of(made_files.write(tmp_path / "archive", data))


def test_an_archive_of_another_data_set_is_refused(tmp_path: Path) -> None:
    path = made_files.write(tmp_path / "archive", made_files.tar(binaries(), zipped=True))
    with pytest.raises(SourceError, match=r"CIFAR-100 as train\.bin or train in .*received data_batch_1\.bin, .*\n"):
        list(read_file(CifarFile(path, CIFAR100, True)))


def test_records_that_are_cut_are_refused_with_what_is_left_over(tmp_path: Path) -> None:
    records = made_files.cifar_records(IMAGES, FINE)
    path = made_files.write(tmp_path / "data_batch_1.bin", records[:-73])
    with pytest.raises(CorruptFileError, match="records of 3073 bytes, received 73679 bytes, which is 3000 more"):
        rows_of(path)


def test_a_label_that_is_no_class_is_refused(tmp_path: Path) -> None:
    path = made_files.write(tmp_path / "test_batch.bin", made_files.cifar_records(IMAGES, FINE + 1))
    with pytest.raises(CorruptFileError, match=r"test_batch\.bin: expected labels from 0 to 9, received 10"):
        rows_of(path, train=False)


@pytest.mark.parametrize(
    ("held", "words"),
    [
        (
            {b"data": IMAGES.reshape(24, -1)},
            r"a dictionary with 'labels', received the keys \[b'data'\]\n.*'fine_labels'",
        ),
        ([1], "a dictionary with 'data', received a list"),
        ({"data": IMAGES, "labels": []}, r"'data' as uint8\[rows, 3072\], received uint8\[24, 32, 32, 3\]"),
        ({"data": "text", "labels": []}, "received str"),
        ({"data": IMAGES.reshape(24, -1), "labels": [1, 2]}, "'labels' as 24 whole numbers from 0, received 2 values"),
        ({"data": IMAGES.reshape(24, -1), "labels": ["x"] * 24}, "whole numbers"),
        ({"data": IMAGES.reshape(24, -1), "labels": [-1] * 24}, "whole numbers from 0"),
    ],
)
def test_a_pickle_of_other_things_is_refused(tmp_path: Path, held: Any, words: str) -> None:
    path = made_files.write(tmp_path / "data_batch_1", pickle.dumps(held))
    with pytest.raises(CorruptFileError, match=f"data_batch_1: expected .*{words}"):
        rows_of(path)


class Acts:
    def __reduce__(self) -> Any:
        return os.mkdir, ("made-by-a-pickle",)


def test_a_pickle_that_would_act_is_refused_and_does_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    files = {"cifar-10-batches-py/data_batch_1": pickle.dumps({b"data": Acts(), b"labels": []})}
    path = made_files.write(tmp_path / "archive", made_files.tar(files, zipped=True))
    with pytest.raises(CorruptFileError, match=r"archive, cifar-10-batches-py/data_batch_1: .*mkdir"):
        rows_of(path)
    assert not (tmp_path / "made-by-a-pickle").exists()
