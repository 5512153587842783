"""A fingerprint is that of the rows, however they are cut."""

from __future__ import annotations

import itertools
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfspark_cnn.errors import FeedError
from tfspark_cnn.feed.fingerprint import Fingerprint

SCHEMA = pa.schema(
    [
        ("number", pa.int64()),
        ("flag", pa.bool_()),
        ("text", pa.string()),
        ("raw", pa.binary()),
        ("list", pa.list_(pa.float32())),
        ("fixed", pa.list_(pa.int16(), 2)),
        ("nested", pa.list_(pa.list_(pa.int8()))),
        ("image", pa.struct([("height", pa.int32()), ("data", pa.binary())])),
    ]
)
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "number": st.none() | st.integers(-9, 9),
            "flag": st.none() | st.booleans(),
            "text": st.none() | st.text(max_size=3),
            "raw": st.none() | st.binary(max_size=3),
            "list": st.none() | st.lists(st.floats(width=32, allow_nan=False), max_size=3),
            "fixed": st.lists(st.integers(-9, 9), min_size=2, max_size=2),
            "nested": st.lists(st.lists(st.integers(-9, 9), max_size=2), max_size=2),
            "image": st.fixed_dictionaries({"height": st.integers(0, 9), "data": st.binary(max_size=3)}),
        }
    ),
    max_size=12,
)


def fingerprint(*batches: pa.RecordBatch) -> int:
    found = Fingerprint()
    for batch in batches:
        found.update(batch)
    return found.value()


def sent(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The batch as it is after a journey: IPC drops what a slice does not need."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return pa.ipc.open_stream(sink.getvalue()).read_next_batch()


@given(ROWS, st.lists(st.integers(0, 12), max_size=4))
def test_it_does_not_depend_on_how_rows_are_cut_or_sent(rows: list[dict[str, Any]], cuts: list[int]) -> None:
    batch = pa.RecordBatch.from_pylist(rows, schema=SCHEMA)
    bounds = [0, *sorted(min(cut, len(rows)) for cut in cuts), len(rows)]
    parts = [batch.slice(start, stop - start) for start, stop in itertools.pairwise(bounds)]
    assert fingerprint(*parts) == fingerprint(batch) == fingerprint(*map(sent, parts))


@given(ROWS.filter(bool), st.data())
def test_another_value_is_another_fingerprint(rows: list[dict[str, Any]], data: st.DataObject) -> None:
    changed = [dict(row) for row in rows]
    row = data.draw(st.sampled_from(changed))
    row["number"] = 99
    whole, other = (pa.RecordBatch.from_pylist(r, schema=SCHEMA) for r in (rows, changed))
    assert fingerprint(whole) != fingerprint(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ([1, 2], [2, 1]),
        ([1, None], [None, 1]),
        ([[1], [2]], [[1, 2], []]),
        (["ab", "c"], ["a", "bc"]),
        ([0], [0, 0]),
        ([None], []),
    ],
)
def test_order_lengths_nulls_and_number_of_rows_count(one: list[Any], other: list[Any]) -> None:
    kind = pa.array(one).type
    batches = [pa.record_batch([pa.array(values, kind)], names=["x"]) for values in (one, other)]
    assert fingerprint(batches[0]) != fingerprint(batches[1])


def test_a_type_it_cannot_look_into_is_an_error() -> None:
    odd = pa.array([{"a": 1}]).cast(pa.struct([("a", pa.int64())]))
    table = pa.record_batch([pa.array([[("k", 1)]], pa.map_(pa.string(), pa.int64())), odd], names=["m", "s"])
    with pytest.raises(FeedError, match="cannot be checked for changes between tries"):
        fingerprint(table)
