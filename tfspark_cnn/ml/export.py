"""A trained network for others than Spark: as a `.keras` file, a SavedModel for TensorFlow Serving, or ONNX.

- `keras`: the network alone, as `keras.models.load_model` reads it. It takes pixels times the model's `scale`.
- `saved_model`: the signature `serving_default` takes `images`, float32[rows, height, width, channels], with the values
  that the column in Spark or a decoded file has: the `scale` is inside. It gives `probabilities`,
  float32[rows, classes], `class_id`, int64[rows], and where the classes have names `label`, string[rows]. A regressor
  gives `prediction`, float32[rows]. Where the model's images are files (`encoding`), a second signature, `image_files`,
  takes `files`, string[rows], decoded and resized as `transform` does it.
- `onnx`: one graph with the inputs and outputs of `serving_default`, without `label`: the names are in the metadata
  of the file, as JSON under `labels`.

A bare `.keras` file knows no scale and no labels: its `images` are what the network takes. One that ends in a softmax
gives `probabilities` and `class_id`, any other `prediction`, float32[rows, outputs] where there are several.

The last two formats need TensorFlow. It runs in a process of its own: the driver would have to hold its 700 MB from
then on, it may take GPUs that are others' at that time, and a crash in its native code would end the Spark application.
"""

from __future__ import annotations

import difflib
import importlib.util
import os
import tempfile
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from tfspark_cnn.errors import ConfigError
from tfspark_cnn.feed.columns import chosen
from tfspark_cnn.ml.export_process import Request, converted
from tfspark_cnn.ml.export_target import Target
from tfspark_cnn.ml.saved_network import SavedNetwork

CONVERTERS = ("tf2onnx", "onnx")
"""Packages that ONNX needs, which the package's own requirements do not have."""


class Format(StrEnum):
    """What an export is."""

    KERAS = "keras"
    SAVED_MODEL = "saved_model"
    ONNX = "onnx"


_SUFFIXES = {Format.KERAS: ".keras", Format.ONNX: ".onnx"}
_FILES = (".h5", ".hdf5", ".pb", ".tflite")


@dataclass(frozen=True)
class Exported:
    """What was written.

    Attributes:
        path: where, as it was asked for.
        format: `keras`, `saved_model` or `onnx`.
        bytes: of all its files.
    """

    path: str
    format: str
    bytes: int


def export(
    saved: SavedNetwork, path: str | os.PathLike[str], *, format: str | None = None, overwrite: bool = False
) -> Exported:
    """Writes a network into a file or folder of any `pyarrow.fs` file system, whole or not at all.

    Args:
        saved: the network.
        path: where to.
        format: `keras`, `saved_model` or `onnx`; None: by the suffix of the path.
        overwrite: whether an export of the same kind that is there is replaced.

    Raises:
        ConfigError: the format is unknown, its converter is not installed, or what is known of the network is wrong.
        SourceError: something is there already, or it cannot be written.
        ExportError: TensorFlow could not convert the network.
    """
    kind = format_of(path, format)
    if kind is Format.ONNX:
        check_converter()
    target = Target(path, folder=kind is Format.SAVED_MODEL, overwrite=overwrite)
    with tempfile.TemporaryDirectory(prefix="tfspark-export-") as folder:
        size = target.put(_made(saved, kind, Path(folder)))
    return Exported(target.uri, str(kind), size)


def _made(saved: SavedNetwork, kind: Format, folder: Path) -> Path:
    if kind is not Format.KERAS:
        return converted(Request(kind, saved.column, saved.labels, saved.answer), saved.network, folder=folder)
    made = folder / "network.keras"
    made.write_bytes(saved.network)
    return made


def format_of(path: str | os.PathLike[str], wanted: str | None = None) -> Format:
    """Gives the format of an export.

    Args:
        path: where it goes.
        wanted: the format asked for; None: by the suffix, a SavedModel where it is not one of ours.

    Raises:
        ConfigError: the format is unknown, or the path has the suffix of another one.

    Example:
        >>> format_of("digits.onnx"), format_of("served/digits/1")
        (<Format.ONNX: 'onnx'>, <Format.SAVED_MODEL: 'saved_model'>)
    """
    name = os.fspath(path)
    by_suffix = next((kind for kind, suffix in _SUFFIXES.items() if name.endswith(suffix)), None)
    if not name.strip("/"):
        raise ConfigError(f"expected a path to export to, received {name!r}", hint="as digits.keras, or digits/1")
    if wanted is None and by_suffix is None:
        _refuse_misspelt(name)
    if wanted is None:
        return by_suffix or Format.SAVED_MODEL
    kind = chosen(wanted, Format, what="expected a format", otherwise="saved_model is what TensorFlow Serving takes")
    if by_suffix not in (None, kind) or (kind is Format.KERAS and by_suffix is None):
        cure = "Keras loads files on .keras alone" if kind is Format.KERAS else "leave the format out, or the suffix"
        raise ConfigError(f"expected a path for format {str(kind)!r}, received {name!r}", hint=cure)
    return kind


def _refuse_misspelt(name: str) -> None:
    """Refuses a suffix that is nearly one of ours, or that of a file that a SavedModel is not."""
    suffix = Path(name).suffix.lower()
    close = difflib.get_close_matches(suffix, _SUFFIXES.values(), n=1)
    if suffix and (close or suffix in _FILES):
        raise ConfigError(
            f"expected a path on .keras or .onnx, or a folder for a SavedModel, received {name!r}",
            hint=f"did you mean {name.removesuffix(suffix) + close[0]!r}?" if close else "leave the suffix out",
        )


def check_converter() -> None:
    """Looks whether the packages are there that ONNX needs.

    Raises:
        ConfigError: one is not.
    """
    missing = [name for name in CONVERTERS if importlib.util.find_spec(name) is None]
    if missing:
        raise ConfigError(
            f"format 'onnx' needs {' and '.join(CONVERTERS)}, expected both, {' and '.join(missing)} is not installed",
            hint=f"pip install {' '.join(CONVERTERS)}, or export a SavedModel",
        )
