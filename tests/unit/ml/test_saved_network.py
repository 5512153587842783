"""Networks on disk are read without Spark, and what is none is an error with its cure."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tfspark_cnn.errors import ConfigError, CorruptFileError, SourceError
from tfspark_cnn.feed import schema
from tfspark_cnn.feed.columns import Column
from tfspark_cnn.ml.saved_network import Answer, SavedNetwork, image_column, read

PARAMS = {"featuresCol": "digit", "inputShape": [8, 8, 1]}
DEFAULTS = {"featuresCol": "features", "encoding": "raw", "resize": "", "scale": 1.0}


def network() -> bytes:
    """What begins as a `.keras` file does."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(zipfile.ZipInfo("config.json"), "{}")  # of no time: the same bytes always
    return file.getvalue()


def save(folder: Path, *, kind: str = "tfspark_cnn.ml.model.CNNClassificationModel", **own: Any) -> Path:
    """Writes a folder as Spark does."""
    metadata = {"class": kind, "paramMap": PARAMS, "defaultParamMap": DEFAULTS}
    ours = {"format": 1, "training": {}, "labels": None} | own
    (folder / "metadata").mkdir(parents=True)
    (folder / "metadata" / "_SUCCESS").touch()
    (folder / "metadata" / "part-00000").write_text(json.dumps(metadata | ({"tfsparkCnn": ours} if own else {})))
    (folder / "network").mkdir()
    body = network()
    rows = {"part": pa.array([1, 0], pa.int32()), "bytes": pa.array([body[50:], body[:50]])}
    pq.write_table(pa.table(rows), folder / "network" / "part-00000.snappy.parquet")
    (folder / "network" / "_SUCCESS").touch()
    return folder


@pytest.mark.parametrize("uri", ["{}", "{}/", "file://{}"])
def test_the_folder_of_a_model_tells_its_column_labels_and_what_it_gives(tmp_path: Path, uri: str) -> None:
    folder = save(tmp_path / "model", labels=["naught", "one"])
    column = Column("digit", shape=(8, 8, 1), dtype="float32", scale=1.0)
    assert read(uri.format(folder)) == SavedNetwork(network(), column, ("naught", "one"), Answer.CLASSES)


def test_bytes_of_a_raw_column_are_pixels_with_and_without_a_scale() -> None:
    for scale in ({}, {"scale": 1 / 255}):
        found = schema.resolve(pa.schema([("digit", pa.binary())]), image_column(PARAMS | scale))
        assert (found.dtype, found.shape) == ("uint8", (8, 8, 1))
    assert image_column(PARAMS | {"encoding": "png"}).scale is None


def test_a_regressor_gives_a_number(tmp_path: Path) -> None:
    assert read(save(tmp_path / "m", kind="tfspark_cnn.ml.model.CNNRegressionModel", format=1)).answer is Answer.NUMBER


def test_a_bare_file_is_the_network_alone(tmp_path: Path) -> None:
    (tmp_path / "model.keras").write_bytes(network())
    assert read(tmp_path / "model.keras") == SavedNetwork(network())


def test_what_is_no_network_is_an_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "old.h5").write_bytes(b"\x89HDF\r\n\x1a\n and more")
    with pytest.raises(
        CorruptFileError, match=r"(?s)old\.h5: expected a \.keras file, received 17 bytes.*HDF.*\.h5 fil"
    ):
        read(tmp_path / "old.h5")
    (tmp_path / "cut.keras").write_bytes(network()[:-9])
    with pytest.raises(
        CorruptFileError, match=r"cut\.keras: expected a \.keras file, received the \d+ first bytes of one"
    ):
        read(tmp_path / "cut.keras")
    with pytest.raises(SourceError, match=r"could not read .*/gone"):
        read(tmp_path / "gone")


def test_a_folder_that_is_no_model_is_an_error_that_says_what_to_name(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match=r"received a folder without metadata at .*/empty\n.*model\.save"):
        read(tmp_path / "empty")
    (tmp_path / "served").mkdir()
    (tmp_path / "served" / "saved_model.pb").touch()
    with pytest.raises(ConfigError, match=r"(?s)without metadata.*an export already"):
        read(tmp_path / "served")
    (tmp_path / "trained").mkdir()
    (tmp_path / "trained" / "model.keras").touch()
    with pytest.raises(ConfigError, match=r"(?s)without metadata.*the file in it, .*/trained/model\.keras"):
        read(tmp_path / "trained")
    pipeline = save(tmp_path / "pipeline", kind="org.apache.spark.ml.PipelineModel")
    with pytest.raises(ConfigError, match=r"received a PipelineModel at .*\n.*a folder in .*/pipeline/stages"):
        read(pipeline)
    with pytest.raises(ConfigError, match=r"is of format 2, expected 1"):
        read(save(tmp_path / "later", format=2))
    torn = save(tmp_path / "torn", format=1)
    (torn / "metadata" / "part-00000").write_text('{"class"')
    with pytest.raises(CorruptFileError, match="torn/metadata: expected a line of JSON, received 8 bytes"):
        read(torn)
