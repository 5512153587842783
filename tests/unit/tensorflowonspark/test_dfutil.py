"""Rows as Examples and back, and the columns of an Example; no Spark job and no TensorFlow here."""

from __future__ import annotations

import gc
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyspark.sql import Row
from pyspark.sql.types import StructType

from tfspark_cnn.data.example import decoded, encoded
from tfspark_cnn.data.record_file import framed
from tfspark_cnn.data.tfrecord import RecordFile, read_file
from tfspark_cnn.errors import ConfigError, CorruptFileError, SchemaError
from tfspark_cnn.tensorflowonspark import dfutil
from tfspark_cnn.tensorflowonspark.dfutil import fromTFExample, infer_schema, isLoadedDF, loadedDF, toTFExample

EXAMPLE = {
    "int": np.array([3]), "ints": np.array([1, -2]), "float": np.float32([0.5]), "floats": np.float32([0.5, 2]),
    "word": ["ü".encode()], "words": [b"a", b"b"], "raw": [b"\xff"], "raws": [b"\xff", b""],
    "no_ints": np.array([], np.int64), "no_floats": np.float32([]), "no_words": [],
}  # fmt: skip
BINARY = ["raw", "raws"]


def columns(schema: StructType) -> dict[str, str]:
    return {field.name: field.dataType.simpleString() for field in schema}


def test_columns_of_an_example_are_known_by_what_it_holds() -> None:
    schema = infer_schema(encoded(EXAMPLE), BINARY)
    assert schema.names == sorted(EXAMPLE) and all(field.nullable for field in schema)
    assert columns(schema) == {
        "int": "bigint", "ints": "array<bigint>", "float": "double", "floats": "array<double>", "word": "string",
        "words": "array<string>", "raw": "binary", "raws": "array<binary>", "no_ints": "bigint", "no_floats": "double",
        "no_words": "string",
    }  # fmt: skip


def test_a_message_of_tensorflow_is_taken_as_well() -> None:
    class Example:
        def SerializeToString(self) -> bytes:  # noqa: N802  protobuf's name
            return encoded({"x": np.array([1])})

    assert columns(infer_schema(Example())) == {"x": "bigint"}


def test_a_feature_that_is_not_set_is_text_that_is_null() -> None:
    unset = b"\x0a\x07\x0a\x05\x0a\x01x\x12\x00"
    assert decoded(unset) == {"x": None}
    assert columns(infer_schema(unset)) == {"x": "string"}
    assert list(fromTFExample([(unset, None)])) == [Row(x=None)]


def test_rows_of_records_have_values_alone_or_as_lists() -> None:
    (row,) = fromTFExample([(bytearray(encoded(EXAMPLE)), None)], BINARY)
    assert row.__fields__ == sorted(EXAMPLE)
    assert row.asDict() == {
        "int": 3, "ints": [1, -2], "float": 0.5, "floats": [0.5, 2.0], "word": "ü", "words": ["a", "b"],
        "raw": bytearray(b"\xff"), "raws": [b"\xff", b""], "no_ints": None, "no_floats": None, "no_words": None,
    }  # fmt: skip
    assert list(map(type, (row.int, row.float, row.raw))) == [int, float, bytearray]


def test_rows_become_records_one_by_one() -> None:
    asked = []

    def rows() -> Any:
        for number in range(3):
            asked.append(number)
            yield Row(n=number, words=["a", "ü"], flag=True, x=0.1, none=None)

    dtypes = [("n", "int"), ("words", "array<string>"), ("flag", "boolean"), ("x", "double"), ("none", "string")]
    records = toTFExample(dtypes)(rows())
    record, nothing = next(iter(records))
    assert asked == [0] and type(record) is bytearray and nothing is None
    found = decoded(bytes(record))
    assert {name: list(values) for name, values in found.items() if values is not None} == {
        "n": [0], "words": [b"a", "ü".encode()], "flag": [1], "x": [np.float32(0.1)],
    }  # fmt: skip


def test_the_function_crosses_to_executors() -> None:
    function = toTFExample([("n", "int")])
    assert pickle.loads(pickle.dumps(function)) == function


@pytest.mark.parametrize("dtype", ["date", "decimal(10,0)", "array<array<int>>", "struct<a:int>", "map<string,int>"])
def test_a_column_that_no_feature_can_be_is_refused_before_a_task(dtype: str) -> None:
    with pytest.raises(ConfigError, match="expected column 'c' of numbers, texts, bytes"):
        toTFExample([("c", dtype)])


def test_what_is_in_a_record_or_a_row_and_does_not_fit_is_named() -> None:
    with pytest.raises(SchemaError, match="column 'c': expected no null within an array"):
        list(toTFExample([("c", "array<int>")])([Row(c=[1, None])]))
    with pytest.raises(SchemaError, match=r"feature 'raw': expected text in UTF-8(.|\n)*binary_features=\['raw'\]"):
        list(fromTFExample([encoded({"raw": [b"\xff"]})]))
    with pytest.raises(CorruptFileError, match="expected a tf.train.Example, received"):
        list(fromTFExample([(b"\x0a\xff", None)]))


def test_a_file_whose_bytes_are_no_text_says_how_to_say_so(tmp_path: Path) -> None:
    path = tmp_path / "part-0"
    path.write_bytes(framed(encoded({"raw": [b"text"]})) + framed(encoded({"raw": [b"\xff"]})))
    file = RecordFile(str(path), pa.schema({"raw": pa.string()}), hint=dfutil._PASS)
    with pytest.raises(CorruptFileError, match=r"part-0, record at byte 35: feature 'raw'(.|\n)*binary_features"):
        list(read_file(file))
    (batch,) = dfutil._kinds_in(str(path))
    assert batch.to_pylist() == [{"name": "raw", "kind": "bytes_list", "several": False}]


def test_frames_that_nobody_has_any_more_are_not_kept() -> None:
    class Frame:
        """Stands for a DataFrame."""

    frame: Any = Frame()
    loadedDF[frame] = "there"
    assert isLoadedDF(frame) and not isLoadedDF(Frame())  # type: ignore[arg-type]
    del frame
    gc.collect()
    assert len(loadedDF) == 0


def test_paths_are_of_the_default_file_system_and_names_may_be_patterns(tmp_path, monkeypatch) -> None:
    class Spark:
        """Answers what is asked of a session."""

        def __init__(self, default: str | None) -> None:
            self.sparkContext = self._jsc = self
            self.hadoopConfiguration = lambda: {"fs.defaultFS": default}

    monkeypatch.setattr("getpass.getuser", lambda: "me")
    hdfs = Spark("hdfs://nn:8020/")
    located = [dfutil._located(hdfs, path) for path in ("/data", "data", "s3a://b/data", "file:/data")]
    assert located == ["hdfs://nn:8020/data", "hdfs://nn:8020/user/me/data", "s3a://b/data", "file:/data"]
    assert [dfutil._located(Spark(fs), "/data") for fs in (None, "file:///")] == ["/data", "/data"]
    for name in ("part-0", "part-1", "_SUCCESS", ".part-0.crc", "other"):
        (tmp_path / name).write_bytes(b"")
    assert dfutil._files(f"{tmp_path}/part-*") == [f"{tmp_path}/part-0", f"{tmp_path}/part-1"]
    assert dfutil._files(f"{tmp_path}/") == [f"{tmp_path}/{name}" for name in ("other", "part-0", "part-1")]
    monkeypatch.chdir(tmp_path)
    assert dfutil._files("part-[1]") == ["./part-1"]
