"""Pickles of arrays are read, also old ones; what could act is refused before it does."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tfspark_cnn.data.safe_pickle import arrays_in
from tfspark_cnn.errors import CorruptFileError


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_arrays_lists_bytes_and_texts_come_back_in_every_protocol(protocol: int) -> None:
    held = {"data": np.arange(6, dtype=np.uint8).reshape(2, 3), "labels": [1, 2], "name": b"a\xff", "n": np.int64(3)}
    found = arrays_in(pickle.dumps(held, protocol), where="batch")
    np.testing.assert_array_equal(found["data"], held["data"], strict=True)
    assert {**found, "data": None} == {**held, "data": None}


def test_the_form_of_python_2_and_numpy_1_comes_back() -> None:
    # {'data': numpy.array([[7, 9]], 'uint8'), 'labels': [6]}, put together by hand from what Python 2 has for these:
    # texts as SHORT_BINSTRING, and NumPy under the names of its version 1.
    old = (
        b"\x80\x02}q\x00(U\x04dataq\x01cnumpy.core.multiarray\n_reconstruct\nq\x02cnumpy\nndarray\nq\x03K\x00\x85U\x01b\x87"
        b"Rq\x04(K\x01K\x01K\x02\x86cnumpy\ndtype\nq\x05U\x02u1K\x00K\x01\x87Rq\x06(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff"
        b"\xff\xff\xffK\x00tb\x89U\x02\x07\x09tbU\x06labelsq\x07]q\x08K\x06au."
    )
    found = arrays_in(old, where="batch")
    assert found[b"labels"] == [6]
    np.testing.assert_array_equal(found[b"data"], np.array([[7, 9]], np.uint8), strict=True)


class Acts:
    """Makes a folder when it is unpickled."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> Any:
        return self.call


@pytest.mark.parametrize("protocol", [0, 2, 4])
@pytest.mark.parametrize("function", [os.mkdir, eval, np.load, np.fromfile])
def test_what_could_act_is_refused_and_does_not(tmp_path: Path, protocol: int, function: Any) -> None:
    path = tmp_path / "made"
    argument = f"__import__('os').mkdir({str(path)!r})" if function is eval else str(path)
    with pytest.raises(CorruptFileError, match=rf"batch: .*asks for \w+.*\.{function.__name__}\n.*do not use"):
        arrays_in(pickle.dumps([Acts(function, argument)], protocol), where="batch")
    assert not path.exists()


def test_names_with_dots_reach_nothing_further() -> None:
    with pytest.raises(CorruptFileError, match=r"asks for numpy\.ndarray\.tofile"):
        arrays_in(b"\x80\x04\x8c\x05numpy\x8c\x0endarray.tofile\x93.", where="batch")


@pytest.mark.parametrize("bad", [b"", b"\x80\x02}q\x00", b"no pickle", pickle.dumps([1, 2, 3])[:-3], b"\x80\x63."])
def test_what_is_no_whole_pickle_is_refused(bad: bytes) -> None:
    with pytest.raises(CorruptFileError, match=rf"batch: expected a whole pickle of arrays, received {len(bad)} bytes"):
        arrays_in(bad, where="batch")
