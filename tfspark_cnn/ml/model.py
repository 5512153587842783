"""The models of `CNNClassifier` and `CNNRegressor`: what they make of what their networks give."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from tfspark_cnn.ml.network_model import NetworkModel
from tfspark_cnn.ml.params import ScoringParams
from tfspark_cnn.ml.saved_network import Answer
from tfspark_cnn.ml.summary import TrainingSummary

if TYPE_CHECKING:
    from pyspark.sql import Column

__all__ = ["CNNClassificationModel", "CNNRegressionModel", "TrainingSummary"]

_LEAST = 2.0**-149
"""The smallest float32 above 0, whose logarithm stands for that of a probability of 0."""


class CNNClassificationModel(NetworkModel, ScoringParams):
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

    answer: ClassVar[Answer] = Answer.CLASSES

    def __init__(
        self,
        network: bytes = b"",
        *,
        labels: Sequence[str] | None = None,
        training: TrainingSummary | None = None,
    ) -> None:
        super().__init__(network, training=training)
        self._labels = tuple(labels) if labels is not None else None

    @property
    def labels(self) -> tuple[str, ...] | None:
        """Names of the classes, where a StringIndexer gave them to the labels."""
        return self._labels

    def extra(self) -> dict[str, Any]:
        """Gives the names of the classes."""
        return {"labels": self._labels}

    def metadata(self) -> dict[str, Any]:
        """Gives what StringIndexer writes, so that IndexToString finds the names of the classes."""
        nominal: dict[str, Any] = {"type": "nominal", "name": self.getPredictionCol()}
        return {"ml_attr": nominal if self._labels is None else nominal | {"vals": list(self._labels)}}

    def outputs(self) -> Mapping[str, Any]:
        """Gives the columns of the class, the probabilities and their logarithms, those whose names are not empty."""
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


class CNNRegressionModel(NetworkModel):
    """A trained network that gives a number. `CNNRegressor.fit` and `CNNRegressionModel.load` make it.

    `transform` adds `predictionCol` (double).

    Example:
        >>> RegressionEvaluator(metricName="mae").evaluate(model.transform(images))  # doctest: +SKIP
    """

    answer: ClassVar[Answer] = Answer.NUMBER

    def outputs(self) -> Mapping[str, Any]:
        """Gives the column of predictions."""
        from pyspark.sql import functions as sf

        def prediction(scores: Column) -> Column:
            return sf.element_at(scores, 1).cast("double")

        return {self.getPredictionCol(): prediction} if self.getPredictionCol() else {}
