"""Arrays as the bytes of one file, and what damage does to them."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tfspark_cnn.checkpoints.archive import Archive, decode, encode
from tfspark_cnn.errors import CheckpointError, DamagedCheckpointError

ARRAYS = {
    "dense/kernel": np.arange(6, dtype=np.float32).reshape(2, 3),
    "step": np.array(7, np.int64),
    "scale": np.array([1.5, -2.0], ml_dtypes.bfloat16),
    "nothing": np.zeros((0, 3), np.uint32),
}
META = {"epoch": 2, "position": [1, 2], "seed": 2**70}
BODY = bytes(encode(ARRAYS, META))


def is_same(archive: Archive, arrays: Mapping[str, Any], meta: Mapping[str, Any]) -> bool:
    return (
        archive.meta == meta
        and list(archive.arrays) == list(arrays)
        and all(
            (one.dtype, one.shape, one.tobytes()) == (arrays[name].dtype, arrays[name].shape, arrays[name].tobytes())
            for name, one in archive.arrays.items()
        )
    )


DTYPES = [
    *("float16", "float32", "float64", "bool", "int8", "uint8", "int32", "uint32", "int64", "uint64", "complex64"),
    *(">f4", "M8[ns]", "U5", "S3"),
    *(ml_dtypes.bfloat16, ml_dtypes.float8_e4m3fn, ml_dtypes.float8_e5m2, ml_dtypes.int4),
]


@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 0, 4), (2, 3)], ids=str)
@pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: np.dtype(dtype).name)
def test_every_type_and_shape_comes_back_exactly(dtype: Any, shape: tuple[int, ...]) -> None:
    array = np.arange(int(np.prod(shape))).reshape(shape).astype(dtype)
    assert is_same(decode(encode({"x": array}, {})), {"x": array}, {})


@given(hnp.arrays(st.sampled_from(["f2", "f4", "f8", "u4", "i8"]), hnp.array_shapes(min_dims=0, max_dims=3)))
def test_every_bit_comes_back_also_of_nan_and_negative_zero(array: Any) -> None:
    assert is_same(decode(encode({"x": array}, {})), {"x": array}, {})


NAMES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)


@given(st.lists(NAMES, unique=True, max_size=5))
def test_names_and_their_order_come_back_with_slashes_dots_and_all(names: list[str]) -> None:
    arrays = {name: np.array(number) for number, name in enumerate(names)}
    assert is_same(decode(encode(arrays, {"n": names})), arrays, {"n": names})


def test_layout_in_memory_is_no_part_of_an_array() -> None:
    array = np.asfortranarray(np.arange(12.0).reshape(3, 4))[:, ::2]
    assert is_same(decode(encode({"x": array}, {})), {"x": np.ascontiguousarray(array)}, {})


def test_what_comes_back_can_be_written_to() -> None:
    decode(BODY).arrays["dense/kernel"][0, 0] = 9


def test_the_same_arrays_make_the_same_bytes() -> None:
    assert bytes(encode(ARRAYS, META)) == BODY


def test_numpy_opens_it_without_pickle() -> None:
    with np.load(io.BytesIO(BODY), allow_pickle=False) as file:
        np.testing.assert_array_equal(file["dense/kernel"], ARRAYS["dense/kernel"])


def test_meta_takes_numbers_of_numpy() -> None:
    assert decode(encode({}, {"loss": np.float32(0.5), "n": np.int64(3)})).meta == {"loss": 0.5, "n": 3}


@pytest.mark.parametrize("name", ["a\0b", "x" * 70_000, "\ud800"], ids=["nul", "long", "surrogate"])
def test_a_name_that_a_zip_cannot_hold_is_refused(name: str) -> None:
    with pytest.raises(CheckpointError, match="expected the name of an array"):
        encode({name: np.zeros(1)}, {})


@pytest.mark.parametrize("array", [np.array([object()]), np.zeros(2, [("a", "f4")])], ids=["objects", "records"])
def test_objects_and_records_are_refused(array: Any) -> None:
    with pytest.raises(CheckpointError, match="expected an array of numbers, received x"):
        encode({"x": array}, {})


def test_meta_that_is_no_json_is_refused() -> None:
    with pytest.raises(CheckpointError, match="expected meta that JSON can hold: received set"):
        encode({}, {"x": {1, 2}})


def test_a_file_cut_anywhere_is_damaged() -> None:
    for at in range(len(BODY)):
        with pytest.raises(DamagedCheckpointError, match=f"received {at} bytes that are damaged"):
            decode(BODY[:at])


def flipped(at: int, mask: int) -> bytes:
    body = bytearray(BODY)
    body[at] ^= mask
    return bytes(body)


@pytest.mark.parametrize("mask", [0x01, 0x80, 0xFF])
def test_a_changed_byte_anywhere_is_found_or_harmless(mask: int) -> None:
    harmless = 0
    for at in range(len(BODY)):
        try:
            archive = decode(flipped(at, mask))
        except DamagedCheckpointError:
            continue
        assert is_same(archive, ARRAYS, META), f"byte {at}"
        harmless += 1
    assert harmless < len(BODY) / 4, "dates and attributes of members only"


@given(st.binary(max_size=200), st.integers(0, len(BODY)), st.integers(0, 200))
def test_bytes_put_over_others_are_found_or_harmless(junk: bytes, at: int, cut: int) -> None:
    try:
        archive = decode(BODY[:at] + junk + BODY[at + cut :])
    except DamagedCheckpointError:
        return
    assert is_same(archive, ARRAYS, META)


def test_an_archive_within_an_array_is_never_taken_for_the_whole() -> None:
    inner = bytes(encode({"x": np.zeros(2)}, {"inner": True}))
    outer = bytes(encode({"bytes": np.frombuffer(inner, np.uint8)}, {}))
    cut = outer[: outer.index(inner) + len(inner)]
    with pytest.raises(DamagedCheckpointError, match="not where they were written"):
        decode(cut)


def zipped(members: Mapping[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w", compression) as file:
        for name, data in members.items():
            file.writestr(name, data)
    return body.getvalue()


def head(**changes: Any) -> bytes:
    return json.dumps({"format": 1, "arrays": [], "meta": {}} | changes).encode()


NPY = io.BytesIO()
np.save(NPY, np.zeros(2, np.float32))
STRANGERS = {
    "no zip": b"nothing of the kind",
    "empty zip": zipped({}),
    "another npz": zipped({"x.npy": NPY.getvalue()}),
    "compressed": zipped({"meta.json": head()}, zipfile.ZIP_DEFLATED),
    "meta is a list": zipped({"meta.json": b"[]"}),
    "meta is no JSON": zipped({"meta.json": b"{"}),
    "array missing": zipped({"meta.json": head(arrays=[["x", "<f4", [2]]])}),
    "array of another shape": zipped({"meta.json": head(arrays=[["x", "<f4", [3]]]), "x.npy": NPY.getvalue()}),
    "array of another size": zipped({"meta.json": head(arrays=[["x", "<f8", [2]]]), "x.npy": NPY.getvalue()}),
    "unknown type": zipped({"meta.json": head(arrays=[["x", "float3", [2]]]), "x.npy": NPY.getvalue()}),
}


@pytest.mark.parametrize("body", STRANGERS.values(), ids=STRANGERS)
def test_what_never_was_a_checkpoint_is_refused(body: bytes) -> None:
    with pytest.raises(DamagedCheckpointError, match=f"received {len(body)} bytes that are damaged"):
        decode(body)


def test_a_pickle_in_the_place_of_an_array_is_refused() -> None:
    pickled = io.BytesIO()
    np.save(pickled, np.array([print], dtype=object), allow_pickle=True)
    with pytest.raises(DamagedCheckpointError, match="allow_pickle"):
        decode(zipped({"meta.json": head(arrays=[["x", "<f8", [1]]]), "x.npy": pickled.getvalue()}))


def test_another_format_is_no_damage_and_says_what_to_do() -> None:
    with pytest.raises(CheckpointError, match="of format 1, received format 2") as caught:
        decode(zipped({"meta.json": head(format=2)}))
    assert not isinstance(caught.value, DamagedCheckpointError)
    assert "the version of tfspark_cnn that wrote it" in str(caught.value)
