"""The model of `predict` and `evaluate`: a folder that `model.save` wrote, or a `.keras` file, with what was asked."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfspark_cnn.cli.keras_file import Described, described
from tfspark_cnn.data import storage
from tfspark_cnn.errors import ConfigError, SourceError, did_you_mean

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from tfspark_cnn.ml.network_model import NetworkModel

SUFFIX = ".keras"
IMAGE = "image"
_KINDS = ("CNNClassificationModel", "CNNRegressionModel")
_SAVE = "pass what model.save(path) wrote, or the model.keras that a training left"


@dataclass(frozen=True)
class Wanted:
    """How images are to be read; what is None stays as the model has it.

    Attributes:
        features: the column of images.
        shape: `(height, width, channels)`.
        encoding: `raw`, `jpeg` or `png`.
        resize: how images of another size are brought to the shape, as `bilinear`.
        scale: what values are multiplied with.
        layer: whose output is wanted in place of predictions.
    """

    features: str | None = None
    shape: tuple[int, ...] | None = None
    encoding: str | None = None
    resize: str | None = None
    scale: float | None = None
    layer: str | None = None

    def params(self) -> dict[str, Any]:
        """Gives the Params that are asked for, by name."""
        shape = list(self.shape) if self.shape else None
        asked = {
            "featuresCol": self.features, "inputShape": shape, "encoding": self.encoding, "resize": self.resize,
            "scale": self.scale,
        }  # fmt: skip
        return {name: value for name, value in asked.items() if value is not None}


@dataclass(frozen=True)
class SavedModel:
    """A saved model, as far as it is known without Spark.

    Attributes:
        path: where it is.
        wanted: how it is to score.
        network: the bytes of a `.keras` file; None for a folder, which Spark reads.
    """

    path: str
    wanted: Wanted
    network: bytes | None

    def plan(self) -> dict[str, Any]:
        """Gives what a dry run shows."""
        kind = "a folder of Spark ML" if self.network is None else "a .keras file"
        return {"path": self.path, "kind": kind, **self.wanted.params(), "layer": self.wanted.layer}

    def load(self, spark: SparkSession) -> NetworkModel:
        """Gives the model, which reads images as is wanted.

        Raises:
            ConfigError: the folder holds something else.
        """
        model = _from_folder(spark, self.path) if self.network is None else _from_network(self.network)
        return model._set(**self.wanted.params())


def saved_model(path: str, wanted: Wanted) -> SavedModel:
    """Looks at a model before Spark is started.

    Args:
        path: a folder or file; a URI is looked at if it ends on `.keras`.
        wanted: how it is to score.

    Raises:
        ConfigError: there is nothing, or something else, or it has no layer of the wanted name.
        CorruptFileError: the file is cut, or none of Keras 3.
    """
    if path.rstrip("/").endswith(SUFFIX):
        network = _bytes(path)
        shape = _check(described(network, where=path), wanted, path)
        return SavedModel(path, replace(wanted, features=wanted.features or IMAGE, shape=shape), network)
    if is_local(path):
        _check_folder(local(path), path)
    return SavedModel(path, wanted, None)


def check_there(path: str) -> None:
    """Refuses a local path at which nothing is; of a URI that is seen when it is read.

    Raises:
        ConfigError: there is nothing.
    """
    if is_local(path) and not local(path).exists():
        raise ConfigError(f"expected a saved model at {path}, received nothing", hint=_SAVE)


def is_local(path: str) -> bool:
    """Tells whether a path is of this machine, and no other scheme than `file:`."""
    return "://" not in path or path.startswith("file://")


def local(path: str) -> Path:
    """Gives a path of this machine as Python has it."""
    return Path(storage.located(path)[1])


def _bytes(path: str) -> bytes:
    try:
        with storage.opened(path, zipped=lambda head: False) as file:
            return file.read()
    except SourceError as error:
        raise ConfigError(f"expected a saved model at {path}, received nothing that can be read", hint=_SAVE) from error


def _check(found: Described, wanted: Wanted, path: str) -> tuple[int, ...]:
    shape = wanted.shape or found.image_shape
    if shape is None:
        raise ConfigError(
            f"{path} does not say of which size its images are", hint="pass --input-shape, as --input-shape 224,224,3"
        )
    if wanted.layer is not None and found.layers and wanted.layer not in found.layers:
        raise ConfigError(
            f"the network in {path} has no layer {wanted.layer!r}",
            hint=did_you_mean(wanted.layer, found.layers, f"it has {', '.join(found.layers)}"),
        )
    return shape


def _check_folder(folder: Path, path: str) -> None:
    check_there(path)
    if not (folder / "metadata").is_dir():
        what = "a folder without metadata" if folder.is_dir() else "a file that does not end on .keras"
        raise ConfigError(f"expected a saved model at {path}, received {what}", hint=_SAVE)


def _from_folder(spark: SparkSession, path: str) -> NetworkModel:
    from pyspark.ml.util import DefaultParamsReader

    from tfspark_cnn import ml

    metadata = DefaultParamsReader.loadMetadata(path, spark)
    kind = str(metadata.get("class")).rpartition(".")[2]
    if kind not in _KINDS:
        raise ConfigError(
            f"expected a {' or '.join(_KINDS)} in {path}, received {json.dumps(metadata.get('class'))}",
            hint="save the model itself; of a PipelineModel it is one of the stages: model.stages[-1].save(path)",
        )
    found: NetworkModel = getattr(ml, kind).load(path)
    return found


def _from_network(network: bytes) -> NetworkModel:
    from tfspark_cnn.ml import CNNClassificationModel

    return CNNClassificationModel(network)
