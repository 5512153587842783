"""Every source in Spark tasks, plain and compressed, fed to two nodes; TFRecord files from and to TensorFlow."""

from __future__ import annotations

import csv
import gzip
import io
import pickle
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import made_files
import numpy as np
import pytest
import source_map_funs

from tfspark_cnn import InputMode, TFCluster
from tfspark_cnn.cluster.launcher import own_error
from tfspark_cnn.data import source
from tfspark_cnn.data.cifar import cifar10, cifar100
from tfspark_cnn.data.idx import FASHION_NAMES, fashion_mnist, mnist
from tfspark_cnn.data.image_folder import classes_in, image_folder
from tfspark_cnn.data.pixels import pixels
from tfspark_cnn.data.storage import files_at
from tfspark_cnn.data.tfrecord import read_tfrecords
from tfspark_cnn.data.tfrecord_writer import write_tfrecords
from tfspark_cnn.errors import ConfigError, CorruptFileError, SourceError

pytestmark = [pytest.mark.timeout(180), pytest.mark.beside]

ROWS = 30
SHAPE = (32, 32, 3)
IMAGES = made_files.images(ROWS, *SHAPE)
LABELS = np.arange(ROWS) % 10
COARSE = np.arange(ROWS) % 3

EXAMPLES = [
    {
        "raw": ("bytes_list", [b"\xff\0"]),
        "word": ("bytes_list", ["Käse".encode()]),
        "half": ("float_list", [0.5 * row]),
        "number": ("int64_list", [(-1) ** row << row]),
        "box": ("float_list", [1.5, -0.25 * row]),
        "counts": ("int64_list", [-1, 300, 1 << 62][: row % 4]),
        "words": ("bytes_list", [b"a", b"bc"]),
    }
    for row in range(9)
]
SCHEMA = (
    "raw binary, word string, half double, number bigint, box array<float>, counts array<bigint>, words array<string>, "
    "absent int"
)


def as_rows(examples: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What a DataFrame of SCHEMA has for them."""
    one = {"raw": bytes, "word": bytes.decode, "half": float, "number": int}
    return [
        {name: one[name](values[0]) for name, (_, values) in example.items() if name in one}
        | {name: example[name][1] for name in ("box", "counts")}
        | {"words": [word.decode() for word in example["words"][1]], "absent": None}
        for example in examples
    ]


def rows_of(frame) -> list[dict[str, Any]]:
    rows = [row.asDict() for row in frame.collect()]
    return sorted(({**row, "raw": bytes(row["raw"])} for row in rows), key=lambda row: row["half"])


@dataclass
class Made:
    """The files of all sources under one folder, and the DataFrames that read them, by what they are."""

    spark: Any
    root: Path
    frames: dict[str, Any] = field(default_factory=dict)

    def everything(self) -> None:
        for zipped in (False, True):
            kind, end = ("zipped", ".gz") if zipped else ("plain", "")
            folder = self.folder(f"idx {kind}")
            made_files.write_mnist(folder, IMAGES, LABELS, zipped=zipped)
            self.frames[f"mnist {kind}"] = mnist(self.spark, folder, partitions=4)
            self.frames[f"fashion {kind}"] = fashion_mnist(self.spark, folder.as_uri())
            self.archives(kind, zipped=zipped)
            self.csv(kind, end, zipped=zipped)
            self.records(kind)
        self.unpacked()
        self.images()

    def folder(self, name: str) -> Path:
        folder = self.root / name
        folder.mkdir(parents=True)
        return folder

    def archives(self, kind: str, *, zipped: bool) -> None:
        parts = made_files.cifar10_parts(ROWS)
        binary = {f"b/{name}.bin": made_files.cifar_records(IMAGES[p], LABELS[p]) for name, p in parts.items()}
        pickled = {f"p/{name}": made_files.cifar_pickle(IMAGES[p], labels=LABELS[p]) for name, p in parts.items()}
        hundred = {"c/train": made_files.cifar_pickle(IMAGES, coarse_labels=COARSE, fine_labels=LABELS)}
        for name, read, files in (("10 binary", cifar10, binary), ("10", cifar10, pickled), ("100", cifar100, hundred)):
            path = made_files.write(self.root / f"{name} {kind}.tar", made_files.tar(files, zipped=zipped))
            self.frames[f"cifar {name} {kind}"] = read(self.spark, path)

    def unpacked(self) -> None:
        folder = self.folder("cifar-100-binary")
        made_files.write(folder / "test.bin", made_files.cifar_records(IMAGES, COARSE, LABELS))
        self.frames["cifar 100 unpacked"] = cifar100(self.spark, folder, train=False)

    def csv(self, kind: str, end: str, *, zipped: bool) -> None:
        text = io.StringIO()
        writer = csv.writer(text)
        writer.writerow(["label", *(f"pixel{n}" for n in range(IMAGES[0].size))])
        writer.writerows([label, *image.ravel()] for label, image in zip(LABELS, IMAGES, strict=True))
        path = made_files.write(self.root / f"{kind}.csv{end}", text.getvalue().encode(), zipped=zipped)
        self.frames[f"csv {kind}"] = pixels(self.spark, path)

    def records(self, kind: str) -> None:
        folder = f"{self.root}/records {kind}"
        rows = self.frames[f"mnist {kind}"].select("image", "label")
        write_tfrecords(rows, folder, compression="gzip" if kind == "zipped" else "none")
        self.frames[f"tfrecord {kind}"] = read_tfrecords(self.spark, folder)

    def images(self) -> None:
        root = self.folder("by class")
        for row, (label, image) in enumerate(zip(LABELS, IMAGES, strict=True)):
            inner = root / f"class {label}" / ("deep" if row % 2 else "")
            inner.mkdir(parents=True, exist_ok=True)
            (inner / f"{row}.{('png', 'JPG')[row % 2]}").write_bytes(image.tobytes())
        (root / "class 0" / "notes.txt").write_text("no image")
        self.frames["image folder"] = image_folder(self.spark, root)

    def together(self) -> Any:
        """The rows of all, each with the number of its source."""
        from pyspark.sql import functions as f

        numbered = [
            frame.select(f.lit(number).alias("source"), "image", "label")
            for number, frame in enumerate(self.frames.values())
        ]
        whole = numbered[0]
        for frame in numbered[1:]:
            whole = whole.union(frame)
        return whole


@dataclass
class Ran:
    """What one cluster of two nodes read and wrote."""

    made: Made
    ours: list[str]
    by_tensorflow: list[str]
    nodes: list[dict[str, Any]]


@pytest.fixture(scope="module")
def ran(spark, tmp_path_factory) -> Ran:
    made = Made(spark, tmp_path_factory.mktemp("sources"))
    folders = {compression: f"{made.root}/ours {compression}" for compression in ("none", "gzip")}
    by_tensorflow = [(str(made.root / name), name.endswith(".gz")) for name in ("tf.tfrecord", "tf.tfrecord.gz")]
    args = {"shape": SHAPE, "folders": [*folders.values()], "to_write": by_tensorflow, "examples": EXAMPLES}
    with TFCluster.run(spark, source_map_funs.read_rows, args, 2, input_mode=InputMode.SPARK) as cluster:
        made.everything()  # while the nodes import TensorFlow
        ours = [path for compression, folder in folders.items() for path in written(spark, folder, compression)]
        cluster.train(made.together())
        nodes = cluster.shutdown()
    return Ran(made, ours, [path for path, _ in by_tensorflow], nodes)


def written(spark, folder: str, compression: str) -> list[str]:
    """Writes EXAMPLES by our own writer, in three files; gives the files."""
    frame = spark.createDataFrame(as_rows(EXAMPLES), SCHEMA).repartition(3)
    files = write_tfrecords(frame, folder, compression=compression)
    assert sum(file.rows for file in files) == len(EXAMPLES)
    assert [file.path for file in files] == [file.uri for file in files_at(folder)], "and nothing else"
    return [file.path for file in files]


def test_every_source_gives_two_nodes_each_row_once(ran: Ran) -> None:
    digests = [source_map_funs.digest(image) for image in IMAGES]
    expected = Counter(zip(LABELS.tolist(), digests, strict=True))
    assert all(node["rows"] for node in ran.nodes)
    rows = [row for node in ran.nodes for row in node["rows"]]
    for number, name in enumerate(ran.made.frames):
        assert Counter(row[1:] for row in rows if row[0] == number) == expected, name
    assert len(rows) == len(ran.made.frames) * ROWS and len(ran.made.frames) == 16


def test_each_file_is_in_the_share_of_one_node_and_tensorflow_reads_what_we_wrote(ran: Ran) -> None:
    shares = [node["share"] for node in ran.nodes]
    assert sorted(path for share in shares for path in share) == sorted(ran.ours)
    assert all(shares)
    read = [example for node in ran.nodes for file in node["read"] for example in file]
    by_half = sorted(read, key=lambda example: example["half"][1])
    assert by_half == [example for example in EXAMPLES for _ in ("plain", "zipped")]


def test_what_tensorflow_wrote_is_read_value_by_value(ran: Ran) -> None:
    spark = ran.made.spark
    for path in ran.by_tensorflow:
        assert rows_of(read_tfrecords(spark, path, schema=SCHEMA)) == as_rows(EXAMPLES), path
    found = read_tfrecords(spark, ran.by_tensorflow[1])
    assert dict(found.dtypes) == {
        "raw": "binary", "word": "binary", "half": "float", "number": "bigint", "box": "array<float>",
        "counts": "array<bigint>", "words": "array<binary>",
    }  # fmt: skip
    assert [row.number for row in found.collect()] == [example["number"][1][0] for example in EXAMPLES]


def test_schemas_are_as_documented(ran: Ran) -> None:
    frames = ran.made.frames
    labelled = {"image": "binary", "label": "bigint"}
    assert dict(frames["mnist plain"].dtypes) == dict(frames["csv plain"].dtypes) == labelled
    assert dict(frames["cifar 10 zipped"].dtypes) == {**labelled, "name": "string"}
    assert dict(frames["cifar 100 plain"].dtypes) == {**labelled, "coarse_label": "bigint", "name": "string"}
    assert dict(frames["image folder"].dtypes) == {**labelled, "name": "string", "path": "string"}
    assert frames["fashion zipped"].where("label = 9").first().name == FASHION_NAMES[9]


def test_plain_files_are_read_in_parts_and_zipped_ones_whole(ran: Ran) -> None:
    frames = ran.made.frames
    parts = {name: frame.rdd.getNumPartitions() for name, frame in frames.items() if name.startswith("mnist")}
    assert parts == {"mnist plain": 4, "mnist zipped": 1}


def test_classes_of_folders_are_names_in_the_order_of_labels(ran: Ran) -> None:
    frame, root = ran.made.frames["image folder"], ran.made.root / "by class"
    names = tuple(f"class {label}" for label in range(10))
    assert classes_in(frame) == names
    assert {(row.label, row.name) for row in frame.select("label", "name").collect()} == set(enumerate(names))
    turned = image_folder(ran.made.spark, root, classes=names[::-1])
    assert {(row.label, row.name) for row in turned.collect()} == set(enumerate(names[::-1]))


@pytest.mark.parametrize("name", ["mnist", "cifar10"])
def test_named_sources_give_training_and_test_rows_from_0_to_1(spark, tmp_path: Path, name: str) -> None:
    for part, prefix in ((slice(0, 20), "train"), (slice(20, ROWS), "t10k")):
        if name == "mnist":
            made_files.write_mnist(tmp_path, IMAGES[part], LABELS[part], zipped=True, prefix=prefix)
            continue
        for batch, rows in (made_files.cifar10_parts(20) if prefix == "train" else {"test_batch": part}).items():
            made_files.write(tmp_path / f"{batch}.bin", made_files.cifar_records(IMAGES[rows], LABELS[rows]))
    found = source(name).load()(spark, folder=str(tmp_path), test_fraction=0.5, seed=0, partitions=2)
    for frame, part in zip(found, (slice(0, 20), slice(20, ROWS)), strict=True):
        table = frame.toArrow()
        images = np.array(table["image"].to_pylist(), np.float32)
        np.testing.assert_array_equal(images, IMAGES[part].reshape(len(images), -1) / np.float32(255))
        assert table["label"].to_pylist() == LABELS[part].tolist()


# --- bad input ---


def refused(frame) -> str:
    """Computes a frame that cannot be, and gives the message of our own error in what Spark raises."""
    with pytest.raises(Exception) as caught:
        frame.collect()
    error = own_error(caught.value)
    assert isinstance(error, CorruptFileError | SourceError) and error.hint, caught.value
    return error.message


def test_what_is_wrong_in_a_task_reaches_the_driver_with_the_name_of_the_file(spark, tmp_path: Path) -> None:
    made_files.write_mnist(tmp_path, IMAGES, LABELS, zipped=True)
    images = tmp_path / "train-images-idx3-ubyte.gz"
    images.write_bytes(images.read_bytes()[:-100])
    assert f"{images}: expected a whole gzip file" in refused(mnist(spark, tmp_path))

    class Acts:
        def __reduce__(self):
            return Path, ("x",)

    path = made_files.write(tmp_path / "c.tar", made_files.tar({"data_batch_1": pickle.dumps(Acts())}, zipped=True))
    assert "c.tar, data_batch_1: expected a pickle of arrays and lists" in refused(cifar10(spark, path))
    write_tfrecords(spark.range(5).coalesce(1), tmp_path / "records")
    (record,) = (tmp_path / "records").iterdir()
    whole = bytearray(record.read_bytes())
    whole[-1] ^= 1
    record.write_bytes(gzip.compress(whole))
    frame = read_tfrecords(spark, record, schema="id bigint")
    assert f"{record}, record at byte {len(whole) * 4 // 5}: expected" in refused(frame)


def test_folders_that_hold_no_classes_are_refused_at_once(spark, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"could not read .*gone.*\n.*all executors reach"):
        image_folder(spark, tmp_path / "gone")
    with pytest.raises(SourceError, match="expected images .* in folders below .*, received none"):
        image_folder(spark, tmp_path)
    (tmp_path / "a.png").write_bytes(b"png")
    with pytest.raises(SourceError, match="received some in .* itself"):
        image_folder(spark, tmp_path)


def test_csv_files_that_cannot_be_are_refused(spark, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"could not read .*gone"):
        pixels(spark, tmp_path / "gone.csv")
    path = tmp_path / "a.csv"
    path.write_text("label,p0,p1\n1,2,3\n4,5,256\n")
    assert "column 'p1': expected a pixel from 0 to 255, received 256" in refused(pixels(spark, path))
    with pytest.raises(ConfigError, match="expected a column 'digit'"):
        pixels(spark, path, label="digit")
    path.write_text("label,p0,p1\n1,2\n")
    assert "expected rows of 3 whole numbers, received another: CSV parse error" in refused(pixels(spark, path))
    path.write_text("")
    with pytest.raises(SourceError, match="expected lines in .*, received none"):
        pixels(spark, path)


def test_what_cannot_be_written_is_refused_before_a_task_starts(spark, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(SourceError, match=r"could not write to .*/file/folder"):
        write_tfrecords(spark.range(3), tmp_path / "file" / "folder")
    with pytest.raises(ConfigError, match="expected column 'when'"):
        write_tfrecords(spark.sql("select now() when"), tmp_path / "folder")
    with pytest.raises(ConfigError, match=r"expected a compression of none, gzip, received 'zip'"):
        write_tfrecords(spark.range(3), tmp_path / "folder", compression="zip")
    assert not (tmp_path / "folder").exists()
