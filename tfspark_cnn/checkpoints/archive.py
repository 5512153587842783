"""Arrays and what is known of them, as the bytes of one file, and back. Pure.

The file is an npz that `numpy.load` opens: a zip of npy members, stored as they are, each with a CRC-32. One more
member, `meta.json`, has the version of the format, which arrays there are to be, and what the caller adds. Nothing in
it is ever unpickled.

Example:
    >>> body = encode({"dense/kernel": np.ones((2, 3), np.float32)}, {"step": 40})
    >>> decode(body).arrays["dense/kernel"].shape
    (2, 3)
"""

from __future__ import annotations

import importlib
import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tfspark_cnn.errors import CheckpointError, DamagedCheckpointError

FORMAT = 1
"""Raised when files can no longer be read by the version before."""

Array = npt.NDArray[Any]

_META = "meta.json"
_LONGEST_NAME_BYTES = 0xFFFF
# What the zip and npy readers raise on damaged bytes. MemoryError is not among them: it is no fault of the file's.
_DAMAGE = (zipfile.BadZipFile, ValueError, TypeError, LookupError, AttributeError, EOFError, OSError, RuntimeError)


@dataclass(frozen=True)
class Archive:
    """What a checkpoint holds.

    Attributes:
        arrays: by name, with the types and shapes they were given with; writable, and the caller's.
        meta: what JSON made of what was given: tuples are lists, keys are strings.
    """

    arrays: dict[str, Array]
    meta: dict[str, Any]


def encode(arrays: Mapping[str, Array], meta: Mapping[str, Any]) -> memoryview:
    """Gives the bytes of a file that `decode` turns into the same arrays and meta.

    Args:
        arrays: of any shape, and of numbers, booleans, dates or strings; also bfloat16 and the other types of
            `ml_dtypes`. The same arrays make the same bytes.
        meta: anything JSON can hold, and NumPy's numbers.

    Raises:
        CheckpointError: an array of Python objects or records, a name that a zip cannot hold, or meta that is no JSON.
    """
    own = {_member(name): np.asarray(array, order="C") for name, array in arrays.items()}
    pairs = zip(arrays, own.values(), strict=True)
    manifest = [[name, _type_name(name, array), list(array.shape)] for name, array in pairs]
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w", zipfile.ZIP_STORED) as file:
        file.writestr(zipfile.ZipInfo(_META), _json({"format": FORMAT, "arrays": manifest, "meta": dict(meta)}))
        for member, array in own.items():
            # A size above 2 GiB must be known before the member is written; NumPy forces it for all, too.
            with file.open(zipfile.ZipInfo(member), "w", force_zip64=True) as to:
                np.lib.format.write_array(to, _plain(array), allow_pickle=False)
    return body.getbuffer()


def decode(body: bytes | bytearray | memoryview) -> Archive:
    """Gives what was encoded.

    Raises:
        DamagedCheckpointError: the bytes are cut, changed, or no archive.
        CheckpointError: they are of another version of the format.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(body)) as file:
            return _archive(file)
    except CheckpointError:
        raise
    except _DAMAGE as error:
        raise DamagedCheckpointError(
            f"expected a checkpoint, received {len(body)} bytes that are damaged: {error}",
            hint="delete it, and resume from the one before",
        ) from error


def _archive(file: zipfile.ZipFile) -> Archive:
    members = file.infolist()
    # An array may itself hold the bytes of a whole zip. Cut right behind those, the rest would pass for an archive.
    if not members or members[0].header_offset or any(one.compress_type != zipfile.ZIP_STORED for one in members):
        raise zipfile.BadZipFile("its members are not where they were written")
    head = json.loads(file.read(_META))
    if head["format"] != FORMAT:
        raise CheckpointError(
            f"expected a checkpoint of format {FORMAT}, received format {head['format']}",
            hint="use the version of tfspark_cnn that wrote it, or another model_dir",
        )
    arrays = {name: _array(file, name, type_name, tuple(shape)) for name, type_name, shape in head["arrays"]}
    return Archive(arrays, dict(head["meta"]))


def _array(file: zipfile.ZipFile, name: str, type_name: str, shape: tuple[int, ...]) -> Array:
    array: Array = np.lib.format.read_array(io.BytesIO(file.read(_member(name))), allow_pickle=False)
    dtype = _dtype(type_name)
    if array.shape != shape or array.dtype.itemsize != dtype.itemsize:
        raise ValueError(f"{name} was {type_name}{list(shape)} and is {array.dtype}{list(array.shape)}")
    return array if array.dtype == dtype else array.view(dtype)


def _member(name: str) -> str:
    """The member that holds an array; a zip cuts names at a NUL, and two arrays would become one."""
    member = f"{name}.npy"
    size_bytes = len(member.encode(errors="replace"))
    if "\0" in name or size_bytes > _LONGEST_NAME_BYTES or member.encode(errors="ignore").decode() != member:
        raise CheckpointError(f"expected the name of an array, received {name[:80]!r}", hint="name it in plain text")
    return member


def _type_name(name: str, array: Array) -> str:
    if array.dtype.hasobject or array.dtype.names is not None:
        raise CheckpointError(
            f"expected an array of numbers, received {name} of {array.dtype}", hint="convert it, or put it into meta"
        )
    return array.dtype.name if _is_extension(array.dtype) else array.dtype.str


def _dtype(type_name: str) -> np.dtype[Any]:
    has_byte_order = type_name[0] in "<>|="  # as all that are NumPy's own, in this notation
    dtype: np.dtype[Any] = np.dtype(type_name if has_byte_order else getattr(_extensions(), type_name))
    return dtype


def _extensions() -> Any:
    return importlib.import_module("ml_dtypes")


def _is_extension(dtype: np.dtype[Any]) -> bool:
    """Whether a library brought the type to NumPy, as `ml_dtypes` does bfloat16: npy would call it just bytes."""
    return dtype.isbuiltin == 2


def _plain(array: Array) -> Array:
    return array.view(f"u{array.dtype.itemsize}") if _is_extension(array.dtype) else array


def _json(value: Any) -> bytes:
    try:
        return json.dumps(value, default=_number).encode()
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"expected meta that JSON can hold: {error}", hint="put arrays into arrays") from error


def _number(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"received {type(value).__name__}")
