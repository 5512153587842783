"""Python rows to record batches and back."""

from __future__ import annotations

import threading
from collections import namedtuple
from fractions import Fraction

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfspark_cnn.errors import FeedError, SchemaError
from tfspark_cnn.feed.rows import (
    UNKNOWN_SCHEMA,
    RowKind,
    as_tuples,
    is_named,
    is_unknown,
    kind_of,
    record_batch,
    record_batches,
    to_rows,
    why_opaque,
)
from tfspark_cnn.feed.schema import Column, decode, resolve

INT64 = st.integers(-(2**63), 2**63 - 1)
FLOATS = st.floats(allow_nan=False)
SCALARS = (INT64, FLOATS, st.booleans(), st.text(), st.binary())
DTYPES = ("bool", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "float32", "float64")


def arrays(dtype, shape):
    size = int(np.prod(shape))
    item = np.dtype(dtype).itemsize
    return st.binary(min_size=size * item, max_size=size * item).map(
        lambda body: (np.frombuffer(body, "u1") % 2).astype(bool)[:size].reshape(shape)
        if dtype == "bool"
        else np.nan_to_num(np.frombuffer(body, dtype)).reshape(shape)
    )


@st.composite
def columns(draw):
    """A strategy of one column's values, all of one type."""
    kind = draw(st.sampled_from(["scalar", "list", "nested", "tuple", "array", "numpy"]))
    if kind == "array":
        shape = tuple(draw(st.lists(st.integers(1, 3), min_size=1, max_size=3)))
        return arrays(draw(st.sampled_from(DTYPES)), shape)
    if kind == "numpy":
        return arrays(draw(st.sampled_from(DTYPES)), (1,)).map(lambda array: array[0])
    one = draw(st.sampled_from(SCALARS))
    if kind == "scalar":
        return one
    if kind == "tuple":
        return st.lists(one, min_size=1, max_size=4).map(tuple)
    inner = st.lists(one, min_size=1, max_size=4)
    return inner if kind == "list" else st.lists(inner, min_size=1, max_size=3)


@st.composite
def tables(draw):
    """Rows of one kind."""
    width = draw(st.integers(1, 3))
    row = st.tuples(*(draw(columns()) for _ in range(width)))
    rows = draw(st.lists(row, min_size=1, max_size=20))
    kind = draw(st.sampled_from(["tuple", "list", "dict", "scalar"]))
    if kind == "list":
        return [list(one) for one in rows]
    if kind == "dict":
        return [{f"c{place}": value for place, value in enumerate(one)} for one in rows]
    if kind == "scalar" and not isinstance(rows[0][0], (tuple, list)):
        return [one[0] for one in rows]
    return rows


def same(left, right):
    if type(left) is not type(right):
        return False
    if isinstance(left, np.ndarray):
        return left.dtype == right.dtype and left.shape == right.shape and bool((left == right).all())
    if isinstance(left, (list, tuple)):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    return left == right


@settings(max_examples=200, deadline=None)
@given(tables(), st.integers(1, 7))
def test_rows_come_back_as_they_were_in_batches_of_one_schema(rows, max_rows):
    batches = list(record_batches(rows, max_rows=max_rows))
    assert [batch.num_rows for batch in batches[:-1]] == [max_rows] * (len(batches) - 1)
    assert {str(batch.schema) for batch in batches} == {str(batches[0].schema)}
    assert kind_of(batches[0].schema) is not RowKind.OPAQUE
    assert same([row for batch in batches for row in to_rows(batch)], rows)


@settings(max_examples=100, deadline=None)
@given(tables(), st.integers(0, 20), st.integers(0, 20))
def test_slices_of_a_batch_are_slices_of_the_rows(rows, start, length):
    assert same(to_rows(record_batch(rows).slice(min(start, len(rows)), length)), rows[start : start + length])


@settings(max_examples=100, deadline=None)
@given(st.lists(st.one_of(*SCALARS, st.none(), st.lists(INT64), st.fractions()), min_size=1))
def test_whatever_rows_are_mixed_comes_back(rows):
    assert same(to_rows(record_batch(rows)), rows) or {type(row) for row in rows} <= {int, float, type(None)}


def test_arrays_become_nested_lists_of_their_dtype_and_tensors_of_their_shape():
    batch = record_batch([(np.full((2, 3), n, "float32"), n) for n in range(4)])
    column = resolve(batch.schema, Column("_1"))
    assert (column.shape, column.dtype) == ((2, 3), "float32")
    assert decode(batch.column("_1"), column)[3].tolist() == [[3.0] * 3] * 2


def test_arrays_that_come_back_may_be_written_to():
    batch = record_batch([np.zeros(2)])
    to_rows(batch)[0][:] = 7
    assert to_rows(batch)[0].tolist() == [0, 0]


@pytest.mark.parametrize("order", ["F", "C", "view"])
def test_the_layout_of_an_array_in_memory_does_not_matter(order):
    array = np.arange(24, dtype="int16").reshape(4, 6)
    array = array[::2, 1:3] if order == "view" else np.asarray(array, order=order)
    assert same(to_rows(record_batch([array, array + 1])), [array, array + 1])


def test_rows_and_named_tuples_keep_their_names():
    from pyspark.sql import Row

    for row in (Row(x=1, y="a"), namedtuple("Point", "x y")(1, "a")):
        batch = record_batch([row])
        assert (batch.schema.names, to_rows(batch), is_named(batch.schema)) == (["x", "y"], [(1, "a")], True)
    assert record_batch([Row(1, "a")]).schema.names == ["_1", "_2"]


def test_keys_of_dicts_may_come_in_any_order():
    batches = list(record_batches([{"a": 1, "b": 2.0}, {"b": 3.0, "a": 4}], max_rows=1))
    assert [row for batch in batches for row in to_rows(batch)] == [{"a": 1, "b": 2.0}, {"a": 4, "b": 3.0}]


def test_none_is_a_null():
    rows = [(1, "a", None), (None, None, 2.5), (3, "b", 1)]
    batch = record_batch(rows)
    assert batch.column(0).null_count == 1
    assert to_rows(batch) == rows


@pytest.mark.parametrize(
    ("rows", "why"),
    [
        ([Fraction(1, 2)], "column '_1': values of Fraction"),
        ([1, (1,)], "rows are of several types: int, tuple"),
        ([1, "a"], "column '_1': values of int, str"),
        ([(1,), (1, 2)], "rows have 1 and 2 values"),
        ([{"a": 1}, {"b": 1}], "dicts have different keys"),
        ([{1: 2}], "dicts have no keys, or some that are not strings"),
        ([{}], "dicts have no keys"),
        ([()], "rows have 0 values"),
        ([None, None], "nothing but None"),
        ([np.zeros(2), np.zeros(3)], "arrays of several shapes or dtypes"),
        ([np.zeros(2), np.zeros(2, "f4")], "arrays of several shapes or dtypes"),
        ([np.array(["a"])], "values of NumPy's <U1"),
        ([np.zeros(2, ">f4")], "values of NumPy's >f4"),
        ([np.zeros(0)], r"arrays of shape \(0,\)"),
        ([([np.zeros(2)],)], "values of ndarray"),
        ([(1, [2, "a"])], "column '_2': values of int, str"),
        ([(True,), (2,)], "values of bool, int"),
        ([(b"a",), ("a",)], "values of bytes, str"),
        ([1 + 2j], "values of complex"),
    ],
)
def test_rows_without_a_common_type_travel_pickled_and_say_why(rows, why):
    batch = record_batch(rows)
    assert batch.schema.names == ["rows"] and batch.num_rows == len(rows)
    assert __import__("re").search(why, why_opaque(batch.schema))
    assert str(to_rows(batch)) == str(rows)
    with pytest.raises(SchemaError, match="received pickled rows") as caught:
        resolve(batch.schema, "_1")
    assert "get_data_feed" in caught.value.hint


@pytest.mark.parametrize(
    ("first", "later", "words"),
    [
        (1, 2.5, "column '_1': expected int, received float"),
        (1, "a", "expected int, received str"),
        (1, None, None),
        (1, True, "expected int, received bool"),
        (1, 2**70, "expected int64, received .*too large to convert to C long"),
        (1.5, 2, None),
        ((1,), (1, 2), "expected a tuple of _1, received a tuple of _1, _2"),
        ((1,), [1], "expected a tuple of _1, received a list of _1"),
        ({"a": 1}, {"b": 1}, "expected a dict of a, received a dict of b"),
        ({"a": 1}, 1, "expected a dict of a, received a single value"),
        (([1, 2],), ([1.5, 2],), "expected int, received float"),
        (([1, 2],), ([1, 2, 3],), None),
        (([1.5],), (["a"],), "expected float, int, received str"),
        (([1, 2],), ([1, None],), None),
        (([1, 2],), ((1, 2),), "expected list, received tuple"),
        (np.zeros(3), np.zeros(4), r"expected an array float64\[3\], received float64\[4\]"),
        (np.zeros(3), np.zeros(3, "f4"), r"expected an array float64\[3\], received float32\[3\]"),
        ((np.zeros(3),), (None,), r"expected an array float64\[3\], received NoneType"),
        (np.float32(1), 1.0, "expected float32, received float"),
        (np.float32(1), np.float64(1), "expected float32, received float64"),
        (b"a", "a", "expected bytes, received str"),
    ],
)
def test_a_later_row_fits_the_first_ones_or_is_refused_by_its_number(first, later, words):
    rows = [first] * 5 + [later] + [first]
    batches = record_batches(rows, max_rows=4)
    assert next(batches).num_rows == 4
    if words is None:
        assert str(to_rows(next(batches))[1]) == str(float(later) if first == 1.5 else later)
        return
    with pytest.raises(FeedError, match=f"row 5: .*{words}, as the first rows have it") as caught:
        next(batches)
    assert caught.value.hint


def test_rows_that_cannot_be_pickled_are_refused():
    with pytest.raises(FeedError, match="row 0: expected a row that can be pickled, received lock"):
        list(record_batches([threading.Lock()]))


def test_no_rows_give_no_batches():
    assert list(record_batches([])) == []


def test_large_rows_come_in_small_batches():
    batches = list(record_batches((np.zeros(1000) for _ in range(10)), max_bytes=20_000))
    assert [batch.num_rows for batch in batches] == [2] * 5
    assert [batch.num_rows for batch in record_batches([np.zeros(1000)] * 2, max_bytes=10)] == [1, 1]


def test_rows_of_a_dataframe_are_tuples():
    batch = pa.record_batch({"x": pa.array([[1.0], None], pa.list_(pa.float32())), "s": ["a", "b"]})
    assert to_rows(batch) == [([1.0], "a"), (None, "b")]
    assert to_rows(as_tuples(record_batch([{"a": 1}]))) == [(1,)]


def test_the_schema_of_an_rdd_is_announced_as_unknown():
    assert is_unknown(UNKNOWN_SCHEMA) and not is_unknown(record_batch([1]).schema)


def test_a_column_of_another_type_is_cast_or_refused():
    column = resolve(record_batch([1]).schema, "_1")
    assert decode(pa.array([2.0]), column).tolist() == [2]
    with pytest.raises(SchemaError, match="'_1': expected int64 as in the first partition, received double"):
        decode(pa.array([2.5]), column)
