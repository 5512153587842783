"""`CNNClassifier`: a Spark ML Estimator that trains a convolutional network on the executors."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pyspark import keyword_only
from pyspark.ml import Estimator
from pyspark.ml.util import DefaultParamsReadable, DefaultParamsWritable

from tfspark_cnn.cluster.tf_cluster import InputMode, TFCluster
from tfspark_cnn.config import ModelConfig, TrainConfig
from tfspark_cnn.errors import ConfigError, EmptyFeedError, SchemaError
from tfspark_cnn.feed import schema
from tfspark_cnn.feed.columns import Column, did_you_mean
from tfspark_cnn.ml.labels import Labels, check_columns, quoted, read_labels
from tfspark_cnn.ml.model import CNNClassificationModel, TrainingSummary
from tfspark_cnn.ml.params import DEFAULTS, ClassifierParams
from tfspark_cnn.ml.task import ClassifierTask

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

MAP_FUN = "tfspark_cnn.training.classify:run"
IMAGE, LABEL = "image", "label"
_SPLIT_PARTS = 1_000_000


class CNNClassifier(
    Estimator[CNNClassificationModel], ClassifierParams, DefaultParamsReadable["CNNClassifier"], DefaultParamsWritable
):
    """Trains a network on two columns of a DataFrame, images and labels.

    All Params can be given by name, and set later: `explainParams()` lists them. Nodes hold `numWorkers + numPS` slots
    of Spark while they train (one more with `numPS`, for the chief), and one is left for feeding them.

    Example:
        >>> classifier = CNNClassifier(model="resnet20", featuresCol="image", labelCol="label",
        ...                            inputShape=[32, 32, 3], numWorkers=4, batchSize=32, epochs=90)
        >>> model = classifier.fit(rows)                                      # doctest: +SKIP
        >>> model.transform(others).groupBy("prediction").count().show()      # doctest: +SKIP
    """

    @keyword_only
    def __init__(self, **params: Any) -> None:
        """Takes any Param by its name.

        Raises:
            ConfigError: there is no such Param.
        """
        super().__init__()
        self._setDefault(**DEFAULTS)
        self.setParams(**params)

    def setParams(self, **params: Any) -> CNNClassifier:  # noqa: N802  Spark's name
        """Sets any Params by name.

        Raises:
            ConfigError: there is no such Param.
        """
        for name in params:
            if not self.hasParam(name):
                known = [param.name for param in self.params]
                raise ConfigError(
                    f"CNNClassifier has no Param {name!r}",
                    hint=did_you_mean(name, known, f"it has {', '.join(known)}"),
                )
        return self._set(**{name: value for name, value in params.items() if value is not None})

    def _fit(self, dataset: DataFrame) -> CNNClassificationModel:
        labels = self._labels(dataset)
        task = self._task(dataset, labels)
        train, validation = self._parts(dataset)
        nodes = self.getNumWorkers() + self.getNumPS() + (self.getNumPS() > 0)
        with TFCluster.run(dataset.sparkSession, MAP_FUN, task, nodes, **self._cluster_options()) as cluster:
            cluster.train(train, num_epochs=self.getEpochs(), validation=validation)
            (found,) = (result for result in cluster.shutdown() if result is not None)
            attempts = [str(attempt) for attempt in cluster.attempts()]
        training = TrainingSummary(found["history"], found["fit_s"], found["weights"], attempts)
        model = CNNClassificationModel(found["network"], labels=labels.names, training=training)
        return self._copyValues(model)

    # --- what is known before executors are taken --------------------------------------------------------------------

    def _labels(self, dataset: DataFrame) -> Labels:
        if self.getValidationCol() and self.getValidationSplit():
            raise ConfigError("validationCol and validationSplit are both set", hint="leave one of them out")
        if not 0 <= self.getValidationSplit() < 1:
            raise ConfigError(
                f"validationSplit is {self.getValidationSplit()}, expected a part of 0 or more and less than 1",
                hint="0.1 is a tenth of the rows",
            )
        marks = [self.getValidationCol()] if self.getValidationCol() else []
        check_columns(dataset, self.getFeaturesCol(), self.getLabelCol(), *marks)
        for name in marks:
            if (kind := dataset.schema[name].dataType.simpleString()) != "boolean":
                raise SchemaError(
                    f"column {name!r}: expected boolean for validationCol, received {kind}", hint="cast it to boolean"
                )
        return read_labels(dataset, self.getLabelCol(), classes=self._or_none(self.classes))

    def _task(self, dataset: DataFrame, labels: Labels) -> ClassifierTask:
        train = TrainConfig(
            epochs=self.getEpochs(), batch_size=self.getBatchSize(), learning_rate=self.getLearningRate(),
            optimizer=self.getOptimizer(), seed=self.getSeed(), precision=self.getMixedPrecision(),
        )  # fmt: skip
        return ClassifierTask(
            ModelConfig(self.getModel(), self._parameters()), train, image=self._image(dataset),
            label=Column(LABEL, classes=labels.classes), classes=labels.classes,
            validated=bool(self.getValidationCol() or self.getValidationSplit()),
        )  # fmt: skip

    def _image(self, dataset: DataFrame) -> Column:
        """Gives the column as the nodes see it, if its type can become images of that shape."""
        from pyspark.sql.pandas.types import to_arrow_schema

        column = self.image_column()
        if column.shape is None or len(column.shape) != 3:
            raise ConfigError(
                f"inputShape is {self.getInputShape()}, expected [height, width, channels]", hint="as [32, 32, 3]"
            )
        schema.resolve(to_arrow_schema(dataset.select(quoted(column.name)).schema), column)
        return Column(
            IMAGE, shape=column.shape, dtype=column.dtype, encoding=column.encoding, resize=column.resize,
            scale=column.scale,
        )  # fmt: skip

    def _parameters(self) -> Mapping[str, Any]:
        text = self.getModelParameters()
        try:
            parameters = json.loads(text)
        except json.JSONDecodeError as error:
            raise ConfigError(
                f"modelParameters is {text!r}, which is no JSON: {error}", hint='as {"filters": 16}'
            ) from error
        if not isinstance(parameters, dict):
            raise ConfigError(f"modelParameters is {text!r}, expected a JSON object", hint='as {"filters": 16}')
        return parameters

    def _cluster_options(self) -> dict[str, Any]:
        if self.getMaxRestarts() and not self.getModelDir():
            raise ConfigError(
                f"maxRestarts is {self.getMaxRestarts()}, and there is no modelDir",
                hint="set modelDir: the next attempt goes on from the checkpoints there",
            )
        return {
            "input_mode": InputMode.SPARK, "num_ps": self.getNumPS(), "master_node": "chief",
            "max_restarts": self.getMaxRestarts(), "model_dir": self.getModelDir() or None,
            "log_dir": self.getLogDir() or None, "tensorboard": self.getTensorboard(), "seed": self.getSeed(),
        }  # fmt: skip

    def _or_none(self, param: Any) -> Any:
        return self.getOrDefault(param) if self.isDefined(param) else None

    # --- rows --------------------------------------------------------------------------------------------------------

    def _parts(self, dataset: DataFrame) -> tuple[DataFrame, DataFrame | None]:
        """Gives the rows to train on and those to validate on, both without other columns.

        A split goes by what rows hold, so that it is the same whenever Spark computes them, and equal images are never
        on both sides.

        Raises:
            EmptyFeedError: one of the parts has no rows.
        """
        from pyspark.sql import functions as sf

        def both(frame: DataFrame) -> DataFrame:
            label = sf.col(quoted(self.getLabelCol())).cast("bigint").alias(LABEL)
            return frame.select(sf.col(quoted(self.getFeaturesCol())).alias(IMAGE), label)

        if self.getValidationCol():
            held_out = sf.coalesce(sf.col(quoted(self.getValidationCol())), sf.lit(False))
        elif self.getValidationSplit():
            hashed = sf.xxhash64(sf.col(quoted(self.getFeaturesCol())), sf.lit(self.getSeed()))
            held_out = sf.pmod(hashed, sf.lit(_SPLIT_PARTS)) < int(self.getValidationSplit() * _SPLIT_PARTS)
        else:
            return both(dataset), None
        validation = dataset.where(held_out)
        if validation.isEmpty():
            raise EmptyFeedError("no rows are to validate on", hint="raise validationSplit, or look at validationCol")
        return both(dataset.where(~held_out)), both(validation)
