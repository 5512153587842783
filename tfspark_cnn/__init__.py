"""Trains Keras convolutional networks with TensorFlow on the executors of a Spark cluster, fed from DataFrames.

Example:
    >>> from tfspark_cnn import Column, InputMode, TFCluster
"""

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
