"""`CNNClassifier` and `CNNRegressor`: Spark ML Estimators that train convolutional networks on the executors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.ml import Estimator
from pyspark.ml.util import DefaultParamsReadable, DefaultParamsWritable

from tfspark_cnn.feed.columns import Column
from tfspark_cnn.ml.labels import Labels, check_numbers, quoted, read_labels
from tfspark_cnn.ml.model import CNNClassificationModel, CNNRegressionModel
from tfspark_cnn.ml.params import ClassifierParams
from tfspark_cnn.ml.training import LABEL, NetworkTraining

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


class CNNClassifier(
    NetworkTraining,
    ClassifierParams,
    Estimator[CNNClassificationModel],
    DefaultParamsReadable["CNNClassifier"],
    DefaultParamsWritable,
):
    """Trains a network on two columns of a DataFrame, images and labels.

    All Params can be given by name, and set later: `explainParams()` lists them. Nodes hold `numWorkers + numPS` slots
    of Spark while they train (one more with `numPS`, for the chief), and one is left for feeding them.

    Example:
        >>> classifier = CNNClassifier(model="resnet20", featuresCol="image", labelCol="label",
        ...                            inputShape=[32, 32, 3], numWorkers=4, batchSize=32, recipe="resnet20")
        >>> model = classifier.fit(rows)                                      # doctest: +SKIP
        >>> model.transform(others).groupBy("prediction").count().show()      # doctest: +SKIP
    """

    def _fit(self, dataset: DataFrame) -> CNNClassificationModel:
        from pyspark.sql import functions as sf

        self.check_params(dataset)
        labels = self._labels(dataset)
        task = self.task(dataset, Column(LABEL, classes=labels.classes), classes=labels.classes)
        train, validation = self.parts(dataset, sf.col(quoted(self.getLabelCol())).cast("bigint"))
        network, training = self.trained(task, train, validation)
        return self._copyValues(CNNClassificationModel(network, labels=labels.names, training=training))

    def _labels(self, dataset: DataFrame) -> Labels:
        classes = self.getOrDefault(self.classes) if self.isDefined(self.classes) else None
        return read_labels(dataset, self.getLabelCol(), classes=classes)


class CNNRegressor(
    NetworkTraining,
    Estimator[CNNRegressionModel],
    DefaultParamsReadable["CNNRegressor"],
    DefaultParamsWritable,
):
    """Trains a network on images and numbers, as ages or distances, by their mean squared error.

    It is `CNNClassifier` with a network that ends in one number: the softmax of a network that ends in classes is taken
    away. Numbers far from 0 are learned late; scale them.

    Example:
        >>> regressor = CNNRegressor(model="resnet20", featuresCol="image", labelCol="age", inputShape=[32, 32, 3])
        >>> model = regressor.fit(rows)                                       # doctest: +SKIP
    """

    def _fit(self, dataset: DataFrame) -> CNNRegressionModel:
        from pyspark.sql import functions as sf

        self.check_params(dataset)
        check_numbers(dataset, self.getLabelCol())
        task = self.task(dataset, Column(LABEL, dtype="float32"))
        train, validation = self.parts(dataset, sf.col(quoted(self.getLabelCol())).cast("float"))
        network, training = self.trained(task, train, validation)
        return self._copyValues(CNNRegressionModel(network, training=training))
