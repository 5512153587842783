"""Convolutional networks as Spark ML has its algorithms: an Estimator, its Model, and scoring on all executors.

Example:
    >>> from tfspark_cnn.ml import CNNClassifier
    >>> model = CNNClassifier(model="resnet20", featuresCol="image", inputShape=[32, 32, 3]).fit(rows)
    >>> model.transform(others).select("prediction")
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tfspark_cnn.ml.estimator import CNNClassifier, CNNRegressor
    from tfspark_cnn.ml.model import CNNClassificationModel, CNNRegressionModel

__all__ = ["CNNClassificationModel", "CNNClassifier", "CNNRegressionModel", "CNNRegressor"]

_PLACES = {
    "CNNClassifier": "tfspark_cnn.ml.estimator",
    "CNNRegressor": "tfspark_cnn.ml.estimator",
    "CNNClassificationModel": "tfspark_cnn.ml.model",
    "CNNRegressionModel": "tfspark_cnn.ml.model",
}


def __getattr__(name: str) -> Any:
    """Imports a class when it is asked for: executors and nodes import modules beside these, without Spark ML."""
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_PLACES[name]), name)
