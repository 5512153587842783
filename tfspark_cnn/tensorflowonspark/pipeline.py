"""`TFEstimator` and `TFModel`: a train_fn and a SavedModel as Spark ML has its algorithms. TensorFlowOnSpark's module.

Example:
    >>> estimator = TFEstimator(train_fn, args).setInputMapping({"image": "x", "label": "y"}).setEpochs(3)
    >>> model = estimator.setExportDir("/models/1").fit(rows)                       # doctest: +SKIP
    >>> model.setInputMapping({"image": "x"}).setOutputMapping({"probability": "p"})  # doctest: +SKIP
    >>> model.transform(others)                                                     # doctest: +SKIP
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import Any

from tfspark_cnn import env
from tfspark_cnn.cluster import worker_tensorflow
from tfspark_cnn.errors import UnsupportedVersionError
from tfspark_cnn.tensorflowonspark.namespace import Namespace
from tfspark_cnn.tensorflowonspark.pipeline_estimator import TFEstimator
from tfspark_cnn.tensorflowonspark.pipeline_model import TFModel
from tfspark_cnn.tensorflowonspark.pipeline_params import (
    HasBatchSize,
    HasClusterSize,
    HasEpochs,
    HasExportDir,
    HasGraceSecs,
    HasInputMapping,
    HasInputMode,
    HasKeepColumns,
    HasMasterNode,
    HasModelDir,
    HasNumPS,
    HasOutputMapping,
    HasProtocol,
    HasReaders,
    HasSignatureDefKey,
    HasSteps,
    HasTagSet,
    HasTensorboard,
    HasTFRecordDir,
    TFParams,
    TFTypeConverters,
)

__all__ = [
    "HasBatchSize", "HasClusterSize", "HasEpochs", "HasExportDir", "HasGraceSecs", "HasInputMapping", "HasInputMode",
    "HasKeepColumns", "HasMasterNode", "HasModelDir", "HasNumPS", "HasOutputMapping", "HasProtocol", "HasReaders",
    "HasSignatureDefKey", "HasSteps", "HasTFRecordDir", "HasTagSet", "HasTensorboard", "Namespace", "TFEstimator",
    "TFModel", "TFParams", "TFTypeConverters", "get_meta_graph_def", "single_node_env", "yield_batch",
]  # fmt: skip


def single_node_env(args: Any) -> None:
    """Sets up a Spark task for TensorFlow on its own: the arguments of the program, and the GPUs that Spark assigned.

    Args:
        args: a list, which becomes `sys.argv`, as `argv` of a Namespace does; with `num_gpus` of 0 no GPU is shown.
    """
    argv = args if isinstance(args, list) else getattr(args, "argv", None)
    if argv:
        sys.argv = argv
    if getattr(args, "num_gpus", 1):
        worker_tensorflow.prepare()
    else:
        env.use_gpus([])


def yield_batch(iterable: Iterable[Any], batch_size: int, num_tensors: int = 1) -> Iterator[list[list[Any]]]:
    """Gives rows by columns, batch by batch, up to the first row that is None; bytearrays become bytes.

    Args:
        iterable: of rows.
        batch_size: rows of a batch; the last one may have fewer.
        num_tensors: columns to take of each row.

    Example:
        >>> list(yield_batch([(1, "a"), (2, "b"), (3, "c")], 2, num_tensors=2))
        [[[1, 2], ['a', 'b']], [[3], ['c']]]
    """
    rows: list[Any] = []
    for row in iterable:
        if row is None:
            break
        rows.append(row)
        if len(rows) >= batch_size:
            yield _by_column(rows, num_tensors)
            rows = []
    if rows:
        yield _by_column(rows, num_tensors)


def _by_column(rows: list[Any], columns: int) -> list[list[Any]]:
    return [
        [bytes(row[place]) if isinstance(row[place], bytearray) else row[place] for row in rows]
        for place in range(columns)
    ]


def get_meta_graph_def(saved_model_dir: str, tag_set: str) -> Any:
    """Is of TensorFlow 1, whose `tensorflow.contrib` is gone.

    Raises:
        UnsupportedVersionError: always.
    """
    raise UnsupportedVersionError(
        f"get_meta_graph_def needs tensorflow.contrib of TensorFlow 1, to read {saved_model_dir} with {tag_set!r}",
        hint="tf.saved_model.load(path, tags=[...]).signatures has the signatures",
    )
