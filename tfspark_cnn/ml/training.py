"""What the estimators share: Params to a task, a DataFrame to rows for training and validation, and the cluster."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self

from tfspark_cnn import augmentation
from tfspark_cnn.cluster import application
from tfspark_cnn.cluster.tf_cluster import InputMode, TFCluster
from tfspark_cnn.config import ModelConfig, TrainConfig
from tfspark_cnn.data import storage
from tfspark_cnn.errors import ConfigError, EmptyFeedError, SchemaError, did_you_mean
from tfspark_cnn.feed import schema
from tfspark_cnn.feed.columns import Column
from tfspark_cnn.ml.labels import check_columns, quoted
from tfspark_cnn.ml.params import DEFAULTS, SETTINGS, TrainingParams
from tfspark_cnn.ml.summary import TrainingSummary
from tfspark_cnn.ml.task import TrainingTask

if TYPE_CHECKING:
    from pyspark.sql import Column as SparkColumn
    from pyspark.sql import DataFrame

log = logging.getLogger(__name__)

MAP_FUN = "tfspark_cnn.training.network_job:run"
IMAGE, LABEL = "image", "label"
_SPLIT_PARTS = 1_000_000


class NetworkTraining(TrainingParams):
    """Trains the network that its Params name, on the rows of a DataFrame.

    Args:
        params: any Params by name.

    Raises:
        ConfigError: there is no such Param.
    """

    def __init__(self, **params: Any) -> None:
        super().__init__()
        self._setDefault(**{name: value for name, value in DEFAULTS.items() if self.hasParam(name)})
        self.setParams(**params)

    def setParams(self, **params: Any) -> Self:  # noqa: N802  Spark's name
        """Sets any Params by name.

        Raises:
            ConfigError: there is no such Param.
        """
        for name in params:
            if not self.hasParam(name):
                known = [param.name for param in self.params]
                raise ConfigError(
                    f"{type(self).__name__} has no Param {name!r}",
                    hint=did_you_mean(name, known, f"it has {', '.join(known)}"),
                )
        return self._set(**{name: value for name, value in params.items() if value is not None})

    # --- what is known before executors are taken --------------------------------------------------------------------

    def check_params(self, dataset: DataFrame) -> None:
        """Refuses Params that cannot be or contradict each other, and a DataFrame without the columns that they name.

        Raises:
            ConfigError: they do.
            SchemaError: a column is missing, or cannot mark the rows to validate on.
        """
        application.check_running(dataset.sparkSession)
        for name, least in (("numWorkers", 1), ("numPS", 0)):
            if (count := self.getOrDefault(name)) < least:
                raise ConfigError(f"{name} is {count}, expected {least} or more", hint=f"as {name}={max(least, 1)}")
        if self.getTensorboard() and not self.getLogDir():
            raise ConfigError("tensorboard is set, and there is no logDir", hint="set logDir: TensorBoard shows it")
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
        master = dataset.sparkSession.sparkContext.master or ""
        if master.startswith("local"):  # all nodes are here, and see what we see
            for name in ("modelDir", "logDir"):
                if (path := self.getOrDefault(name)) and "://" not in path:
                    storage.make_folder(path, setting=name)

    def task(self, dataset: DataFrame, label: Column, *, classes: int | None = None) -> TrainingTask:
        """Gives what the nodes are to do.

        Args:
            dataset: whose column of images is looked at.
            label: the column of labels, as nodes read it.
            classes: of a classifier.

        Raises:
            ConfigError: a Param is none that it can be.
            SchemaError: the column cannot become images.
        """
        image, train = self._image(dataset), self._train_config()
        assert image.shape is not None
        height, width, channels = image.shape
        augmentation.check(augmentation.parse(train.augmentation), (height, width, channels))
        validated = bool(self.getValidationCol() or self.getValidationSplit())
        return TrainingTask(
            ModelConfig(self.getModel(), self._parameters()), train, image, label=label, classes=classes,
            validated=validated,
        )  # fmt: skip

    def _train_config(self) -> TrainConfig:
        """Gives the settings; with a recipe, the Params that are set win over it, and it over defaults."""
        chosen = [param for param in SETTINGS if self.hasParam(param)]
        if self.getRecipe():
            chosen = [param for param in chosen if self.isSet(param)]
        given = {SETTINGS[param]: self.getOrDefault(param) for param in chosen}
        try:
            return TrainConfig.of(given, workers=self._sharing_a_step())
        except ConfigError as error:
            raise _by_param(error) from error

    def _sharing_a_step(self) -> int:
        return 1 if self.getNumPS() else self.getNumWorkers()  # under parameter servers each takes its own

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
            scale=column.scale, finite=not column.encoded,
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

    # --- rows --------------------------------------------------------------------------------------------------------

    def parts(self, dataset: DataFrame, label: SparkColumn) -> tuple[DataFrame, DataFrame | None]:
        """Gives the rows to train on and those to validate on, both without other columns.

        A split goes by what rows hold, so that it is the same whenever Spark computes them, and equal images are never
        on both sides.

        Args:
            dataset: all rows.
            label: what becomes the column of labels.

        Raises:
            EmptyFeedError: one of the parts has no rows.
        """
        from pyspark.sql import functions as sf

        def both(frame: DataFrame) -> DataFrame:
            return frame.select(sf.col(quoted(self.getFeaturesCol())).alias(IMAGE), label.alias(LABEL))

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

    # --- nodes -------------------------------------------------------------------------------------------------------

    def trained(
        self, task: TrainingTask, train: DataFrame, validation: DataFrame | None
    ) -> tuple[bytes, TrainingSummary]:
        """Gives the bytes of the network's `.keras` file, and how it was trained.

        Args:
            task: for the nodes.
            train: rows to train on.
            validation: rows to validate on after each epoch, or None.
        """
        if task.train.scheduled:
            task = task.for_rows(train.count(), sharing_a_step=self._sharing_a_step())
        nodes = self.getNumWorkers() + self.getNumPS() + (self.getNumPS() > 0)
        with TFCluster.run(train.sparkSession, MAP_FUN, task, nodes, **self._cluster_options()) as cluster:
            cluster.train(train, num_epochs=task.train.epochs, validation=validation)
            (found,) = (result for result in cluster.shutdown() if result is not None)
            attempts = [str(attempt) for attempt in cluster.attempts()]
            verdict = str(cluster.history().verdict())
        training = TrainingSummary(found["history"], found["fit_s"], found["weights"], attempts, verdict)
        if (epoch := training.first_epoch_without_a_loss()) is not None:
            log.warning("the loss is no number from epoch %d on; a lower learningRate may help", epoch)
        return found["network"], training

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


def _by_param(error: ConfigError) -> ConfigError:
    """Gives the error of a setting as one of the Param that it came from."""
    message, hint = error.message, error.hint
    for param, setting in SETTINGS.items():
        for name in (f"TrainConfig.{setting}", f"train.{setting}"):
            if message.startswith((f"{name}:", f"{name} ")):
                default = f"{param} is {DEFAULTS[param]!r} unless it is set"
                return ConfigError(message.replace(name, param, 1), hint=default if name[0] == "T" else hint)
    return error
