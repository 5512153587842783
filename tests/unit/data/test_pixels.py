"""Columns of pixels packed into bytes; no Spark here."""

from __future__ import annotations

import pyarrow as pa
import pytest

from tfspark_cnn.data.pixels import PackPixels, check_columns
from tfspark_cnn.errors import ConfigError, CorruptFileError


def batch(**columns: list[int | None]) -> pa.RecordBatch:
    return pa.record_batch({name: pa.array(values, pa.int32()) for name, values in columns.items()})


def test_all_columns_but_the_label_become_bytes_in_their_order() -> None:
    rows = batch(p0=[0, 9], label=[7, 3], p1=[255, 1], p2=[5, 6])
    (packed,) = PackPixels(1, "a.csv")([rows])
    assert packed.schema == pa.schema({"image": pa.binary(), "label": pa.int64()})
    assert packed.to_pydict() == {"image": [bytes([0, 255, 5]), bytes([9, 1, 6])], "label": [7, 3]}


def test_files_without_labels_give_images_alone() -> None:
    assert PackPixels(None, "a.csv").packed(batch(p0=[1], p1=[2])).to_pydict() == {"image": [b"\1\2"]}


@pytest.mark.parametrize(("value", "received"), [(256, "256"), (-1, "-1"), (None, "nothing")])
def test_what_is_no_byte_is_refused(value: int | None, received: str) -> None:
    rows = batch(p0=[3, 4], p1=[0, value])
    with pytest.raises(CorruptFileError, match=rf"a\.csv, column 'p1': .*from 0 to 255, received {received}\n"):
        PackPixels(None, "a.csv").packed(rows)


def test_a_row_without_a_label_is_refused() -> None:
    with pytest.raises(CorruptFileError, match="a label in each row"):
        PackPixels(0, "a.csv").packed(batch(label=[1, None], p0=[0, 0]))


def test_columns_that_cannot_be_are_refused() -> None:
    check_columns(["label", "p0"], "label", where="a.csv")
    with pytest.raises(ConfigError, match=r"a\.csv: expected a column 'lable', .*2 columns.*\n.*did you mean 'label'"):
        check_columns(["label", "p0"], "lable", where="a.csv")
    with pytest.raises(ConfigError, match=r"expected columns of pixels, received none"):
        check_columns(["label"], "label", where="a.csv")
    with pytest.raises(ConfigError, match=r"pass label=, or None"):
        check_columns([f"p{number}" for number in range(784)], "label", where="a.csv")
