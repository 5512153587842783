"""The Params of the estimators and of their models, with setters and getters as Spark ML has them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self

from pyspark.ml.param import Param, Params, TypeConverters
from pyspark.ml.param.shared import (
    HasFeaturesCol,
    HasLabelCol,
    HasPredictionCol,
    HasProbabilityCol,
    HasRawPredictionCol,
    HasSeed,
)

from tfspark_cnn.errors import ConfigError
from tfspark_cnn.feed.columns import Column
from tfspark_cnn.ml.saved_network import image_column


def _param(name: str, converter: Callable[[Any], Any], doc: str) -> Any:
    return Param(Params._dummy(), name, doc, converter)


class ImageParams(HasFeaturesCol, HasPredictionCol):
    """What a model needs, and its estimator hands on to it: the column of images and that of results."""

    inputShape: Param[list[int]] = _param(
        "inputShape", TypeConverters.toListInt,
        "shape of an image, [height, width, channels]; it has no default",
    )  # fmt: skip
    encoding: Param[str] = _param(
        "encoding", TypeConverters.toString,
        "how the bytes of a binary column hold an image: raw, jpeg or png",
    )  # fmt: skip
    resize: Param[str] = _param(
        "resize", TypeConverters.toString,
        "how images of another size come to inputShape, as bilinear; empty: such images are errors",
    )  # fmt: skip
    scale: Param[float] = _param(
        "scale", TypeConverters.toFloat,
        "what pixels are multiplied with, as 1/255, in training and in scoring alike",
    )  # fmt: skip
    scoringBatchSize: Param[int] = _param(
        "scoringBatchSize", TypeConverters.toInt,
        "rows that a network scores at once",
    )  # fmt: skip

    def setInputShape(self, value: list[int]) -> Self:
        """Sets inputShape."""
        return self._set(inputShape=value)

    def getInputShape(self) -> list[int]:
        """Gives inputShape."""
        return self.getOrDefault(self.inputShape)

    def setEncoding(self, value: str) -> Self:
        """Sets encoding."""
        return self._set(encoding=value)

    def getEncoding(self) -> str:
        """Gives encoding."""
        return self.getOrDefault(self.encoding)

    def setResize(self, value: str) -> Self:
        """Sets resize."""
        return self._set(resize=value)

    def getResize(self) -> str:
        """Gives resize."""
        return self.getOrDefault(self.resize)

    def setScale(self, value: float) -> Self:
        """Sets scale."""
        return self._set(scale=value)

    def getScale(self) -> float:
        """Gives scale."""
        return self.getOrDefault(self.scale)

    def setScoringBatchSize(self, value: int) -> Self:
        """Sets scoringBatchSize."""
        return self._set(scoringBatchSize=value)

    def getScoringBatchSize(self) -> int:
        """Gives scoringBatchSize."""
        return self.getOrDefault(self.scoringBatchSize)

    def setFeaturesCol(self, value: str) -> Self:
        """Sets featuresCol."""
        return self._set(featuresCol=value)

    def setPredictionCol(self, value: str) -> Self:
        """Sets predictionCol."""
        return self._set(predictionCol=value)

    def image_column(self) -> Column:
        """Gives the column of images as nodes and scorers read it: float32 pixels of `inputShape`.

        Raises:
            ConfigError: inputShape is not set, or the Params contradict each other.
        """
        if not self.isDefined("inputShape"):
            raise ConfigError("inputShape is not set", hint="setInputShape([height, width, channels]), as [32, 32, 3]")
        names = ("featuresCol", "inputShape", "encoding", "resize", "scale")
        return image_column({name: self.getOrDefault(name) for name in names})


class ScoringParams(ImageParams, HasProbabilityCol, HasRawPredictionCol):
    """What the model of a classifier needs besides: names of the columns of probabilities."""

    def setProbabilityCol(self, value: str) -> Self:
        """Sets probabilityCol."""
        return self._set(probabilityCol=value)

    def setRawPredictionCol(self, value: str) -> Self:
        """Sets rawPredictionCol."""
        return self._set(rawPredictionCol=value)


class TrainingParams(ImageParams, HasLabelCol, HasSeed):
    """What an estimator needs besides: the network, the nodes, and how they train."""

    model: Param[str] = _param(
        "model", TypeConverters.toString,
        "the network: a name of tfspark_cnn.networks or keras.applications, or package.module:function",
    )  # fmt: skip
    modelParameters: Param[str] = _param(
        "modelParameters", TypeConverters.toString,
        "what the network's function is called with besides, as JSON",
    )  # fmt: skip
    numWorkers: Param[int] = _param(
        "numWorkers", TypeConverters.toInt,
        "nodes that train",
    )  # fmt: skip
    numPS: Param[int] = _param(
        "numPS", TypeConverters.toInt,
        "parameter servers; from 1 on training is asynchronous, under a chief besides",
    )  # fmt: skip
    batchSize: Param[int] = _param(
        "batchSize", TypeConverters.toInt,
        "rows of one node in a step of training",
    )  # fmt: skip
    epochs: Param[int] = _param(
        "epochs", TypeConverters.toInt,
        "how often each row is trained on",
    )  # fmt: skip
    optimizer: Param[str] = _param(
        "optimizer", TypeConverters.toString,
        "adam, adamw, nadam, rmsprop or sgd",
    )  # fmt: skip
    learningRate: Param[float] = _param(
        "learningRate", TypeConverters.toFloat,
        "the optimizer's, at its highest",
    )  # fmt: skip
    schedule: Param[str] = _param(
        "schedule", TypeConverters.toString,
        "of the learning rate after its warm-up: constant or cosine",
    )  # fmt: skip
    warmupEpochs: Param[float] = _param(
        "warmupEpochs", TypeConverters.toFloat,
        "in which the learning rate rises from 0",
    )  # fmt: skip
    momentum: Param[float] = _param(
        "momentum", TypeConverters.toFloat,
        "of sgd and rmsprop",
    )  # fmt: skip
    weightDecay: Param[float] = _param(
        "weightDecay", TypeConverters.toFloat,
        "the part of the weights that a step takes away, times the learning rate",
    )  # fmt: skip
    augmentation: Param[str] = _param(
        "augmentation", TypeConverters.toString,
        "of training images, as 'flip, crop:4, mixup:0.2'; tfspark_cnn.augmentation has the names",
    )  # fmt: skip
    recipe: Param[str] = _param(
        "recipe", TypeConverters.toString,
        "a network of tfspark_cnn.recipes, whose settings stand for Params that are not set",
    )  # fmt: skip
    validationCol: Param[str] = _param(
        "validationCol", TypeConverters.toString,
        "a boolean column that marks the rows to validate on; empty: none",
    )  # fmt: skip
    validationSplit: Param[float] = _param(
        "validationSplit", TypeConverters.toFloat,
        "the part of the rows to validate on, chosen by what they hold",
    )  # fmt: skip
    modelDir: Param[str] = _param(
        "modelDir", TypeConverters.toString,
        "where checkpoints go, a folder or URI; empty: there are none, and no restarts",
    )  # fmt: skip
    logDir: Param[str] = _param(
        "logDir", TypeConverters.toString,
        "where TensorBoard's event files go; empty: nowhere",
    )  # fmt: skip
    tensorboard: Param[bool] = _param(
        "tensorboard", TypeConverters.toBoolean,
        "whether to serve a TensorBoard of logDir meanwhile",
    )  # fmt: skip
    maxRestarts: Param[int] = _param(
        "maxRestarts", TypeConverters.toInt,
        "how often the nodes may begin anew after one has died; needs modelDir",
    )  # fmt: skip
    mixedPrecision: Param[str] = _param(
        "mixedPrecision", TypeConverters.toString,
        "float32, mixed_bfloat16 or mixed_float16",
    )  # fmt: skip

    def setModel(self, value: str) -> Self:
        """Sets model."""
        return self._set(model=value)

    def getModel(self) -> str:
        """Gives model."""
        return self.getOrDefault(self.model)

    def setModelParameters(self, value: str) -> Self:
        """Sets modelParameters."""
        return self._set(modelParameters=value)

    def getModelParameters(self) -> str:
        """Gives modelParameters."""
        return self.getOrDefault(self.modelParameters)

    def setNumWorkers(self, value: int) -> Self:
        """Sets numWorkers."""
        return self._set(numWorkers=value)

    def getNumWorkers(self) -> int:
        """Gives numWorkers."""
        return self.getOrDefault(self.numWorkers)

    def setNumPS(self, value: int) -> Self:
        """Sets numPS."""
        return self._set(numPS=value)

    def getNumPS(self) -> int:
        """Gives numPS."""
        return self.getOrDefault(self.numPS)

    def setBatchSize(self, value: int) -> Self:
        """Sets batchSize."""
        return self._set(batchSize=value)

    def getBatchSize(self) -> int:
        """Gives batchSize."""
        return self.getOrDefault(self.batchSize)

    def setEpochs(self, value: int) -> Self:
        """Sets epochs."""
        return self._set(epochs=value)

    def getEpochs(self) -> int:
        """Gives epochs."""
        return self.getOrDefault(self.epochs)

    def setOptimizer(self, value: str) -> Self:
        """Sets optimizer."""
        return self._set(optimizer=value)

    def getOptimizer(self) -> str:
        """Gives optimizer."""
        return self.getOrDefault(self.optimizer)

    def setLearningRate(self, value: float) -> Self:
        """Sets learningRate."""
        return self._set(learningRate=value)

    def getLearningRate(self) -> float:
        """Gives learningRate."""
        return self.getOrDefault(self.learningRate)

    def setSchedule(self, value: str) -> Self:
        """Sets schedule."""
        return self._set(schedule=value)

    def getSchedule(self) -> str:
        """Gives schedule."""
        return self.getOrDefault(self.schedule)

    def setWarmupEpochs(self, value: float) -> Self:
        """Sets warmupEpochs."""
        return self._set(warmupEpochs=value)

    def getWarmupEpochs(self) -> float:
        """Gives warmupEpochs."""
        return self.getOrDefault(self.warmupEpochs)

    def setMomentum(self, value: float) -> Self:
        """Sets momentum."""
        return self._set(momentum=value)

    def getMomentum(self) -> float:
        """Gives momentum."""
        return self.getOrDefault(self.momentum)

    def setWeightDecay(self, value: float) -> Self:
        """Sets weightDecay."""
        return self._set(weightDecay=value)

    def getWeightDecay(self) -> float:
        """Gives weightDecay."""
        return self.getOrDefault(self.weightDecay)

    def setAugmentation(self, value: str) -> Self:
        """Sets augmentation."""
        return self._set(augmentation=value)

    def getAugmentation(self) -> str:
        """Gives augmentation."""
        return self.getOrDefault(self.augmentation)

    def setRecipe(self, value: str) -> Self:
        """Sets recipe."""
        return self._set(recipe=value)

    def getRecipe(self) -> str:
        """Gives recipe."""
        return self.getOrDefault(self.recipe)

    def setValidationCol(self, value: str) -> Self:
        """Sets validationCol."""
        return self._set(validationCol=value)

    def getValidationCol(self) -> str:
        """Gives validationCol."""
        return self.getOrDefault(self.validationCol)

    def setValidationSplit(self, value: float) -> Self:
        """Sets validationSplit."""
        return self._set(validationSplit=value)

    def getValidationSplit(self) -> float:
        """Gives validationSplit."""
        return self.getOrDefault(self.validationSplit)

    def setModelDir(self, value: str) -> Self:
        """Sets modelDir."""
        return self._set(modelDir=value)

    def getModelDir(self) -> str:
        """Gives modelDir."""
        return self.getOrDefault(self.modelDir)

    def setLogDir(self, value: str) -> Self:
        """Sets logDir."""
        return self._set(logDir=value)

    def getLogDir(self) -> str:
        """Gives logDir."""
        return self.getOrDefault(self.logDir)

    def setTensorboard(self, value: bool) -> Self:
        """Sets tensorboard."""
        return self._set(tensorboard=value)

    def getTensorboard(self) -> bool:
        """Gives tensorboard."""
        return self.getOrDefault(self.tensorboard)

    def setMaxRestarts(self, value: int) -> Self:
        """Sets maxRestarts."""
        return self._set(maxRestarts=value)

    def getMaxRestarts(self) -> int:
        """Gives maxRestarts."""
        return self.getOrDefault(self.maxRestarts)

    def setMixedPrecision(self, value: str) -> Self:
        """Sets mixedPrecision."""
        return self._set(mixedPrecision=value)

    def getMixedPrecision(self) -> str:
        """Gives mixedPrecision."""
        return self.getOrDefault(self.mixedPrecision)

    def setLabelCol(self, value: str) -> Self:
        """Sets labelCol."""
        return self._set(labelCol=value)

    def setSeed(self, value: int) -> Self:
        """Sets seed."""
        return self._set(seed=value)


class ClassifierParams(ScoringParams, TrainingParams):
    """What a classifier needs besides."""

    classes: Param[int] = _param(
        "classes", TypeConverters.toInt,
        "how many there are; not set: as the label's metadata tell, or one more than the largest label",
    )  # fmt: skip
    labelSmoothing: Param[float] = _param(
        "labelSmoothing", TypeConverters.toFloat,
        "the part of a label that goes to all classes alike",
    )  # fmt: skip

    def setClasses(self, value: int) -> Self:
        """Sets classes."""
        return self._set(classes=value)

    def getClasses(self) -> int:
        """Gives classes."""
        return self.getOrDefault(self.classes)

    def setLabelSmoothing(self, value: float) -> Self:
        """Sets labelSmoothing."""
        return self._set(labelSmoothing=value)

    def getLabelSmoothing(self) -> float:
        """Gives labelSmoothing."""
        return self.getOrDefault(self.labelSmoothing)


DEFAULTS: dict[str, Any] = {
    "encoding": "raw",
    "resize": "",
    "scale": 1.0,
    "scoringBatchSize": 256,
    "model": "small_cnn",
    "modelParameters": "{}",
    "numWorkers": 1,
    "numPS": 0,
    "batchSize": 32,
    "epochs": 10,
    "optimizer": "adam",
    "learningRate": 0.001,
    "schedule": "constant",
    "warmupEpochs": 0.0,
    "momentum": 0.0,
    "weightDecay": 0.0,
    "augmentation": "",
    "recipe": "",
    "validationCol": "",
    "validationSplit": 0.0,
    "modelDir": "",
    "logDir": "",
    "tensorboard": False,
    "maxRestarts": 0,
    "mixedPrecision": "float32",
    "labelSmoothing": 0.0,
    "labelCol": "label",
    "seed": 0,
}
"""By name; `inputShape` and `classes` have none."""

SETTINGS: dict[str, str] = {
    "epochs": "epochs",
    "batchSize": "batch_size",
    "learningRate": "learning_rate",
    "optimizer": "optimizer",
    "seed": "seed",
    "mixedPrecision": "precision",
    "schedule": "schedule",
    "warmupEpochs": "warmup_epochs",
    "momentum": "momentum",
    "weightDecay": "weight_decay",
    "labelSmoothing": "label_smoothing",
    "augmentation": "augmentation",
    "recipe": "recipe",
}
"""The Params that are settings of `tfspark_cnn.config.TrainConfig`, and which ones."""
