"""Lines of pixels turned into bytes; no Spark here."""

from __future__ import annotations

import pyarrow as pa
import pytest

from tfspark_cnn.data.pixels import ParsePixels, check_columns, names_in
from tfspark_cnn.errors import ConfigError, CorruptFileError

PARSE = ParsePixels(("p0", "label", "p1"), "label", "p0,label,p1", "a.csv")


def lines(*values: str) -> pa.RecordBatch:
    return pa.record_batch({"value": list(values)})


def test_all_columns_but_the_label_become_bytes_in_their_order() -> None:
    (rows,) = PARSE([lines("p0,label,p1", "0,7,255", '"9",3,1', ""), lines("", "p0,label,p1")])
    assert rows.schema == pa.schema({"image": pa.binary(), "label": pa.int64()})
    assert rows.to_pydict() == {"image": [bytes([0, 255]), bytes([9, 1])], "label": [7, 3]}


def test_files_without_labels_or_header_give_images_alone() -> None:
    (rows,) = ParsePixels(("_c0", "_c1"), None, None, "a.csv")([lines("1,2", "3,4")])
    assert rows.to_pydict() == {"image": [b"\1\2", b"\3\4"]}


def test_columns_of_one_name_are_columns_of_their_own() -> None:
    (rows,) = ParsePixels(("p", "p"), None, None, "a.csv")([lines("1,2")])
    assert rows.to_pydict() == {"image": [b"\1\2"]}


@pytest.mark.parametrize(("value", "received"), [("256", "256"), ("-1", "-1"), ("", "nothing")])
def test_what_is_no_byte_is_refused(value: str, received: str) -> None:
    with pytest.raises(CorruptFileError, match=rf"a\.csv, column 'p1': .*from 0 to 255, received {received}\n"):
        PARSE.parsed(["0,1,2", f"3,4,{value}"])


@pytest.mark.parametrize(("value", "received"), [("-1", "-1"), ("", "nothing")])
def test_what_is_no_label_is_refused(value: str, received: str) -> None:
    with pytest.raises(CorruptFileError, match=rf"column 'label': expected a label from 0, received {received}"):
        PARSE.parsed(["0,1,2", f"3,{value},4"])


@pytest.mark.parametrize("line", ["1,2", "1,2,3,4", "1,x,2", "1,2,3.5", "label,p1,p0"])
def test_rows_of_other_numbers_are_refused_and_shown(line: str) -> None:
    with pytest.raises(CorruptFileError, match=r"expected rows of 3 whole numbers, received another: .*\n.*mend"):
        PARSE.parsed(["0,1,2", line])


def test_names_come_from_the_first_line_or_by_number() -> None:
    assert names_in('\ufeff"label",p0', header=True) == ("label", "p0")
    assert names_in("5,0", header=False) == ("_c0", "_c1")


def test_columns_that_cannot_be_are_refused() -> None:
    check_columns(["label", "p0"], "label", where="a.csv")
    with pytest.raises(ConfigError, match=r"a\.csv: expected a column 'labl', .*2 columns.*\n.*did you mean 'label'"):
        check_columns(["label", "p0"], "labl", where="a.csv")
    with pytest.raises(ConfigError, match=r"expected columns of pixels, received none"):
        check_columns(["label"], "label", where="a.csv")
    with pytest.raises(ConfigError, match=r"pass label=, or None"):
        check_columns([f"p{number}" for number in range(784)], "label", where="a.csv")
