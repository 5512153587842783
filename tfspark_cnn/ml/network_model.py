"""`NetworkModel`: a trained network as a Model of Spark ML, what the models of all estimators are."""

from __future__ import annotations

import hashlib
import io
import json
import os
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, ClassVar, Self

from pyspark.ml import Model
from pyspark.ml.util import DefaultParamsReader, DefaultParamsWriter, MLReadable, MLReader, MLWritable, MLWriter

from tfspark_cnn.errors import ConfigError, SchemaError, did_you_mean
from tfspark_cnn.ml.labels import check_columns, quoted
from tfspark_cnn.ml.params import DEFAULTS, ImageParams
from tfspark_cnn.ml.saved_network import FORMAT, KEY, Answer, SavedNetwork
from tfspark_cnn.ml.scoring import Scorer, function
from tfspark_cnn.ml.summary import TrainingSummary

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession

    from tfspark_cnn.ml.export import Exported

PART_BYTES = 16 << 20
"""A saved network is rows of so many bytes, which any file system and any Spark takes."""

_SCORES = "tfspark_cnn scores"


class NetworkModel(Model, ImageParams, MLWritable, MLReadable["NetworkModel"]):
    """A trained network that scores DataFrames on all executors.

    Args:
        network: bytes of the `.keras` file.
        training: how it was trained.

    Attributes:
        answer: what its outputs are.
    """

    answer: ClassVar[Answer]

    def __init__(self, network: bytes = b"", *, training: TrainingSummary | None = None) -> None:
        super().__init__()
        self._setDefault(**{name: DEFAULTS[name] for name in DEFAULTS if self.hasParam(name)})
        self._network = network
        self._training = training or TrainingSummary()
        self._shared: Any = None

    # --- what it is --------------------------------------------------------------------------------------------------

    @property
    def network(self) -> bytes:
        """The bytes of the `.keras` file."""
        return self._network

    @property
    def keras_model(self) -> Any:
        """The network as Keras has it, not compiled. Imports TensorFlow into this process."""
        from tfspark_cnn.training.scoring import read

        return read(self._network)

    @property
    def history(self) -> Mapping[str, Sequence[float]]:
        """Metric to its values by epoch."""
        return self._training.history

    @property
    def summary(self) -> TrainingSummary:
        """How it was trained."""
        return self._training

    def copy(self, extra: Any = None) -> Self:
        """Gives a copy with the same network; `extra` overrides Params."""
        copied: Self = super().copy(extra)
        return copied

    def extra(self) -> dict[str, Any]:
        """Gives what is saved beside Params, network and training; the constructor takes it back by name."""
        return {}

    def outputs(self) -> Mapping[str, Any]:
        """Gives the columns that `transform` adds: by name what makes a column of the scores, `array<float>`."""
        raise NotImplementedError

    def metadata(self) -> dict[str, Any]:
        """Gives the metadata of the column of predictions."""
        return {}

    # --- scoring -----------------------------------------------------------------------------------------------------

    def _transform(self, dataset: DataFrame) -> DataFrame:
        from pyspark.sql import functions as sf

        check_columns(dataset, self.getFeaturesCol())
        wanted = self.outputs()
        for name in wanted:
            if name in dataset.columns:
                raise SchemaError(
                    f"the DataFrame has a column {name!r} already", hint="drop it, or set another name, or an empty one"
                )
        scored = dataset.withColumn(_SCORES, self.scores(sf.col(quoted(self.getFeaturesCol())), dataset.sparkSession))
        added = {name: made(sf.col(quoted(_SCORES))) for name, made in wanted.items()}
        result = scored.withColumns(added).drop(_SCORES)
        return result.withMetadata(self.getPredictionCol(), self.metadata()) if self.getPredictionCol() else result

    def scores(self, images: Column, spark: SparkSession, *, output: str | None = None) -> Column:
        """Gives the column of what the network gives, `array<float>`.

        Args:
            images: the column of images.
            spark: the session.
            output: a layer whose output is wanted, flattened, as an embedding; None: the last one.

        Raises:
            ConfigError: there is no such layer.
        """
        scored: Column = self._function(spark, output)(images)
        return scored

    def register_udf(self, spark: SparkSession, name: str, *, output: str | None = None) -> None:
        """Makes the network a function of Spark SQL: `SELECT name(image) FROM ...` gives `array<float>`.

        Args:
            spark: the session.
            name: of the function.
            output: a layer whose output is wanted; None: the last one.
        """
        spark.udf.register(name, self._function(spark, output))

    def _function(self, spark: SparkSession, output: str | None) -> Any:
        from pyspark.sql.pandas.functions import arrow_udf

        if self.getScoringBatchSize() < 1:
            raise ConfigError(f"scoringBatchSize is {self.getScoringBatchSize()}, expected 1 or more", hint="as 256")
        _check_layer(self._network, output)
        if self._shared is None:
            self._shared = spark.sparkContext.broadcast(self._network)
        digest = hashlib.sha256(self._network).hexdigest()
        scorer = Scorer(self._shared, digest, self.image_column(), self.getScoringBatchSize(), output)
        made: Any = arrow_udf  # its types know only how it decorates
        return made(function(scorer), "array<float>")

    # --- exporting ---------------------------------------------------------------------------------------------------

    def export(self, path: str | os.PathLike[str], *, format: str | None = None, overwrite: bool = False) -> Exported:
        """Writes the network for others than Spark: a `.keras` file, a SavedModel for TensorFlow Serving, or ONNX.

        `tfspark_cnn.ml.export` says what is in each. TensorFlow is imported in a process of its own, not in this one.

        Args:
            path: a local path or a URI of `pyarrow.fs`; what is there appears whole or not at all.
            format: `keras`, `saved_model` or `onnx`; None: by the suffix of the path, a SavedModel where it has none.
            overwrite: whether an export that is there is replaced.

        Raises:
            ConfigError: the format is unknown or its converter is not installed, or Params contradict the network.
            SourceError: something is there already, or it cannot be written.
            ExportError: TensorFlow could not convert the network.

        Example:
            >>> model.export("served/digits/1")                                              # doctest: +SKIP
        """
        from tfspark_cnn.ml.export import export

        return export(self.as_saved(), path, format=format, overwrite=overwrite)

    def as_saved(self) -> SavedNetwork:
        """Gives the network with what scoring knows of it, as it would be read after it was saved."""
        column = self.image_column() if self.isDefined("inputShape") else None
        return SavedNetwork(self._network, column, self.extra().get("labels"), self.answer)

    # --- saving ------------------------------------------------------------------------------------------------------

    def write(self) -> MLWriter:
        """Gives the writer; `model.write().overwrite().save(path)` replaces what is there."""
        return _Writer(self)

    @classmethod
    def read(cls) -> MLReader[Any]:
        """Gives the reader; `load(path)` of the class is the same in short."""
        return NetworkReader(cls)


def _check_layer(network: bytes, output: str | None) -> None:
    """Looks a layer up in the configuration that a `.keras` file holds; networks of own classes may not tell theirs."""
    if output is None:
        return
    with zipfile.ZipFile(io.BytesIO(network)) as archive:
        layers = json.loads(archive.read("config.json"))["config"].get("layers", [])
    names = [layer["config"]["name"] for layer in layers]
    if names and output not in names:
        raise ConfigError(
            f"the network has no layer {output!r}", hint=did_you_mean(output, names, f"it has {', '.join(names)}")
        )


class _Writer(MLWriter):
    def __init__(self, instance: NetworkModel) -> None:
        super().__init__()
        self.instance = instance

    def saveImpl(self, path: str) -> None:  # noqa: N802  Spark's name
        model = self.instance
        own = {"format": FORMAT, "training": asdict(model.summary)} | model.extra()
        DefaultParamsWriter.saveMetadata(model, path, self.sparkSession, extraMetadata={KEY: own})
        body = model.network
        parts = [(start // PART_BYTES, body[start : start + PART_BYTES]) for start in range(0, len(body), PART_BYTES)]
        frame = self.sparkSession.createDataFrame(parts, "part int, bytes binary")
        frame.coalesce(1).write.parquet(f"{path}/network")


class NetworkReader(MLReader[Any]):
    """Reads a saved model of a class.

    Args:
        cls: the class.
    """

    def __init__(self, cls: type[NetworkModel]) -> None:
        super().__init__()
        self.cls = cls

    def load(self, path: str) -> Any:
        """Gives the model that was saved at a path.

        Raises:
            ConfigError: another class, or a later version of this package, wrote it.
        """
        metadata = DefaultParamsReader.loadMetadata(path, self.sparkSession)
        own = metadata.get(KEY)
        wrote = str(metadata.get("class")).rpartition(".")[2]
        if own is None or own["format"] > FORMAT or wrote != self.cls.__name__:
            found = "another class" if own is None or wrote != self.cls.__name__ else f"format {own['format']}"
            raise ConfigError(
                f"the model in {path} is of {found} ({json.dumps(metadata.get('class'))}), expected a "
                f"{self.cls.__name__} of format {FORMAT}",
                hint="read it with the class and the version of this package that wrote it, or with a later one",
            )
        rows = self.sparkSession.read.parquet(f"{path}/network").collect()
        network = b"".join(bytes(row["bytes"]) for row in sorted(rows, key=lambda row: row["part"]))
        extra = {name: value for name, value in own.items() if name not in ("format", "training")}
        model = self.cls(network, training=TrainingSummary(**own["training"]), **extra)
        model._resetUid(metadata["uid"])
        DefaultParamsReader.getAndSetParams(model, metadata)
        return model
