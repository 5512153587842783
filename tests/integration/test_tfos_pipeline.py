"""TensorFlowOnSpark's `dfutil` and `pipeline`: records to and from TensorFlow, an estimator, and SavedModels scored."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import tfos_pipeline_funs
from pyspark.ml.linalg import Vectors, VectorUDT
from pyspark.sql import functions as sf
from pyspark.sql import types

from tfspark_cnn.cluster.launcher import own_error
from tfspark_cnn.errors import ConfigError, CorruptFileError, NodeError, SchemaError, SourceError
from tfspark_cnn.tensorflowonspark import dfutil
from tfspark_cnn.tensorflowonspark.pipeline import TFEstimator, TFModel

pytestmark = [pytest.mark.timeout(180), pytest.mark.beside]

DTYPES = {
    "blob": "binary", "bools": "array<boolean>", "double": "double", "doubles": "array<double>", "flag": "boolean",
    "float": "float", "floats": "array<float>", "int": "int", "ints": "array<int>", "long": "bigint",
    "longs": "array<bigint>", "shorts": "array<smallint>", "small": "smallint", "tiny": "tinyint",
    "tinies": "array<tinyint>", "word": "string", "words": "array<string>", "blobs": "array<binary>",
}  # fmt: skip
BINARY = ["blob", "blobs"]
ROWS = [
    {
        "blob": bytearray(b"\xff\0%d" % row), "bools": [True, row % 2 == 0], "double": 0.5 * row,
        "doubles": [1.5, -2.0], "flag": row % 2 == 1, "float": -0.125 * row, "floats": [0.5, 2.0, float(row)],
        "int": -row, "ints": [row, -1], "long": (-1) ** row << (6 * row), "longs": [1 << 62, -(1 << 62)],
        "shorts": [300, -300], "small": row, "tiny": -row, "tinies": [1, 2, row],
        "word": f"Käse {row}", "words": ["a", "ü"], "blobs": [b"\xfe", b""],
    }
    for row in range(9)
]  # fmt: skip


def as_example(row: dict[str, Any]) -> dict[str, list[Any]]:
    """What TensorFlow has for a row; bytes as latin-1 text."""
    found = {}
    for name, value in row.items():
        values = value if isinstance(value, list) else [value]
        if isinstance(values[0], str | bytes | bytearray):
            plain = [one.encode() if isinstance(one, str) else bytes(one) for one in values]
            found[name] = ["bytes_list", [one.decode("latin-1") for one in plain]]
        else:
            kind = "float_list" if isinstance(values[0], float) else "int64_list"
            found[name] = [kind, [one if kind == "float_list" else int(one) for one in values]]
    return found


EXAMPLES = [as_example(row) for row in ROWS]


def plain(rows: Any) -> list[dict[str, Any]]:
    """Rows in their order, as values that compare."""
    return sorted((row.asDict() for row in rows), key=lambda row: row["double"])


@dataclass
class TensorFlow:
    """A process that has made files in a folder, and reads others."""

    folder: Path
    process: subprocess.Popen[str]
    said: dict[str, Any]

    def read(self, paths: list[str]) -> list[list[dict[str, Any]]]:
        assert self.process.stdin and self.process.stdout
        self.process.stdin.write(json.dumps(paths) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())


@pytest.fixture(scope="module")
def frame(spark):
    """ROWS in two partitions."""
    columns = ", ".join(f"{name} {dtype}" for name, dtype in DTYPES.items())
    return spark.createDataFrame([tuple(row[name] for name in DTYPES) for row in ROWS], columns).repartition(2)


@pytest.fixture(scope="module")
def tensorflow(tmp_path_factory) -> Iterator[TensorFlow]:
    folder = tmp_path_factory.mktemp("tensorflow")
    (folder / "examples.json").write_text(json.dumps(EXAMPLES))
    with (folder / "stderr").open("w") as stderr:
        with subprocess.Popen(
            [sys.executable, tfos_pipeline_funs.__file__, folder],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr, text=True,
            env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"},
        ) as process:  # fmt: skip
            assert process.stdin and process.stdout
            line = process.stdout.readline()
            assert line, (folder / "stderr").read_text()[-3000:]
            yield TensorFlow(folder, process, json.loads(line))
            process.stdin.close()


# --- dfutil ---


def test_tensorflow_reads_what_dfutil_wrote_value_by_value(frame, tensorflow: TensorFlow, tmp_path: Path) -> None:
    files = dfutil.saveAsTFRecords(frame, str(tmp_path / "ours"))
    assert sum(file.rows for file in files) == len(ROWS)
    read = [example for file in tensorflow.read([file.path for file in files]) for example in file]
    assert sorted(read, key=lambda example: example["double"][1]) == EXAMPLES


@pytest.mark.parametrize("name", ["by tensorflow", "by tensorflow zipped"])
def test_dfutil_reads_what_tensorflow_wrote_value_by_value(spark, tensorflow: TensorFlow, name: str) -> None:
    folder = str(tensorflow.folder / name)
    found = dfutil.loadTFRecords(spark.sparkContext, folder, binary_features=BINARY)
    assert dfutil.isLoadedDF(found) and dfutil.loadedDF[found] == folder and not dfutil.isLoadedDF(found.limit(1))
    assert [column for column, _ in found.dtypes] == sorted(DTYPES)
    kinds = {"float": "double", "double": "double", "string": "string", "binary": "binary"}
    expected = {name: kinds.get(dtype.removeprefix("array<").rstrip(">"), "bigint") for name, dtype in DTYPES.items()}
    arrays = {name: f"array<{kind}>" if DTYPES[name].startswith("array") else kind for name, kind in expected.items()}
    assert dict(found.dtypes) == arrays
    assert plain(found.collect()) == ROWS, "true is 1"


def test_by_a_schema_types_are_those_of_before_and_what_is_missing_is_null(
    spark, frame, tensorflow: TensorFlow
) -> None:
    paths = f"{tensorflow.folder}/by tensorflow, {tensorflow.folder}/by tensorflow zipped/part-*"
    schema = types.StructType([*frame.schema, types.StructField("absent", types.ArrayType(types.LongType()))])
    found = dfutil.loadTFRecords(spark, paths, schema=schema)
    assert found.dtypes == [*frame.dtypes, ("absent", "array<bigint>")]
    expected = [row | {"absent": None} for row in ROWS for _ in ("plain", "zipped")]
    assert plain(found.collect()) == expected


def test_rdds_of_records_are_as_ever(spark, frame) -> None:
    records = frame.rdd.mapPartitions(dfutil.toTFExample(frame.dtypes))
    kinds = {(type(record), nothing) for record, nothing in records.collect()}
    assert kinds == {(bytearray, None)}
    rows = records.mapPartitions(lambda part: dfutil.fromTFExample(part, BINARY)).collect()
    assert plain(rows) == ROWS and rows[0].__fields__ == sorted(DTYPES)


def test_columns_are_those_of_all_files_and_nulls_and_lengths_come_back(spark, tmp_path: Path) -> None:
    rows = [(1, [1.0], None, []), (None, [1.0, 2.0], "a", [5])]
    frame = spark.createDataFrame(rows, "n int, x array<double>, s string, e array<int>").repartitionByRange(2, "n")
    assert len(dfutil.saveAsTFRecords(frame, str(tmp_path / "two"))) == 2
    found = dfutil.loadTFRecords(spark, str(tmp_path / "two"))
    assert found.dtypes == [("e", "bigint"), ("n", "bigint"), ("s", "string"), ("x", "array<double>")]
    assert sorted(map(tuple, found.collect()), key=str) == [(5, None, "a", [1.0, 2.0]), (None, 1, None, [1.0])]


def test_files_that_are_cut_or_changed_are_named_with_the_offset(spark, tmp_path: Path) -> None:
    (file,) = dfutil.saveAsTFRecords(spark.range(200).coalesce(1), str(tmp_path / "whole"))
    path = Path(file.path)
    whole = path.read_bytes()
    offset = 199 * len(whole) // 200  # of the last record, all of one size but those of small numbers
    path.write_bytes(whole[:-3])
    with pytest.raises(Exception, match="CorruptFileError") as caught:
        dfutil.loadTFRecords(spark, str(path)).collect()
    error = own_error(caught.value)
    assert isinstance(error, CorruptFileError) and error.hint
    assert error.message.startswith(f"{path}, record at byte ")
    assert abs(int(error.message.partition("byte ")[2].partition(":")[0]) - offset) < 20
    path.write_bytes(bytes([whole[0] ^ 1]) + whole[1:])
    with pytest.raises(CorruptFileError, match=f"{path}, record at byte 0: expected a length with its checksum"):
        dfutil.loadTFRecords(spark, str(path))


def test_what_cannot_be_loaded_or_saved_is_an_error_with_its_cure(spark, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="expected a file or folder at"):
        dfutil.loadTFRecords(spark, str(tmp_path / "gone"))
    with pytest.raises(SourceError, match="expected TFRecord files in .*, received none"):
        dfutil.loadTFRecords(spark, str(tmp_path))
    (tmp_path / "empty").write_bytes(b"")
    with pytest.raises(SourceError, match="expected records in .*empty"):
        dfutil.loadTFRecords(spark, str(tmp_path))
    assert dfutil.loadTFRecords(spark, str(tmp_path), schema="x int").count() == 0
    with pytest.raises(SourceError, match="expected an empty folder"):
        dfutil.saveAsTFRecords(spark.range(2), str(tmp_path))
    with pytest.raises(ConfigError, match="expected column 'd' of numbers, texts"):
        dfutil.saveAsTFRecords(spark.sql("SELECT current_date() d"), str(tmp_path / "new"))


# --- pipeline ---


@dataclass
class Fitted:
    """An estimator's model, and what its train_fn saw."""

    model: TFModel
    seen: dict[str, Any]
    points: Any


@pytest.fixture(scope="module")
def fitted(spark, tmp_path_factory) -> Fitted:
    folder = tmp_path_factory.mktemp("fitted")
    rows = [(float(n), [float(n % 5), float(n % 3)], 2.0 * (n % 5) - (n % 3)) for n in range(40)]
    points = spark.createDataFrame(rows, "id double, `point.at` array<double>, label double").repartition(3)
    args = {"own": 7, "report": str(folder / "seen.json")}
    estimator = (
        TFEstimator(tfos_pipeline_funs.fit_line, args, feed_timeout=60, reservation_timeout=60)
        .setInputMapping({"point.at": "x", "label": "y"})
        .setEpochs(3).setBatchSize(16).setExportDir(str(folder / "model")).setModelDir(str(folder / "checkpoints"))
    )  # fmt: skip
    model = estimator.fit(points)
    return Fitted(model, json.loads((folder / "seen.json").read_text()), points)


def test_train_fn_gets_arguments_and_params_and_all_rows_of_all_epochs(fitted: Fitted) -> None:
    seen = fitted.seen
    assert (seen["type"], seen["rows"], seen["own"], seen["job_name"]) == ("Namespace", 120, 7, "chief")
    assert {"own", "report", "batch_size", "epochs", "export_dir", "input_mapping", "steps"} <= set(seen["names"])
    assert seen["tensors"] == ["y", "x"], "label comes before point.at"
    assert seen["types"] == ["list", "float"] and seen["model_dir"].endswith("checkpoints")


def test_the_model_of_an_estimator_scores_and_comes_back_from_disk(fitted: Fitted, tmp_path: Path) -> None:
    model = fitted.model.setInputMapping({"point.at": "x"}).setOutputMapping({"y": "prediction"})
    assert (model.getBatchSize(), model.args.own) == (16, 7)
    assert model.transform(fitted.points).dtypes == [("prediction", "double")], "known without a job"
    model.write().overwrite().save(str(tmp_path / "saved"))
    again = TFModel.load(str(tmp_path / "saved")).setKeepColumns(True).setBatchSize(7)
    assert again.uid == model.uid and again.args == model.args
    scored = again.transform(fitted.points.coalesce(1))
    assert scored.columns == ["id", "point.at", "label", "prediction"]
    rows = scored.collect()
    assert len(rows) == 40
    assert [row.prediction for row in rows] == pytest.approx([row.label for row in rows], abs=1e-4)


def test_fit_raises_what_train_fn_raised_and_leaves_no_node(spark, fitted: Fitted) -> None:
    estimator = TFEstimator(tfos_pipeline_funs.fail, {"divisor": 0}).setInputMapping({"label": "y"})
    with pytest.raises(NodeError, match=r"\[chief:0\] .*ZeroDivisionError: by 0"):
        estimator.fit(fitted.points)


ECHO = {
    "f32": ("double", [0.5, -1.5, 2.0]), "f64": ("float", [0.25, 1.0, -2.0]), "half": ("double", [1.5, 2.0, -4.0]),
    "i8": ("tinyint", [-128, 0, 127]), "i32": ("bigint", [-5, 0, 1 << 30]), "i64": ("bigint", [1 << 62, -1, 0]),
    "flag": ("boolean", [True, False, True]), "word": ("string", ["Käse", "", "c"]),
    "blob": ("binary", [b"\xff\0", b"", b"x"]), "words": ("array<string>", [["a", "ü"], ["", "b"], ["c", "d"]]),
    "image": ("binary", [bytes(range(n, n + 6)) for n in (0, 100, 250)]),
    "grid": ("array<float>", [[1.0, 2.0, 3.0, 4.0]] * 3),
    "nested": ("array<array<double>>", [[[1.0, 2.0], [3.0, 4.0]]] * 3),
    "open": ("array<int>", [[1, 2, 3], [4, 5, 6], [7, 8, 9]]),
    "vector": ("vector", [[1.0, 0.0, n] for n in (2.0, 3.0, 4.0)]),
}  # fmt: skip
OUT = {
    "f32": "double", "f64": "double", "half": "double", "i8": "bigint", "i32": "bigint", "i64": "bigint",
    "flag": "boolean", "word": "binary", "blob": "binary", "words": "array<binary>", "image": "array<array<bigint>>",
    "grid": "array<array<double>>", "nested": "array<double>", "open": "array<bigint>", "vector": "array<double>",
}  # fmt: skip


@pytest.fixture(scope="module")
def echo(tensorflow: TensorFlow) -> TFModel:
    model = (
        TFModel({}).setExportDir(str(tensorflow.folder / "everything")).setSignatureDefKey("echo").setTagSet("serve")
    )
    return model.setInputMapping({name: name for name in ECHO}).setOutputMapping({f"{name}_out": name for name in ECHO})


@pytest.fixture(scope="module")
def of_all_types(spark):
    """A row of each type, three of them, and a null where no row is to be read."""
    fields = [
        types.StructField(name, VectorUDT() if kind == "vector" else types._parse_datatype_string(kind))
        for name, (kind, _) in ECHO.items()
    ]
    columns = [[Vectors.dense(one) for one in values] if kind == "vector" else values for kind, values in ECHO.values()]
    return spark.createDataFrame(list(zip(*columns, strict=True)), types.StructType(fields)).coalesce(1)


def test_columns_of_all_types_go_through_a_signature_and_back(echo: TFModel, of_all_types) -> None:
    scored = echo.copy().setBatchSize(2).transform(of_all_types)
    assert scored.dtypes == [(name, OUT[name]) for name in sorted(OUT, key=lambda name: f"{name}_out")]
    found = [row.asDict() for row in scored.collect()]
    for number, row in enumerate(found):
        expected = {name: values[number] for name, (_, values) in ECHO.items()}
        expected |= {
            "word": expected["word"].encode(), "words": [word.encode() for word in expected["words"]],
            "image": [list(expected["image"][:3]), list(expected["image"][3:])],
            "grid": [[1.0, 2.0], [3.0, 4.0]], "nested": [1.0, 2.0, 3.0, 4.0],
        }  # fmt: skip
        assert row == expected


def test_a_signature_of_four_rows_gets_four_also_at_the_end(spark, echo: TFModel) -> None:
    frame = spark.range(0, 10, 1, 1).select(sf.array(sf.col("id"), sf.lit(1)).alias("pair"))
    fixed = echo.copy().setSignatureDefKey("fixed").setInputMapping({"pair": "x"}).setOutputMapping({"total": "t"})
    assert [row.t for row in fixed.transform(frame).collect()] == [n + 1.0 for n in range(10)]
    assert fixed.transform(frame.limit(0)).collect() == []


def test_a_signature_is_loaded_once_and_a_new_version_anew(tensorflow: TensorFlow) -> None:
    assert (tensorflow.said["kept"], tensorflow.said["new"]) == (True, True)


def test_a_saved_model_elsewhere_is_fetched_and_what_a_graph_refuses_names_the_rows(tensorflow: TensorFlow) -> None:
    assert tensorflow.said["fetched"] == [2.0] * 4
    assert tensorflow.said["refused"].startswith("partition 3, rows 8 to 11: the signature ")
    assert "refused them: " in tensorflow.said["refused"]


def test_tags_choose_among_graphs(spark, tensorflow: TensorFlow) -> None:
    assert tensorflow.said["by tags"] == [[1.0], [2.0]]
    model = TFModel({}).setExportDir(str(tensorflow.folder / "tags")).setInputMapping({"id": "x"})
    scored = model.setOutputMapping({"y": "y"}).setTagSet("serve,gpu").transform(spark.range(3))
    assert scored.dtypes == [("y", "double")]
    with pytest.raises(ConfigError, match=r"the tags 'gpu', received a SavedModel with 'serve' and 'gpu,serve'"):
        model.setTagSet("gpu").transform(spark.range(3))


ONE = {"f32": "f32"}
WRONG = [
    ({"signature_def_key": "ecoh"}, ConfigError, r"expected the signature 'ecoh', .* with echo, fixed\n.*'echo'"),
    ({"tag_set": "serve,gpu"}, ConfigError, r"a graph with the tags 'serve,gpu', .* with 'serve'\n.*setTagSet"),
    ({"export_dir": None}, ConfigError, "export_dir is not set"),
    ({"export_dir": "/gone"}, SourceError, r"could not read /gone/saved_model.pb(.|\n)*setExportDir"),
    ({"batch_size": 0}, ConfigError, "batch_size is 0"),
    ({"input_mapping": {}}, ConfigError, "input_mapping is empty"),
    ({"input_mapping": {"gone": "f32"}}, SchemaError, "expected a column 'gone', received f32"),
    ({"input_mapping": {"f32": "f23"}}, ConfigError, r"input of signature 'echo', received 'f23'(.|\n)*'f32'"),
    ({"input_mapping": ONE}, ConfigError, "received none for blob, f64"),
    ({"input_mapping": {"f64": "f32"} | ONE}, ConfigError, "maps two columns to 'f32'"),
    ({"input_mapping": {name: name for name in ECHO} | {"f32": "word", "word": "f32"}}, SchemaError, "cast it"),
    ({"output_mapping": {}}, ConfigError, "output_mapping is empty"),
    ({"output_mapping": {"out": "x"}}, ConfigError, "output of signature 'echo', received 'out'"),
    ({"output_mapping": {"mean": "x"}}, ConfigError, "output 'mean' is a single value"),
    ({"output_mapping": {"f32_out": "x", "f64_out": "x"}}, ConfigError, "two columns one name"),
    ({"keep_columns": True}, SchemaError, "has a column 'blob' already"),
]


@pytest.mark.parametrize(("change", "kind", "words"), WRONG)
def test_what_cannot_be_scored_is_one_error_before_a_job_runs(echo: TFModel, of_all_types, change, kind, words) -> None:
    with pytest.raises(kind, match=words) as caught:
        echo.copy()._set(**change).transform(of_all_types)
    assert caught.value.hint


def test_a_row_of_another_shape_is_named(spark, echo: TFModel, of_all_types) -> None:
    fixed = echo.copy().setSignatureDefKey("fixed").setInputMapping({"vector": "x"}).setOutputMapping({"total": "t"})
    with pytest.raises(Exception, match="SchemaError") as caught:
        fixed.transform(of_all_types).collect()
    error = own_error(caught.value)
    assert isinstance(error, SchemaError) and error.hint
    assert error.message == "column 'vector', partition 0, row 0: expected 2 values, received 3 values"


def test_an_estimator_refuses_before_it_takes_executors(spark) -> None:
    estimator = TFEstimator(tfos_pipeline_funs.fit_line, {}).setInputMapping({"x": "x"})
    with pytest.raises(SchemaError, match="expected a column 'x', received id"):
        estimator.fit(spark.range(3))
