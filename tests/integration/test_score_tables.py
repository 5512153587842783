"""`tfspark-cnn predict` and `evaluate` on tables of every format, with a network whose answers are known.

It takes images of 2x2 and gives the place of the brightest pixel as the class.
"""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import made_files
import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import pytest
from conftest import spark_environment
from pyspark.sql import functions as sf

from tfspark_cnn.cli import evaluate, predict, tables
from tfspark_cnn.cli.saved_model import SavedModel, Wanted, saved_model
from tfspark_cnn.cli.scoring import translated
from tfspark_cnn.cli.tables import OutputFormat, TableFormat
from tfspark_cnn.data.tfrecord_writer import write_tfrecords
from tfspark_cnn.errors import ConfigError, SchemaError, SourceError
from tfspark_cnn.ml import CNNClassificationModel, CNNRegressionModel

pytestmark = [pytest.mark.timeout(200), pytest.mark.beside]

PROGRAM = Path(sys.prefix) / "bin" / "tfspark-cnn"
NAMES = ("ant", "bee", "cat", "dog")
IMAGES = np.random.default_rng(5).permuted(np.tile(np.arange(4, dtype=np.float32), (40, 1)), axis=1)
CLASSES = IMAGES.argmax(axis=1)
COUNTS = np.bincount(CLASSES).tolist()


@pytest.fixture(scope="module")
def keras_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("network") / "model.keras"
    path.write_bytes(made_files.brightest_of_four())
    return path


def write_parquet(path: Path, **more: object) -> Path:
    images = pa.array(IMAGES.tolist(), pa.list_(pa.float32()))
    pq.write_table(pa.table({"id": range(40), "image": images, "a.b": ['"x",\n'] * 40, **more}), path)
    return path


def command(*arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Runs `tfspark-cnn` as in a shell in which nothing is activated, on one core: TensorFlow is imported once."""
    fresh = {**os.environ, **spark_environment()}
    for name in ("PYSPARK_PYTHON", "PYSPARK_DRIVER_PYTHON", "PYTHONPATH", "VIRTUAL_ENV"):
        fresh.pop(name, None)
    return subprocess.run(
        [PROGRAM, *map(str, arguments), "--master", "local[1]"],
        cwd=cwd,
        env=fresh,
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )


def png(pixels: np.ndarray) -> bytes:
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray((pixels.reshape(2, 2) * 50).astype(np.uint8), "L").save(file, "PNG")
    return file.getvalue()


def test_predict_keeps_the_columns_and_adds_the_class_and_the_probabilities(keras_file: Path, tmp_path: Path) -> None:
    table = write_parquet(tmp_path / "table.parquet")
    done = command("predict", keras_file, table.name, "scored", "--drop-images", "--scale", "2", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    said = done.stderr.splitlines()
    assert said[:2] == ["starting Spark", "scoring table.parquet"]
    assert all(re.fullmatch(r"scoring table.parquet: \d+ of \d+ tasks", line) for line in said[2:])
    told = json.loads(done.stdout)
    assert (told["rows"], told["output"]) == (40, "scored") and told["rows_per_s"] > 0 < told["seconds"]
    scored = pq.read_table(tmp_path / "scored").sort_by("id")
    assert scored.column_names == ["id", "a.b", "probability", "prediction"]
    assert scored["prediction"].to_pylist() == CLASSES.tolist() and scored["a.b"].to_pylist() == ['"x",\n'] * 40
    expected = np.exp(2 * IMAGES) / np.exp(2 * IMAGES).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(np.array(scored["probability"].to_pylist()), expected, atol=1e-5)


def test_evaluate_counts_images_in_folders_with_a_saved_model(spark, keras_file: Path, tmp_path: Path) -> None:
    model = CNNClassificationModel(keras_file.read_bytes(), labels=NAMES)._set(inputShape=[2, 2, 1], scale=0.02)
    model.save(str(tmp_path / "model"))
    for number, (image, label) in enumerate(zip(IMAGES, CLASSES, strict=True)):
        # One of the cats lies with the dogs.
        folder = tmp_path / "pets" / NAMES[3 if number == CLASSES.tolist().index(2) else label]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number}.png").write_bytes(png(image))
    done = command("evaluate", "model", "pets", "--format", "images", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["accuracy"], told["rows"]) == (39 / 40, 40)
    cats, dogs = told["classes"][2:]
    assert [one["name"] for one in told["classes"]] == list(NAMES)
    assert (cats["predicted"], cats["right"]) == (cats["rows"] + 1, cats["rows"])
    assert (dogs["rows"], dogs["mistaken_for"]) == (COUNTS[3] + 1, "cat")


def test_embeddings_are_scored_into_csv_and_labels_may_be_names(spark, keras_file: Path, tmp_path: Path) -> None:
    table = write_parquet(tmp_path / "table.parquet", name=[NAMES[label] for label in CLASSES])
    model = saved_model(str(keras_file), Wanted(features="image", layer="flatten"))
    task = predict.Prediction(
        model, str(table), TableFormat.PARQUET, "label", str(tmp_path / "out"), OutputFormat.CSV, True, False
    )
    assert predict._predicted(spark, model.load(spark), task) == 40
    parse = pacsv.ParseOptions(newlines_in_values=True)
    parts = [pacsv.read_csv(part, parse_options=parse) for part in sorted((tmp_path / "out").glob("part-*"))]
    rows = pa.concat_tables(parts).sort_by("id")
    assert rows.column_names == ["id", "a.b", "name", "embedding"]
    np.testing.assert_array_equal(np.array([json.loads(one) for one in rows["embedding"].to_pylist()]), IMAGES)
    assert rows["a.b"].to_pylist() == ['"x",\n'] * 40

    halved = saved_model(str(keras_file), Wanted(features="image", scale=0.5)).load(spark)
    raw = spark.createDataFrame([(bytes([0, 1, 2, 255]),)], "image binary")
    assert predict.scored_by(halved, raw, layer="flatten").first().embedding == [0.0, 0.5, 1.0, 127.5]

    frame = spark.read.parquet(str(table))
    named = model.load(spark)
    found = evaluate.counts(named, frame, label="name", names=NAMES)
    assert sorted(found) == [(label, label, COUNTS[label]) for label in range(4)]
    with pytest.raises(SchemaError, match=r"column 'id': .*every row, received none, a fraction .* in 20 rows"):
        halves = frame.select("image", (sf.col("id") / 2).alias("id"))
        evaluate.counts(named, halves.withColumn("image", sf.lit([0.0, 1.0, 0.0, 0.0])), label="id", names=NAMES)


def test_tables_of_each_format_are_read(spark, tmp_path: Path) -> None:
    table = write_parquet(tmp_path / "table.parquet")
    assert tables.read(spark, str(table), kind=TableFormat.PARQUET).columns == ["id", "image", "a.b"]
    write_tfrecords(spark.read.parquet(str(table)).select("image"), str(tmp_path / "records"))
    records = tables.read(spark, str(tmp_path / "records"), kind=TableFormat.TFRECORD)
    assert sorted(row.image for row in records.collect()) == sorted(IMAGES.tolist())
    rows = [",".join(map(str, [label, *image.astype(int)])) for label, image in zip(CLASSES, IMAGES, strict=True)]
    lines = ["label,a,b,c,d", *rows]
    (tmp_path / "pixels.csv").write_text("\n".join(lines))
    for label, columns, size in (("label", ["image", "label"], 4), ("klass", ["image"], 5)):
        pixels = tables.read(spark, str(tmp_path / "pixels.csv"), kind=TableFormat.CSV, label=label)
        assert (pixels.columns, len(pixels.first().image)) == (columns, size)
    (tmp_path / "photos" / "deep").mkdir(parents=True)
    (tmp_path / "photos" / "deep" / "1.PNG").write_bytes(png(IMAGES[0]))
    (tmp_path / "photos" / "notes.txt").write_text("no image")
    (photo,) = tables.read(spark, str(tmp_path / "photos"), kind=TableFormat.IMAGES).collect()
    assert bytes(photo.image) == png(IMAGES[0]) and photo.path.endswith("/deep/1.PNG")


def test_no_rows_are_written_as_no_rows_and_what_is_there_only_with_leave(spark, tmp_path: Path) -> None:
    empty = spark.createDataFrame([], "id int, image binary, more struct<a: int>")
    for kind in OutputFormat:
        place = str(tmp_path / kind)
        assert tables.write(empty, place, kind=kind, overwrite=False) == 0
        assert tables.write(spark.range(3), place, kind=kind, overwrite=True) == 3
        with pytest.raises(SourceError, match="Spark failed: .*already exists"), translated():
            tables.write(spark.range(3), place, kind=kind, overwrite=False)


def test_what_spark_alone_can_know_is_told_in_a_line(spark, keras_file: Path, tmp_path: Path) -> None:
    model = CNNRegressionModel(keras_file.read_bytes())
    model.save(str(tmp_path / "regression"))
    assert isinstance(SavedModel(str(tmp_path / "regression"), Wanted(), None).load(spark), CNNRegressionModel)
    with pytest.raises(ConfigError, match="expected a classifier to evaluate, received a CNNRegressionModel"):
        evaluate._class_names(model)
    (part,) = (tmp_path / "regression" / "metadata").glob("part-*")
    part.write_text(part.read_text().replace("CNNRegressionModel", "PipelineModel"))
    (tmp_path / "regression" / "metadata" / f".{part.name}.crc").unlink()
    with pytest.raises(ConfigError, match=r"received \"tfspark_cnn.ml.model.PipelineModel\"\n.*one of the stages"):
        SavedModel(str(tmp_path / "regression"), Wanted(), None).load(spark)
    frame = spark.read.parquet(str(write_parquet(tmp_path / "table.parquet")))
    classifier = saved_model(str(keras_file), Wanted(features="imag")).load(spark)
    with pytest.raises(SchemaError, match=r"expected a column 'imag', received id, image, a.b\n.*did you mean 'image'"):
        predict.scored_by(classifier, frame, layer=None)
    with pytest.raises(SchemaError, match="has a column 'embedding' already"):
        twice = frame.withColumn("embedding", sf.lit(1))
        predict.scored_by(saved_model(str(keras_file), Wanted()).load(spark), twice, layer="flatten")
    with pytest.raises(SchemaError, match="column 'a.b': expected whole numbers as labels, received string"):
        evaluate.counts(saved_model(str(keras_file), Wanted()).load(spark), frame, label="a.b", names=None)
    with pytest.raises(SourceError, match="Spark failed: .*PATH_NOT_FOUND"), translated():
        tables.read(spark, str(tmp_path / "no*"), kind=TableFormat.PARQUET)
    (tmp_path / "cut.parquet").write_bytes((tmp_path / "table.parquet").read_bytes()[:100])
    with pytest.raises(SourceError, match="Spark failed: .*cut.parquet is not a Parquet file"), translated():
        tables.read(spark, str(tmp_path / "cut.parquet"), kind=TableFormat.PARQUET)


def test_rows_that_cannot_be_scored_are_named_and_leave_no_table(spark, keras_file: Path, tmp_path: Path) -> None:
    short = spark.createDataFrame([([0.0] * 4,), ([0.0] * 3,)], "image array<float>").coalesce(1)
    scored = predict.scored_by(saved_model(str(keras_file), Wanted()).load(spark), short, layer=None)
    target = str(tmp_path / "out")
    with pytest.raises(SchemaError, match="column 'image'.* row 1: expected 4 values, received 3"), translated():
        tables.write(scored, target, kind=OutputFormat.PARQUET, overwrite=False)
    tables.check_output(target, overwrite=False, beside=())
    assert tables.write(short, target, kind=OutputFormat.PARQUET, overwrite=False) == 2
