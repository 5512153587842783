"""`TFEstimator`: a train_fn as an Estimator of Spark ML."""

from __future__ import annotations

import inspect
import logging
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pyspark.ml import Estimator

from tfspark_cnn.cluster.tf_cluster import InputMode, TFCluster
from tfspark_cnn.errors import ConfigError, UnsupportedVersionError, did_you_mean
from tfspark_cnn.tensorflowonspark.data_columns import check_mapped, fed_alike
from tfspark_cnn.tensorflowonspark.namespace import Namespace
from tfspark_cnn.tensorflowonspark.pipeline_model import TFModel
from tfspark_cnn.tensorflowonspark.pipeline_params import (
    HasBatchSize,
    HasClusterSize,
    HasEpochs,
    HasExportDir,
    HasGraceSecs,
    HasInputMapping,
    HasInputMode,
    HasMasterNode,
    HasModelDir,
    HasNumPS,
    HasProtocol,
    HasReaders,
    HasSteps,
    HasTensorboard,
    HasTFRecordDir,
    TFParams,
)
from tfspark_cnn.tensorflowonspark.program import Program, chief_of, gpus_of

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

log = logging.getLogger(__name__)

EPOCHS_OF_0 = 10
"""What 0 epochs were in TensorFlowOnSpark."""

_BY_PARAMS = {
    "num_executors": "setClusterSize", "num_ps": "setNumPS", "tensorboard": "setTensorboard",
    "model_dir": "setModelDir", "driver_ps_nodes": "setDriverPSNodes", "master_node": "setMasterNode",
    "input_mode": "setInputMode",
}  # fmt: skip


class TFEstimator(
    Estimator[TFModel], TFParams, HasInputMapping, HasClusterSize, HasNumPS, HasInputMode, HasMasterNode, HasProtocol,
    HasGraceSecs, HasTensorboard, HasModelDir, HasExportDir, HasTFRecordDir, HasBatchSize, HasEpochs, HasReaders,
    HasSteps,
):  # fmt: skip
    """Runs a cluster that is fed with a DataFrame, and gives the `TFModel` of what its train_fn has exported.

    The columns that `setInputMapping` names are fed, in the order of their names. Nodes hold `cluster_size` slots of
    Spark meanwhile, and one is left for feeding them.

    Args:
        train_fn: called on every node as `train_fn(args, ctx)`; `args` are `tf_args` and all Params, by name, or the
            list that `tf_args` is.
        tf_args: a dict, an `argparse.Namespace`, a `Namespace`, or a list of strings.
        export_fn: belongs to TensorFlow 1; `fit` refuses it.
        feed_timeout: seconds without any progress after which the cluster is given up.
        run_options: what else `TFCluster.run` takes, as `log_dir`, `reservation_timeout`, `max_restarts` or `cache`.

    Raises:
        ConfigError: tf_args are of another type, or there is no such option.

    Example:
        >>> TFEstimator(train_fn, args, feed_timeout=3600, max_restarts=2).setClusterSize(4)  # doctest: +SKIP
    """

    def __init__(
        self,
        train_fn: Callable[[Any, Any], Any],
        tf_args: Any,
        export_fn: Callable[[Any], Any] | None = None,
        *,
        feed_timeout: float = 600,
        **run_options: Any,
    ) -> None:
        super().__init__()
        self.train_fn, self.export_fn = train_fn, export_fn
        self.args = Namespace(tf_args)
        self._feed_timeout, self._run_options = feed_timeout, _checked(run_options)
        self._setDefault(
            input_mapping={}, cluster_size=1, num_ps=0, driver_ps_nodes=False, input_mode=int(InputMode.SPARK),
            master_node="chief", protocol="grpc", tensorboard=False, model_dir=None, export_dir=None, tfrecord_dir=None,
            batch_size=100, epochs=1, readers=1, steps=1000, grace_secs=30,
        )  # fmt: skip

    def _fit(self, dataset: DataFrame) -> TFModel:
        if self.export_fn is not None:
            raise UnsupportedVersionError(
                "export_fn was given, which needs the sessions of TensorFlow 1",
                hint="export in train_fn, on the chief: if ctx.is_chief: model.export(args.export_dir)",
            )
        check_mapped(dataset, self.getInputMapping(), setter="setInputMapping")
        data = fed_alike(dataset, sorted(self.getInputMapping()))
        args = self.merge_args_params()
        log.info("trains with %s", args)
        with TFCluster.run(
            dataset.sparkSession,
            Program(self.train_fn, os.getcwd(), self.getMasterNode()),
            self.args.argv or args,
            self.getClusterSize(),
            self.getNumPS(),
            input_mode=InputMode.SPARK,
            master_node=chief_of(self.getMasterNode()),
            gpus_per_node=gpus_of(args),
            driver_ps_nodes=self.getDriverPSNodes(),
            model_dir=self.getModelDir(),
            **self._tensorboard(),
        ) as cluster:
            cluster.train(data, self.getEpochs() or EPOCHS_OF_0, self._feed_timeout)
            cluster.shutdown(grace_secs=self.getGraceSecs())
        return self._copyValues(TFModel(self.args))

    def _tensorboard(self) -> dict[str, Any]:
        """Gives the options, with a folder for TensorBoard: event files of Keras' callback lie in that of the model."""
        options = {"tensorboard": self.getTensorboard(), **self._run_options}
        if self.getTensorboard() and not options.get("log_dir"):
            options["log_dir"] = getattr(self.args, "log_dir", None) or self.getModelDir()
        return options


def _checked(run_options: dict[str, Any]) -> dict[str, Any]:
    known = set(inspect.signature(TFCluster.run).parameters) - {"sc", "map_fun", "tf_args", *_BY_PARAMS}
    for name in run_options:
        if name not in known:
            by_param = f"it is a Param: {_BY_PARAMS[name]}(...)" if name in _BY_PARAMS else None
            raise ConfigError(
                f"TFEstimator has no option {name!r}",
                hint=by_param or did_you_mean(name, known, f"it has {', '.join(sorted(known))}"),
            )
    return run_options
