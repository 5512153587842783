"""`tfspark-cnn predict` and `evaluate` before Spark is started: plans, and what is refused."""

from __future__ import annotations

import io
import json
import os
import zipfile
from pathlib import Path

import pytest

from tfspark_cnn.cli import java, main, tables
from tfspark_cnn.cli.saved_model import saved_model
from tfspark_cnn.cli.scoring import parsed_shape, wanted
from tfspark_cnn.cli.tables import TableFormat
from tfspark_cnn.cli.translation import cause_in, translated
from tfspark_cnn.errors import ConfigError, SourceError


def keras_file(*shape: int | None) -> bytes:
    """A network, as far as it is looked at."""
    image = {"class_name": "InputLayer", "config": {"name": "image", "batch_shape": [None, *shape]}}
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w") as archive:
        flatten = {"class_name": "Flatten", "config": {"name": "flatten"}}
        archive.writestr("config.json", json.dumps({"config": {"layers": [image, flatten]}}))
    return body.getvalue()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """With a network of images of 8x8, a saved model and a table, as far as they are looked at; nothing starts."""

    def find() -> java.Java:
        raise AssertionError("Spark was about to start")

    monkeypatch.setattr(java, "find", find)
    monkeypatch.chdir(tmp_path)
    Path("model.keras").write_bytes(keras_file(8, 8, 1))
    Path("any.keras").write_bytes(keras_file(None, None, 1))
    for name in ("saved/metadata", "table", "scored"):
        Path(name).mkdir(parents=True)
    Path("scored", "_SUCCESS").write_bytes(b"")
    return tmp_path


def exit_code(*arguments: str) -> int | str | None:
    with pytest.raises(SystemExit) as caught:
        main.main(arguments)
    return caught.value.code


def test_a_dry_run_shows_the_plan_with_the_shape_that_the_network_has(folder: Path, capsys) -> None:
    assert (
        exit_code("predict", "model.keras", "table", "new", "--scale", "0.5", "--output", "flatten", "--dry-run") == 0
    )
    assert json.loads(capsys.readouterr().out) == {
        "model": {"path": "model.keras", "kind": "a .keras file", "featuresCol": "image", "inputShape": [8, 8, 1],
                  "scale": 0.5, "layer": "flatten"},
        "input": {"path": "table", "format": "parquet"},
        "output": {"path": "new", "format": "parquet", "images": True},
        "spark": {"master": "local[*]"},
    }  # fmt: skip
    assert not (folder / "new").exists()


def test_a_saved_model_keeps_its_own_params_but_for_what_is_asked(folder: Path, capsys) -> None:
    assert exit_code("evaluate", "saved", "table", "--format", "images", "--resize", "bilinear", "--dry-run") == 0
    plan = json.loads(capsys.readouterr().out)
    assert plan["model"] == {
        "path": "saved", "kind": "a folder of Spark ML", "featuresCol": "image", "encoding": "jpeg",
        "resize": "bilinear", "layer": None,
    }  # fmt: skip
    assert plan["input"] == {"path": "table", "format": "images", "label": "label"}


REFUSED = {
    "no model": (("no.keras", "table", "new"), 2, "expected a saved model at no.keras", "model.save"),
    "no saved model": (("no", "table", "new"), 2, "expected a saved model at no, received nothing", "model.save"),
    "a folder of another kind": (("table", "table", "new"), 2, "received a folder without metadata", "model.save"),
    "no table": (("saved", "no", "new"), 2, "expected a table at no, received nothing", "pass the file"),
    "a typo of a layer": (("model.keras", "table", "new", "--output", "flaten"), 2, "no layer 'flaten'", "'flatten'"),
    "a shape that is none": (("model.keras", "table", "new", "--input-shape", "8x8"), 2, "received '8x8'", "224,224,3"),
    "an output that is there": (("saved", "table", "scored"), 2, "scored is there already", "--overwrite"),
    "an output over the input": (("saved", "table", "table", "--overwrite"), 2, "which is read", "another OUTPUT"),
    "an output over the model": (("saved", "table", "saved/x"), 2, "which is read", "another OUTPUT"),
    "a format with a typo": (("saved", "table", "new", "--format", "parket"), 2, "", ""),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_known_without_spark_is_refused_before_it_starts(name: str, folder: Path, capsys) -> None:
    arguments, code, error, cure = REFUSED[name]
    assert exit_code("predict", *arguments) == code
    told = capsys.readouterr().err.splitlines()
    if error:
        assert len(told) == 2 and error in told[0] and cure in told[1], told


def test_a_network_that_does_not_tell_its_shape_needs_one(folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"any.keras does not say of which size its images are\n.*--input-shape 224"):
        saved_model("any.keras", wanted(TableFormat.PARQUET, None))
    found = saved_model("any.keras", wanted(TableFormat.PARQUET, None, shape="28,28,1"))
    assert found.wanted.params() == {"featuresCol": "image", "inputShape": [28, 28, 1]}


def test_a_file_of_another_kind_is_no_model(folder: Path) -> None:
    (folder / "model.h5").write_bytes(b"")
    with pytest.raises(ConfigError, match="received a file that does not end on .keras"):
        saved_model("model.h5", wanted(TableFormat.PARQUET, None))


def test_only_what_spark_wrote_is_overwritten(folder: Path) -> None:
    for name in ("_SUCCESS", "part-00000.parquet", ".part-00000.parquet.crc"):
        (folder / "scored" / name).write_bytes(b"")
    tables.check_output("scored", overwrite=True, beside=("saved",))
    (folder / "scored" / "thesis.tex").write_bytes(b"")
    with pytest.raises(ConfigError, match=r"received a folder with thesis.tex in it\n.*take all of it away"):
        tables.check_output("scored", overwrite=True, beside=())
    (folder / "file").write_bytes(b"")
    with pytest.raises(ConfigError, match="expected a folder to overwrite at file, received a file"):
        tables.check_output("file", overwrite=True, beside=())


def test_what_a_run_that_failed_has_left_is_no_table(folder: Path) -> None:
    (folder / "begun" / "_temporary").mkdir(parents=True)
    tables.check_output("begun", overwrite=False, beside=())


def test_the_innermost_cause_is_told_of_what_the_jvm_says() -> None:
    call = "An error occurred while calling o36.parquet.\n: java.lang.Exception: aborted\n\tat x(y.java)\n"
    assert cause_in(call) == "java.lang.Exception: aborted"
    assert cause_in(f"{call}Caused by: A: b\n\tat z\nCaused by: C: no Parquet file\n\tat y\n") == "C: no Parquet file"
    assert cause_in("[PATH_NOT_FOUND] no such path") == ""


def test_a_place_without_permission_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # for root every place is open
    with pytest.raises(SourceError, match=r"could not write new: no permission in "):
        tables.check_output("new", overwrite=False, beside=())


def test_other_file_systems_are_left_to_spark() -> None:
    tables.check_input("hdfs://host/table", kind=TableFormat.PARQUET)
    tables.check_output("s3a://bucket/scored", overwrite=False, beside=("hdfs://host/table",))
    assert saved_model("hdfs://host/model", wanted(TableFormat.PARQUET, None)).network is None


@pytest.mark.parametrize(("name", "kind"), [("d.csv", "csv"), ("d.csv.gz", "csv"), ("s3://b/x.tfrecord", "tfrecord")])
def test_a_file_whose_name_says_another_format_is_refused(name: str, kind: str) -> None:
    with pytest.raises(ConfigError, match=f"is read as parquet, and its name says {kind}\n.*--format {kind}"):
        tables.check_input(name, kind=TableFormat.PARQUET)


def test_shapes_are_three_positive_numbers() -> None:
    assert (parsed_shape(""), parsed_shape("8, 8,1")) == (None, (8, 8, 1))
    for text in ("8,8", "8,8,0", "8,8,-1", "a,b,c"):
        with pytest.raises(ConfigError, match="expected --input-shape HEIGHT,WIDTH,CHANNELS"):
            parsed_shape(text)
    with pytest.raises(ConfigError, match="channels for a jpeg"):
        wanted(TableFormat.IMAGES, None, shape="8,8,2")


def test_errors_that_are_not_sparks_come_through() -> None:
    for error in (ConfigError("ours"), ZeroDivisionError("a bug"), KeyboardInterrupt()):
        with pytest.raises(type(error)), translated():
            raise error
