from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tfspark_cnn.errors import SchemaError
from tfspark_cnn.feed.schema import Column, TensorSpec, decode, infer_shape, resolve, spec

VECTOR = pa.struct(
    [("type", pa.int8()), ("size", pa.int32()), ("indices", pa.list_(pa.int32())), ("values", pa.list_(pa.float64()))]
)
IMAGE = pa.struct(
    [
        ("origin", pa.string()),
        ("height", pa.int32()),
        ("width", pa.int32()),
        ("nChannels", pa.int32()),
        ("mode", pa.int32()),
        ("data", pa.binary()),
    ]
)
NUMBERS = ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float32", "float64"]


def read(array: pa.Array, column: Column | None = None, *, first_row: int = 0) -> np.ndarray:
    schema = pa.schema([("x", array.type)])
    return decode(array, resolve(schema, column or "x"), first_row=first_row)


def dense(*values: float) -> dict[str, Any]:
    return {"type": 1, "size": None, "indices": None, "values": list(values)}


def sparse(size: int, entries: dict[int, float]) -> dict[str, Any]:
    return {"type": 0, "size": size, "indices": list(entries), "values": list(entries.values())}


def image(pixels: np.ndarray, **other: Any) -> dict[str, Any]:
    height, width, channels = pixels.shape
    mode = 8 * (channels - 1)
    found = {"origin": "", "height": height, "width": width, "nChannels": channels, "mode": mode}
    return {**found, "data": pixels.tobytes(), **other}


def addresses(array: pa.Array) -> list[tuple[int, int]]:
    return [(buffer.address, buffer.address + buffer.size) for buffer in array.buffers() if buffer is not None]


def is_view(found: np.ndarray, array: pa.Array) -> bool:
    return any(start <= found.ctypes.data < stop for start, stop in addresses(array))


# --- resolve

f32 = pa.float32()


@pytest.mark.parametrize(
    ("kind", "column", "shape", "dtype"),
    [
        (pa.int64(), Column("x"), (), "int64"),
        (pa.bool_(), Column("x"), (), "bool"),
        (pa.float16(), Column("x"), (), "float16"),
        (pa.int64(), Column("x", dtype="float32"), (), "float32"),
        (pa.float64(), Column("x", shape=(1,), dtype="float32"), (1,), "float32"),
        (pa.list_(f32), Column("x"), None, "float32"),
        (pa.list_(f32), Column("x", shape=(28, 28, 1)), (28, 28, 1), "float32"),
        (pa.list_(f32, 784), Column("x"), (784,), "float32"),
        (pa.list_(f32, 784), Column("x", shape=(28, 28)), (28, 28), "float32"),
        (pa.list_(pa.list_(f32, 4), 2), Column("x"), (2, 4), "float32"),
        (pa.list_(pa.large_list(f32)), Column("x", shape=(2, 4)), (2, 4), "float32"),
        (pa.binary(12), Column("x", dtype="float32"), (3,), "float32"),
        (pa.binary(12), Column("x", shape=(3, 4)), (3, 4), "uint8"),
        (pa.large_binary(), Column("x", shape=(3, 4), dtype="int16"), (3, 4), "int16"),
        (pa.binary(), Column("x"), None, "uint8"),
        (pa.binary(), Column("x", encoding="png", shape=(8, 8, 3)), (), "object"),
        (VECTOR, Column("x"), None, "float64"),
        (VECTOR, Column("x", shape=(3, 1), dtype="float32"), (3, 1), "float32"),
        (IMAGE, Column("x"), None, "uint8"),
    ],
)
def test_the_schema_tells_shape_and_dtype(
    kind: pa.DataType, column: Column, shape: tuple[int, ...] | None, dtype: str
) -> None:
    resolved = resolve(pa.schema([("other", pa.string()), ("x", kind)]), column)
    assert (resolved.name, resolved.shape, resolved.dtype) == ("x", shape, dtype)
    assert resolved.concrete == (shape is not None)
    assert pickle.loads(pickle.dumps(resolved)) == resolved
    if shape is not None:
        assert spec(resolved) == TensorSpec("x", shape, dtype)


@pytest.mark.parametrize(
    ("kind", "cure"),
    [
        (pa.decimal128(10, 2), r'df\["x"\].cast\("double"\)'),
        (pa.date32(), "unix_date"),
        (pa.timestamp("us"), "unix_micros"),
        (pa.string(), "StringIndexer"),
        (pa.large_string(), "StringIndexer"),
        (pa.list_(pa.string()), "StringIndexer"),
        (pa.struct([("a", pa.int8())]), r'df.select\("x.\*"\)'),
        (pa.map_(pa.string(), pa.int8()), "values of its keys"),
        (pa.null(), "nothing but nulls"),
        (pa.list_(pa.binary()), "one binary value"),
        (pa.duration("s"), "numbers, lists or bytes"),
    ],
)
def test_types_without_a_tensor_are_refused_with_a_cure(kind: pa.DataType, cure: str) -> None:
    with pytest.raises(SchemaError, match=f"column 'x': expected numbers.*received (.|\n)*{cure}") as refused:
        resolve(pa.schema([("x", kind)]), "x")
    assert f"received {kind}" in refused.value.message


@pytest.mark.parametrize(
    ("kind", "column", "message"),
    [
        (pa.float32(), Column("x", dtype="int32"), "expected a float dtype for float, received 'int32'"),
        (VECTOR, Column("x", dtype="uint8"), "expected a float dtype"),
        (pa.list_(f32, 784), Column("x", shape=(28, 27)), r"shape \(28, 27\), received rows of 784 values"),
        (pa.int8(), Column("x", shape=(2,)), r"shape \(2,\), received rows of single values"),
        (pa.binary(10), Column("x", dtype="float32"), "a whole number of float32, received rows of 10 bytes"),
        (pa.binary(12), Column("x", shape=(4,), dtype="float32"), r"shape \(4,\), received rows of 12 bytes"),
        (pa.list_(f32, 0), Column("x"), "expected rows that hold values"),
        (pa.string(), Column("x", encoding="jpeg"), "expected binary for jpeg, received string"),
        (pa.list_(pa.uint8()), Column("x", encoding="png"), "expected binary for png"),
    ],
)
def test_what_the_type_does_not_hold_is_refused(kind: pa.DataType, column: Column, message: str) -> None:
    with pytest.raises(SchemaError, match=message):
        resolve(pa.schema([("x", kind)]), column)


def test_a_missing_column_is_refused_with_those_there_are() -> None:
    schema = pa.schema([("image", pa.binary()), ("Label", pa.int64())])
    with pytest.raises(SchemaError, match="a column 'label', received image: binary, Label: int64\n.*mean 'Label'"):
        resolve(schema, "label")
    with pytest.raises(SchemaError, match="add it to the select"):
        resolve(schema, "weight")
    with pytest.raises(SchemaError, match="received no columns"):
        resolve(pa.schema([]), "weight")


def test_two_columns_of_one_name_are_refused() -> None:
    with pytest.raises(SchemaError, match="one column 'x', received 2 of that name"):
        resolve(pa.schema([("x", f32), ("x", f32)]), "x")


def test_a_spec_needs_a_known_shape() -> None:
    with pytest.raises(SchemaError, match="expected a known shape, received list"):
        spec(resolve(pa.schema([("x", pa.list_(f32))]), "x"))


# --- decode: numbers and lists


def as_lists(values: np.ndarray, kinds: list[str]) -> pa.Array:
    """Makes nested lists of an array, one kind of list for each axis but the first."""
    array = pa.array(values.ravel())
    for axis in range(values.ndim - 1, 0, -1):
        length, rows = values.shape[axis], int(np.prod(values.shape[:axis]))
        starts = np.arange(rows + 1) * length
        made = {
            "fixed": lambda a=array, n=length: pa.FixedSizeListArray.from_arrays(a, n),
            "list": lambda a=array, s=starts: pa.ListArray.from_arrays(pa.array(s, pa.int32()), a),
            "large": lambda a=array, s=starts: pa.LargeListArray.from_arrays(pa.array(s, pa.int64()), a),
        }
        array = made[kinds[axis - 1]]()
    return array


arrays = hnp.arrays(
    st.sampled_from([*NUMBERS, "bool"]),
    hnp.array_shapes(min_dims=1, max_dims=4, max_side=5),
    elements={"allow_nan": False},
)
kinds = st.lists(st.sampled_from(["fixed", "list", "large"]), min_size=3, max_size=3)


@given(arrays, kinds, st.data())
def test_nested_lists_sliced_anywhere_equal_numpy(values: np.ndarray, kinds: list[str], data: st.DataObject) -> None:
    array = as_lists(values, kinds)
    start = data.draw(st.integers(0, len(values) - 1))
    stop = data.draw(st.integers(start + 1, len(values)))
    found = read(array[start:stop])
    assert found.dtype == values.dtype and found.flags.c_contiguous
    np.testing.assert_array_equal(found, values[start:stop])
    if values.dtype != bool:
        flat = array
        while hasattr(flat, "values"):
            flat = flat.values
        assert is_view(found, flat)


@given(arrays, kinds, st.data())
def test_a_column_decoded_in_pieces_equals_the_whole(values: np.ndarray, kinds: list[str], data: st.DataObject) -> None:
    array = as_lists(values, kinds)
    column = infer_shape(array, resolve(pa.schema([("x", array.type)]), "x"))
    cut = data.draw(st.integers(0, len(values)))
    pieces = [decode(array[:cut], column), decode(array[cut:], column, first_row=cut)]
    np.testing.assert_array_equal(np.concatenate(pieces), values)
    np.testing.assert_array_equal(
        decode(pa.chunked_array([array[cut:], array[:cut]]), column), np.roll(values, -cut, 0)
    )


def test_a_chunked_array_of_one_chunk_is_not_copied() -> None:
    array = pa.array(np.arange(6.0))
    assert is_view(read(pa.chunked_array([array[2:]])), array)


def test_float16_is_a_view_too() -> None:
    array = pa.array(np.arange(6, dtype=np.float16))
    found = read(array[2:])
    assert found.dtype == np.float16 and found.tolist() == [2, 3, 4, 5] and is_view(found, array)


@pytest.mark.parametrize("kind", [pa.list_(f32), pa.list_(f32, 6), pa.list_(pa.list_(f32, 3), 2)])
def test_a_shape_reshapes_lists_of_as_many_values(kind: pa.DataType) -> None:
    rows = [[[0, 1, 2], [3, 4, 5]]] * 3 if pa.types.is_nested(kind.value_type) else [[0, 1, 2, 3, 4, 5]] * 3
    found = read(pa.array(rows, kind), Column("x", shape=(2, 3, 1)))
    assert found.tolist() == np.arange(6.0).reshape(1, 2, 3, 1).repeat(3, 0).tolist()


@pytest.mark.parametrize(
    ("has", "wanted"), [("float64", "float32"), ("int64", "float32"), ("int64", "int32"), ("uint8", "bool")]
)
def test_a_dtype_casts(has: str, wanted: str) -> None:
    found = read(pa.array(np.arange(3, dtype=has)), Column("x", dtype=wanted))
    np.testing.assert_array_equal(found, np.arange(3).astype(wanted), strict=True)


@pytest.mark.parametrize("kind", [pa.int32(), pa.bool_(), pa.list_(f32, 3), pa.list_(f32, 3), pa.binary(3)])
def test_no_rows_of_a_known_shape_give_an_empty_tensor(kind: pa.DataType) -> None:
    found = read(pa.array([], kind))
    assert len(found) == 0 and found.ndim == 1 + pa.types.is_fixed_size_list(kind) + pa.types.is_fixed_size_binary(kind)


def test_no_rows_of_an_unknown_shape_are_refused() -> None:
    with pytest.raises(SchemaError, match="expected a row to tell the shape from, received none"):
        read(pa.array([], pa.list_(f32)))


@pytest.mark.parametrize(
    ("rows", "kind", "message"),
    [
        ([1, None, 2], pa.int32(), "row 101: expected a value, received a null"),
        ([[1], None], pa.list_(f32), "row 101: expected a value, received a null"),
        ([None, [1]], pa.list_(f32), "row 100: expected a value, received a null"),
        ([[1, 2], [3, 4], [5, None]], pa.list_(f32), "row 102: expected a value, received a null"),
        ([[1, None], [3, 4]], pa.list_(f32, 2), "row 100: expected a value, received a null"),
        ([[[1], [2]], [[3], None]], pa.list_(pa.list_(f32)), "row 101: expected a value, received a null"),
        ([[None, [2]], [[3], [4]]], pa.list_(pa.list_(f32)), "row 100: expected a value, received a null"),
        ([[1, 2], [3], [4, 5]], pa.list_(f32), "row 101: expected 2 values, received 1 values"),
        ([[1, 2], [3, 4], [5, 6, 7]], pa.large_list(f32), "row 102: expected 2 values, received 3 values"),
        ([[[1], [2]], [[3], [4, 5]]], pa.list_(pa.list_(f32)), "row 101: expected 1 values, received 2 values"),
        ([[], [1]], pa.list_(f32), "row 100: expected values to tell the shape from, received none"),
        ([[], [[1]]], pa.list_(pa.list_(f32)), "row 100: expected values to tell the shape from, received none"),
        ([[1], []], pa.list_(f32), "row 101: expected 1 values, received 0 values"),
        ([b"abc", b"ab"], pa.binary(), "row 101: expected 3 bytes, received 2 bytes"),
        ([b"abc", None], pa.binary(), "row 101: expected a value, received a null"),
        ([b""], pa.binary(), "row 100: expected values to tell the shape from"),
        ([dense(1, 2), sparse(3, {0: 1})], VECTOR, "row 101: expected 2 values, received 3 values"),
        ([dense(1, 2), None], VECTOR, "row 101: expected a value, received a null"),
    ],
)
def test_rows_that_do_not_fit_are_refused_by_number(rows: list[Any], kind: pa.DataType, message: str) -> None:
    padded = pa.array([*rows[:1], *rows], kind)[1:]  # a slice, as record batches often are
    with pytest.raises(SchemaError, match=f"column 'x', {message}"):
        read(padded, first_row=100)


@pytest.mark.parametrize(
    ("rows", "kind", "column", "message"),
    [
        ([[1, 2, 3]], pa.list_(f32), Column("x", shape=(2, 2)), "row 0: expected 4 values, received 3 values"),
        ([[[1, 2, 3, 4]]], pa.list_(pa.list_(f32)), Column("x", shape=(2, 2)), "row 0: expected 2 values, received 1"),
        ([[[1, 2, 3]]], pa.list_(pa.list_(f32)), Column("x", shape=(2, 2, 1)), "received rows of 1 x 3 values"),
        ([b"abc"], pa.binary(), Column("x", shape=(2, 2)), "row 0: expected 4 bytes, received 3 bytes"),
        ([b"abcde"], pa.binary(), Column("x", dtype="int16"), "whole number of int16, received rows of 5 bytes"),
        ([dense(1, 2, 3)], VECTOR, Column("x", shape=(2, 2)), "row 0: expected 4 values, received 3 values"),
    ],
)
def test_rows_of_another_shape_than_asked_for_are_refused(
    rows: list[Any], kind: pa.DataType, column: Column, message: str
) -> None:
    with pytest.raises(SchemaError, match=message):
        read(pa.array(rows, kind), column)


# --- decode: bytes, vectors, images


@given(
    hnp.arrays(
        st.sampled_from(NUMBERS), hnp.array_shapes(min_dims=1, max_dims=3, max_side=5), elements={"allow_nan": False}
    ),
    st.sampled_from(["binary", "large", "fixed"]),
    st.integers(0, 3),
    st.integers(0, 3),
)
def test_raw_bytes_sliced_anywhere_equal_numpy(values: np.ndarray, kind: str, before: int, after: int) -> None:
    width = values[0].nbytes
    rows = [bytes(width)] * before + [row.tobytes() for row in values] + [bytes(width)] * after
    kinds = {"binary": pa.binary(), "large": pa.large_binary(), "fixed": pa.binary(width)}
    array = pa.array(rows, kinds[kind])
    column = Column("x", shape=values.shape[1:], dtype=values.dtype.name)
    found = read(array[before : before + len(values)], column)
    np.testing.assert_array_equal(found, values, strict=True)
    assert found.flags.c_contiguous and is_view(found, array)


@pytest.mark.parametrize(("start", "name"), [(b"\x89PNG\r\n", "png"), (b"\xff\xd8\xff\xe0", "jpeg")])
def test_files_of_images_that_are_read_as_pixels_are_told_from_those(start: bytes, name: str) -> None:
    with pytest.raises(SchemaError, match=f'expected 4 bytes.*\n.*these are {name} files: set encoding="{name}"'):
        read(pa.array([b"1234", start + b"...."], pa.binary()), Column("x", shape=(4,)))


def test_bytes_without_a_shape_have_that_of_the_first_row() -> None:
    assert read(pa.array([b"ab", b"cd"])).tolist() == [[97, 98], [99, 100]]
    assert read(pa.array([b"\x01\x00\x02\x00"]), Column("x", dtype="uint16")).tolist() == [[1, 2]]


def test_bytes_that_start_where_numbers_must_not_are_copied_to_where_they_may() -> None:
    array = pa.array([b"abc", np.float64(1.5).tobytes()])[1:]
    found = read(array, Column("x", shape=(1,), dtype="float64"))
    assert found.tolist() == [[1.5]] and found.flags.aligned


@pytest.mark.parametrize("kind", [pa.binary(), pa.large_binary(), pa.binary(2)])
def test_encoded_images_stay_bytes(kind: pa.DataType) -> None:
    column = Column("x", shape=(8, 8, 3), encoding="jpeg")
    found = read(pa.array([b"zz", b"ab", b"cd"], kind)[1:], column)
    assert found.dtype == object and found.tolist() == [b"ab", b"cd"]
    assert spec(resolve(pa.schema([("x", kind)]), column)) == TensorSpec("x", (), "object")


def test_encoded_images_may_have_any_length() -> None:
    assert read(pa.array([b"a", b"bcd", b""]), Column("x", encoding="png")).tolist() == [b"a", b"bcd", b""]


@given(
    hnp.arrays("float64", hnp.array_shapes(min_dims=2, max_dims=2, max_side=5), elements={"allow_nan": False}),
    st.data(),
)
def test_dense_and_sparse_vectors_equal_numpy(values: np.ndarray, data: st.DataObject) -> None:
    rows = [
        dense(*row) if data.draw(st.booleans()) else sparse(len(row), {int(i): row[i] for i in np.flatnonzero(row)})
        for row in values
    ]
    start = data.draw(st.integers(0, len(rows) - 1))
    np.testing.assert_array_equal(read(pa.array(rows, VECTOR)[start:]), values[start:], strict=True)


def test_dense_vectors_are_views() -> None:
    array = pa.array([dense(1, 2), dense(3, 4), dense(5, 6)], VECTOR)
    found = read(array[1:])
    assert found.tolist() == [[3, 4], [5, 6]] and is_view(found, array)


@given(hnp.arrays("uint8", st.tuples(*[st.integers(1, 4)] * 3, st.sampled_from([1, 3, 4]))), st.data())
def test_spark_images_equal_numpy(pixels: np.ndarray, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(pixels) - 1))
    array = pa.array([image(row) for row in pixels], IMAGE)
    found = read(array[start:])
    np.testing.assert_array_equal(found, pixels[start:], strict=True)
    assert is_view(found, array)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (image(np.zeros((3, 2, 1), np.uint8)), "row 6: expected 2 as height, received 3 as height"),
        (image(np.zeros((2, 2, 3), np.uint8)), "row 6: expected 1 as nChannels, received 3 as nChannels"),
        (image(np.zeros((2, 2, 1), np.uint8), mode=5), "row 6: expected an image of 8 bits a channel, received mode 5"),
        (image(np.zeros((2, 2, 1), np.uint8), data=b"abc"), "row 6: expected 4 bytes, received 3 bytes"),
        (image(np.zeros((2, 2, 1), np.uint8), data=None), "row 6: expected a value, received a null"),
        (image(np.zeros((2, 2, 1), np.uint8), height=None), "row 6: expected 2 as height, received -1"),
        (None, "row 6: expected a value, received a null"),
    ],
)
def test_images_that_do_not_fit_are_refused_by_number(other: dict[str, Any] | None, message: str) -> None:
    with pytest.raises(SchemaError, match=f"column 'x', {message}"):
        read(pa.array([image(np.zeros((2, 2, 1), np.uint8)), other], IMAGE), first_row=5)


def test_an_invalid_first_image_is_refused() -> None:
    invalid = {"origin": "", "height": -1, "width": -1, "nChannels": -1, "mode": -1, "data": b""}
    with pytest.raises(SchemaError, match="row 0: expected values to tell the shape from, received none"):
        read(pa.array([invalid], IMAGE))


def test_ten_thousand_images_are_decoded_without_touching_rows() -> None:
    import timeit

    values = pa.array(np.zeros(10_000 * 784, np.float32))
    array = pa.ListArray.from_arrays(pa.array(np.arange(10_001) * 784, pa.int32()), values)
    column = resolve(pa.schema([("x", array.type)]), Column("x", shape=(28, 28, 1)))
    assert min(timeit.repeat(lambda: decode(array, column), number=1, repeat=10)) < 0.005


# --- views


@pytest.mark.parametrize("kind", [pa.binary(), pa.large_binary(), pa.binary(12)])
@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_raw_bytes_of_one_shape_share_the_memory_of_their_record_batch(kind: pa.DataType, dtype: str) -> None:
    values = np.arange(5 * 12 // np.dtype(dtype).itemsize).astype(dtype).reshape(5, -1, 1)
    batch = pa.record_batch({"x": pa.array([row.tobytes() for row in values], kind)})
    held = np.frombuffer(batch.column("x").buffers()[-1], np.uint8)
    column = resolve(batch.schema, Column("x", shape=values.shape[1:], dtype=dtype))
    whole, part = decode(batch.column("x"), column), decode(batch.slice(1, 3).column("x"), column)
    assert np.shares_memory(whole, held) and np.shares_memory(part, held)
    assert not whole.flags.owndata and not whole.flags.writeable
    np.testing.assert_array_equal(part, values[1:4], strict=True)


# --- where a row is


@pytest.mark.parametrize(
    ("rows", "kind", "column", "message"),
    [
        ([[1, 2], [3]], pa.list_(f32), {"shape": (2,)}, "expected 2 values, received 1 values"),
        ([[1], [2, 3, 4]], pa.list_(f32), {}, "expected 1 values, received 3 values"),
        ([[1], None], pa.list_(f32), {}, "expected a value, received a null"),
        ([b"abcd", b"ab"], pa.binary(), {"shape": (2, 2)}, "expected 4 bytes, received 2 bytes"),
        ([1, 4], pa.int8(), {"classes": 4}, "expected a class of 0 to 3, received 4"),
        ([1.0, np.nan], f32, {"finite": True}, "expected finite values, received nan"),
    ],
)
def test_errors_name_partition_and_row(
    rows: list[Any], kind: pa.DataType, column: dict[str, Any], message: str
) -> None:
    array = pa.array(rows, kind)
    resolved = resolve(pa.schema([("x", kind)]), Column("x", **column))
    with pytest.raises(SchemaError, match=f"column 'x', partition 3, row 1070: {message}"):
        decode(array, resolved, first_row=6, origin=lambda row: (3, 10 * row + 1000))
    with pytest.raises(SchemaError, match=f"column 'x', row 7: {message}"):
        decode(array, resolved, first_row=6)


def test_an_unusable_first_row_is_named_by_partition() -> None:
    column = resolve(pa.schema([("x", pa.list_(f32))]), "x")
    with pytest.raises(SchemaError, match="partition 2, row 5: expected a value, received a null"):
        infer_shape(pa.array([None], pa.list_(f32)), column, origin=lambda row: (2, 5))


def test_a_partition_of_another_type_is_named() -> None:
    column = resolve(pa.schema([("x", pa.int64())]), "x")
    with pytest.raises(SchemaError, match="column 'x', partition 4: expected int64 as in the first partition"):
        decode(pa.array([1.5]), column, origin=lambda row: (4, 0))


# --- classes, finite, scale


@pytest.mark.parametrize("kind", [pa.int8(), pa.int64(), pa.uint16()])
def test_labels_that_are_classes_pass(kind: pa.DataType) -> None:
    assert read(pa.array([0, 9, 3], kind), Column("x", classes=10)).tolist() == [0, 9, 3]
    assert read(pa.array([], kind), Column("x", classes=10)).tolist() == []


@pytest.mark.parametrize(
    ("labels", "column", "message"),
    [
        ([0, 10], {}, "row 1: expected a class of 0 to 9, received 10\n.*classes=11"),
        ([0, 3, -1], {}, "row 2: expected a class of 0 to 9, received -1\n.*filter or mend"),
        ([0, 256], {"dtype": "uint8"}, "row 1: expected a class of 0 to 9, received 256"),
        ([[0, 1], [2, 3], [4, 12]], {}, "row 2: expected a class of 0 to 9, received 12"),
    ],
)
def test_labels_that_are_no_class_are_refused(labels: list[Any], column: dict[str, Any], message: str) -> None:
    kind = pa.list_(pa.int64()) if isinstance(labels[0], list) else pa.int64()
    with pytest.raises(SchemaError, match=message):
        read(pa.array(labels, kind), Column("x", classes=10, **column))


@pytest.mark.parametrize("kind", [pa.float64(), pa.bool_(), pa.list_(f32)])
def test_classes_of_what_is_no_integer_are_refused(kind: pa.DataType) -> None:
    with pytest.raises(SchemaError, match=r"column 'x': expected integers for classes=3, received .*\n.*bigint"):
        resolve(pa.schema([("x", kind)]), Column("x", classes=3))


@given(
    hnp.arrays("float32", st.tuples(st.integers(1, 6), st.integers(1, 4)), elements=st.floats(-1, 1, width=32)),
    st.lists(st.sampled_from([np.nan, np.inf, -np.inf]), max_size=3),
    st.data(),
)
def test_what_is_not_finite_is_refused_with_its_row(values: np.ndarray, odd: list[float], data: st.DataObject) -> None:
    for value in odd:
        values.flat[data.draw(st.integers(0, values.size - 1))] = value
    array, column = pa.array(values.tolist(), pa.list_(f32)), Column("x", shape=values.shape[1:], finite=True)
    rows = np.flatnonzero(~np.isfinite(values).all(axis=1))
    if not len(rows):
        np.testing.assert_array_equal(read(array, column), values)
        return
    with pytest.raises(SchemaError, match=f"row {rows[0]}: expected finite values, received (nan|-?inf)"):
        read(array, column)


def test_integers_are_finite() -> None:
    assert read(pa.array([1, 2]), Column("x", finite=True)).tolist() == [1, 2]


@pytest.mark.parametrize(
    ("array", "column", "dtype"),
    [
        (pa.array([b"ab"]), {"shape": (2,)}, "uint8"),
        (pa.array([1, 2]), {}, "int64"),
        (pa.array([1.0]), {"dtype": "float16"}, "float64"),
    ],
)
def test_a_column_with_a_scale_stays_what_it_holds(array: pa.Array, column: dict[str, Any], dtype: str) -> None:
    found = read(array, Column("x", scale=0.5, **column))
    assert found.dtype == dtype and is_view(found, array)


@pytest.mark.parametrize("kind", [pa.binary(), pa.large_binary(), pa.binary(2)])
def test_an_image_that_is_null_has_no_bytes(kind: pa.DataType) -> None:
    assert read(pa.array([b"ab", None], kind), Column("x", encoding="png")).tolist() == [b"ab", b""]
