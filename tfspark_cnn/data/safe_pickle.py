"""Unpickles what came from elsewhere: NumPy arrays, lists, dictionaries, bytes, texts, numbers, and nothing that acts.

Example:
    >>> arrays_in(pickle.dumps({b"labels": [3, 1]}), where="data_batch_1")
    {b'labels': [3, 1]}
"""

from __future__ import annotations

import importlib
import io
import pickle
from typing import Any

from tfspark_cnn.errors import CorruptFileError


class _Refused(pickle.UnpicklingError):
    """The pickle names something that is not needed for arrays."""


def arrays_in(data: bytes, *, where: str) -> Any:
    """Gives what a pickle holds, with texts of Python 2 as bytes.

    Args:
        data: the pickle.
        where: the file, for the error.

    Raises:
        CorruptFileError: it is no whole pickle, or holds something else than arrays, lists, dictionaries, bytes, texts
            and numbers. Nothing of it was called then.
    """
    try:
        return _ArrayUnpickler(io.BytesIO(data), encoding="bytes").load()
    except _Refused as error:
        raise CorruptFileError(
            f"{where}: expected a pickle of arrays and lists, received one that asks for {error}",
            hint="do not use this file: what it asks for can run any program",
        ) from None
    except Exception as error:  # a changed pickle makes the unpickler and NumPy raise almost anything
        kind = type(error).__name__
        raise CorruptFileError(
            f"{where}: expected a whole pickle of arrays, received {len(data)} bytes that are none: {kind}: {error}",
            hint="copy or download the file again",
        ) from error


class _ArrayUnpickler(pickle.Unpickler):  # noqa: S301  # find_class refuses whatever could act
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("_codecs", "encode"):
            return _bytes
        if (module.replace("numpy._core", "numpy.core"), name) not in _NEEDED:
            raise _Refused(f"{module}.{name}")
        return getattr(importlib.import_module(module.replace("numpy.core", "numpy._core")), name)


_NEEDED = {
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy.core.multiarray", "scalar"),
    ("numpy.core.numeric", "_frombuffer"),
}
"""What NumPy's pickles of arrays are made by, under the module names of NumPy 1 and 2."""


def _bytes(text: str, encoding: str) -> bytes:
    """How Python 3 writes bytes for Python 2."""
    if encoding != "latin1":
        raise _Refused(f"the codec {encoding!r}")
    return text.encode("latin-1")
