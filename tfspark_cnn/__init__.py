"""Trains Keras convolutional networks with TensorFlow on the executors of a Spark cluster, fed from DataFrames.

Example:
    >>> from tfspark_cnn import Column, InputMode, TFCluster
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tfspark_cnn.checkpoints.options import Checkpoints
    from tfspark_cnn.cluster.parallel import run_parallel
    from tfspark_cnn.cluster.tensorboard_options import TensorBoardOptions
    from tfspark_cnn.cluster.tf_cluster import InputMode, TFCluster
    from tfspark_cnn.embedded import local_spark
    from tfspark_cnn.errors import TFSparkError
    from tfspark_cnn.feed.schema import Column

__version__ = "0.1.0"

__all__ = [
    "Checkpoints",
    "Column",
    "InputMode",
    "TFCluster",
    "TFSparkError",
    "TensorBoardOptions",
    "__version__",
    "local_spark",
    "run_parallel",
]

# Imported when first asked for: what the driver stands on takes longer than a whole `tfspark-cnn --help`.
_PLACES = {
    "Checkpoints": "tfspark_cnn.checkpoints.options",
    "Column": "tfspark_cnn.feed.schema",
    "InputMode": "tfspark_cnn.cluster.tf_cluster",
    "TFCluster": "tfspark_cnn.cluster.tf_cluster",
    "TFSparkError": "tfspark_cnn.errors",
    "TensorBoardOptions": "tfspark_cnn.cluster.tensorboard_options",
    "local_spark": "tfspark_cnn.embedded",
    "run_parallel": "tfspark_cnn.cluster.parallel",
}


def __getattr__(name: str) -> Any:
    """Gives a public name from the module in which it is."""
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_PLACES[name]), name)


def __dir__() -> list[str]:
    """Gives the public names, also those that were not imported yet."""
    return sorted({*globals(), *__all__})
