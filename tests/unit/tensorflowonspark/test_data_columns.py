"""Which columns are fed as a DataFrame, and which as rows."""

from __future__ import annotations

from typing import Any

import pytest
from pyspark.ml.linalg import VectorUDT
from pyspark.sql import types as t

from tfspark_cnn.errors import ConfigError, SchemaError
from tfspark_cnn.tensorflowonspark.data_columns import check_mapped, fed_alike, quoted


class Frame:
    """Has a schema, gives a part of itself, and rows."""

    def __init__(self, **columns: t.DataType) -> None:
        self.schema = t.StructType([t.StructField(name, kind) for name, kind in columns.items()])
        self.columns = list(columns)
        self.rdd = "rows"

    def select(self, names: list[str]) -> Frame:
        return Frame(**{name.strip("`"): self.schema[name.strip("`")].dataType for name in names})


PLAIN: list[t.DataType] = [
    t.LongType(), t.ByteType(), t.DoubleType(), t.BooleanType(), t.StringType(), t.BinaryType(),
    t.ArrayType(t.ArrayType(t.FloatType())),
]  # fmt: skip
OTHERS: list[t.DataType] = [
    VectorUDT(), t.DateType(), t.TimestampType(), t.DecimalType(), t.StructType([t.StructField("a", t.LongType())]),
    t.MapType(t.StringType(), t.LongType()), t.ArrayType(VectorUDT()),
]  # fmt: skip


@pytest.mark.parametrize("kind", PLAIN, ids=str)
def test_what_arrow_gives_back_as_rows_hold_it_is_fed_as_a_frame(kind: t.DataType) -> None:
    frame: Any = Frame(b=t.LongType(), a=kind, c=VectorUDT())
    assert fed_alike(frame, ["a", "b"]).columns == ["a", "b"]


@pytest.mark.parametrize("kind", OTHERS, ids=str)
def test_all_else_is_fed_as_rows(kind: t.DataType) -> None:
    frame: Any = Frame(a=t.LongType(), b=kind)
    assert fed_alike(frame, ["a", "b"]) == "rows"


def test_a_mapping_names_columns_that_there_are() -> None:
    frame: Any = Frame(label=t.LongType(), image=t.BinaryType())
    check_mapped(frame, {"image": "x"}, setter="setInputMapping")
    with pytest.raises(ConfigError, match=r"input_mapping is empty(.|\n)*setInputMapping\({'column'"):
        check_mapped(frame, {}, setter="setInputMapping")
    with pytest.raises(SchemaError, match=r"expected a column 'imgae', received label, image(.|\n)*'image'"):
        check_mapped(frame, {"imgae": "x"}, setter="setInputMapping")
    assert quoted("a.b`c") == "`a.b``c`"
