"""`CNNClassificationModel`: a trained network that scores DataFrames on all executors."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Self

from pyspark.ml import Model
from pyspark.ml.util import DefaultParamsReader, DefaultParamsWriter, MLReadable, MLReader, MLWritable, MLWriter

from tfspark_cnn.errors import ConfigError, SchemaError
from tfspark_cnn.feed.columns import did_you_mean
from tfspark_cnn.ml.labels import check_columns, quoted
from tfspark_cnn.ml.params import DEFAULTS, ScoringParams
from tfspark_cnn.ml.scoring import Scorer, function

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession

FORMAT = 1
"""Of saved models; one of a later format is refused."""

PART_BYTES = 16 << 20
"""A saved network is rows of so many bytes, which any file system and any Spark takes."""

_SCORES = "tfspark_cnn scores"
_LEAST = 2.0**-149
"""The smallest float32 above 0, whose logarithm stands for that of a probability of 0."""


@dataclass(frozen=True)
class TrainingSummary:
    """How a network was trained.

    Attributes:
        history: metric to its values by epoch, as Keras' `History.history`.
        fit_s: seconds that the last attempt trained.
        weights: how many the network has.
        attempts: what became of each attempt, in words.
    """

    history: Mapping[str, Sequence[float]] = field(default_factory=dict)
    fit_s: float = 0.0
    weights: int = 0
    attempts: Sequence[str] = ()

    def __str__(self) -> str:
        last = ", ".join(f"{name} {values[-1]:.4g}" for name, values in self.history.items() if values)
        epochs = max(map(len, self.history.values()), default=0)
        return f"{self.weights:,} weights, {epochs} epochs in {self.fit_s:.1f} s: {last or 'no metrics'}"


class CNNClassificationModel(Model, ScoringParams, MLWritable, MLReadable["CNNClassificationModel"]):
    """A trained network. `CNNClassifier.fit` and `CNNClassificationModel.load` make it.

    `transform` adds `predictionCol` (double), `probabilityCol` and `rawPredictionCol` (vectors; the logarithms of the
    probabilities, which are logits up to a constant). A name that is empty leaves that column out. Images go to Python
    alone; all other columns stay in the JVM.

    Args:
        network: bytes of the `.keras` file.
        labels: names of the classes, or None.
        training: how it was trained.

    Example:
        >>> scored = model.transform(images)                                     # doctest: +SKIP
        >>> MulticlassClassificationEvaluator(metricName="accuracy").evaluate(scored)  # doctest: +SKIP
    """

    def __init__(
        self,
        network: bytes = b"",
        *,
        labels: Sequence[str] | None = None,
        training: TrainingSummary | None = None,
    ) -> None:
        super().__init__()
        self._setDefault(**{name: DEFAULTS[name] for name in DEFAULTS if self.hasParam(name)})
        self._network = network
        self._labels = tuple(labels) if labels is not None else None
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
    def labels(self) -> tuple[str, ...] | None:
        """Names of the classes, where a StringIndexer gave them to the labels."""
        return self._labels

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

    # --- scoring -----------------------------------------------------------------------------------------------------

    def _transform(self, dataset: DataFrame) -> DataFrame:
        from pyspark.sql import functions as sf

        check_columns(dataset, self.getFeaturesCol())
        wanted = self._wanted()
        for name in wanted:
            if name in dataset.columns:
                raise SchemaError(
                    f"the DataFrame has a column {name!r} already", hint="drop it, or set another name, or an empty one"
                )
        scored = dataset.withColumn(_SCORES, self.scores(sf.col(quoted(self.getFeaturesCol())), dataset.sparkSession))
        added = {name: made(sf.col(quoted(_SCORES))) for name, made in wanted.items()}
        result = scored.withColumns(added).drop(_SCORES)
        return result.withMetadata(self.getPredictionCol(), self._metadata()) if self.getPredictionCol() else result

    def scores(self, images: Column, spark: SparkSession, *, output: str | None = None) -> Column:
        """Gives the column of what the network gives, `array<float>`.

        Args:
            images: the column of images.
            spark: the session.
            output: a layer whose output is wanted, flattened, as an embedding; None: the probabilities.

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
            output: a layer whose output is wanted; None: the probabilities.
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

    def _wanted(self) -> dict[str, Any]:
        """Gives the columns to add, and what makes each of the scores."""
        from pyspark.ml.functions import array_to_vector
        from pyspark.sql import functions as sf

        def prediction(scores: Column) -> Column:
            return (sf.array_position(scores, sf.array_max(scores)) - 1).cast("double")

        def probability(scores: Column) -> Column:
            return array_to_vector(scores.cast("array<double>"))

        def raw(scores: Column) -> Column:
            return array_to_vector(sf.transform(scores.cast("array<double>"), logarithm))

        def logarithm(one: Column) -> Column:
            return sf.ln(sf.greatest(one, sf.lit(_LEAST)))  # of 0 Spark's is null

        made = {
            self.getRawPredictionCol(): raw, self.getProbabilityCol(): probability, self.getPredictionCol(): prediction,
        }  # fmt: skip
        return {name: how for name, how in made.items() if name}

    def _metadata(self) -> dict[str, Any]:
        name = self.getPredictionCol()
        if self._labels is None:
            return {"ml_attr": {"type": "nominal", "name": name}}
        return {"ml_attr": {"type": "nominal", "name": name, "vals": list(self._labels)}}

    # --- saving ------------------------------------------------------------------------------------------------------

    def write(self) -> MLWriter:
        """Gives the writer; `model.write().overwrite().save(path)` replaces what is there."""
        return _Writer(self)

    @classmethod
    def read(cls) -> MLReader[Any]:
        """Gives the reader; `CNNClassificationModel.load(path)` is the same in short."""
        return _Reader(cls)


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
    def __init__(self, instance: CNNClassificationModel) -> None:
        super().__init__()
        self.instance = instance

    def saveImpl(self, path: str) -> None:  # noqa: N802  Spark's name
        model = self.instance
        extra = {"tfsparkCnn": {"format": FORMAT, "labels": model.labels, "training": asdict(model.summary)}}
        DefaultParamsWriter.saveMetadata(model, path, self.sparkSession, extraMetadata=extra)
        body = model.network
        parts = [(start // PART_BYTES, body[start : start + PART_BYTES]) for start in range(0, len(body), PART_BYTES)]
        frame = self.sparkSession.createDataFrame(parts, "part int, bytes binary")
        frame.coalesce(1).write.parquet(f"{path}/network")


class _Reader(MLReader[CNNClassificationModel]):
    def __init__(self, cls: type[CNNClassificationModel]) -> None:
        super().__init__()
        self.cls = cls

    def load(self, path: str) -> CNNClassificationModel:
        metadata = DefaultParamsReader.loadMetadata(path, self.sparkSession)
        own = metadata.get("tfsparkCnn")
        if own is None or own["format"] > FORMAT:
            found = "another class" if own is None else f"format {own['format']}"
            raise ConfigError(
                f"the model in {path} is of {found} ({json.dumps(metadata.get('class'))}), expected format {FORMAT}",
                hint="read it with the class and the version of this package that wrote it, or with a later one",
            )
        rows = self.sparkSession.read.parquet(f"{path}/network").collect()
        network = b"".join(bytes(row["bytes"]) for row in sorted(rows, key=lambda row: row["part"]))
        model = self.cls(network, labels=own["labels"], training=TrainingSummary(**own["training"]))
        model._resetUid(metadata["uid"])
        DefaultParamsReader.getAndSetParams(model, metadata)
        return model
