"""The Params of `TFEstimator` and `TFModel`, each with the class that TensorFlowOnSpark has it in."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, Self

from pyspark.ml.param import Param, Params, TypeConverters

from tfspark_cnn.cluster.tf_cluster import InputMode
from tfspark_cnn.errors import ConfigError
from tfspark_cnn.tensorflowonspark.namespace import Namespace


class TFTypeConverters:
    """What Spark's TypeConverters do not have."""

    @staticmethod
    def toDict(value: Any) -> dict[Any, Any]:  # noqa: N802  Spark's way to name them
        """Gives a dict as it is.

        Raises:
            TypeError: it is none.
        """
        if type(value) is dict:
            return value
        raise TypeError(f"Could not convert {value} to a dict")


def _param(name: str, doc: str, converter: Callable[[Any], Any]) -> Any:
    return Param(Params._dummy(), name, doc, converter)


class HasBatchSize(Params):
    """Has batch_size."""

    batch_size: Param[int] = _param("batch_size", "rows of a batch", TypeConverters.toInt)

    def setBatchSize(self, value: int) -> Self:
        """Sets batch_size."""
        return self._set(batch_size=value)

    def getBatchSize(self) -> int:
        """Gives batch_size."""
        return self.getOrDefault(self.batch_size)


class HasClusterSize(Params):
    """Has cluster_size."""

    cluster_size: Param[int] = _param("cluster_size", "nodes of the cluster, of every role", TypeConverters.toInt)

    def setClusterSize(self, value: int) -> Self:
        """Sets cluster_size."""
        return self._set(cluster_size=value)

    def getClusterSize(self) -> int:
        """Gives cluster_size."""
        return self.getOrDefault(self.cluster_size)


class HasEpochs(Params):
    """Has epochs."""

    epochs: Param[int] = _param(
        "epochs", "how often each row is trained on; 0 is ten times, as ever", TypeConverters.toInt
    )

    def setEpochs(self, value: int) -> Self:
        """Sets epochs."""
        return self._set(epochs=value)

    def getEpochs(self) -> int:
        """Gives epochs."""
        return self.getOrDefault(self.epochs)


class HasGraceSecs(Params):
    """Has grace_secs."""

    grace_secs: Param[int] = _param(
        "grace_secs", "accepted and not needed: nodes are waited for until they return", TypeConverters.toInt
    )

    def setGraceSecs(self, value: int) -> Self:
        """Sets grace_secs."""
        return self._set(grace_secs=value)

    def getGraceSecs(self) -> int:
        """Gives grace_secs."""
        return self.getOrDefault(self.grace_secs)


class HasInputMapping(Params):
    """Has input_mapping."""

    input_mapping: Param[dict[str, str]] = _param(
        "input_mapping", "column to the tensor that it becomes", TFTypeConverters.toDict
    )

    def setInputMapping(self, value: dict[str, str]) -> Self:
        """Sets input_mapping."""
        return self._set(input_mapping=value)

    def getInputMapping(self) -> dict[str, str]:
        """Gives input_mapping."""
        return self.getOrDefault(self.input_mapping)


class HasInputMode(Params):
    """Has input_mode."""

    input_mode: Param[int] = _param(
        "input_mode", "0 is TENSORFLOW, which a DataFrame cannot be fed in; 1 is SPARK", TypeConverters.toInt
    )

    def setInputMode(self, value: int) -> Self:
        """Sets input_mode.

        Raises:
            ConfigError: it is TENSORFLOW.
        """
        if value == InputMode.TENSORFLOW:
            raise ConfigError(
                "InputMode.TENSORFLOW was given to an estimator, whose fit gets a DataFrame; expected InputMode.SPARK",
                hint="let train_fn read files itself: TFCluster.run(..., input_mode=InputMode.TENSORFLOW)",
            )
        return self._set(input_mode=value)

    def getInputMode(self) -> int:
        """Gives input_mode."""
        return self.getOrDefault(self.input_mode)


class HasMasterNode(Params):
    """Has master_node."""

    master_node: Param[str] = _param("master_node", "role of the node that leads, as chief", TypeConverters.toString)

    def setMasterNode(self, value: str) -> Self:
        """Sets master_node."""
        return self._set(master_node=value)

    def getMasterNode(self) -> str:
        """Gives master_node."""
        return self.getOrDefault(self.master_node)


class HasModelDir(Params):
    """Has model_dir."""

    model_dir: Param[str] = _param("model_dir", "where checkpoints go", TypeConverters.toString)

    def setModelDir(self, value: str) -> Self:
        """Sets model_dir."""
        return self._set(model_dir=value)

    def getModelDir(self) -> str:
        """Gives model_dir."""
        return self.getOrDefault(self.model_dir)


class HasNumPS(Params):
    """Has num_ps and driver_ps_nodes."""

    num_ps: Param[int] = _param("num_ps", "how many of the nodes are parameter servers", TypeConverters.toInt)
    driver_ps_nodes: Param[bool] = _param(
        "driver_ps_nodes", "whether these run on the host of the driver", TypeConverters.toBoolean
    )

    def setNumPS(self, value: int) -> Self:
        """Sets num_ps."""
        return self._set(num_ps=value)

    def getNumPS(self) -> int:
        """Gives num_ps."""
        return self.getOrDefault(self.num_ps)

    def setDriverPSNodes(self, value: bool) -> Self:
        """Sets driver_ps_nodes."""
        return self._set(driver_ps_nodes=value)

    def getDriverPSNodes(self) -> bool:
        """Gives driver_ps_nodes."""
        return self.getOrDefault(self.driver_ps_nodes)


class HasOutputMapping(Params):
    """Has output_mapping."""

    output_mapping: Param[dict[str, str]] = _param(
        "output_mapping", "output tensor to the column that it becomes", TFTypeConverters.toDict
    )

    def setOutputMapping(self, value: dict[str, str]) -> Self:
        """Sets output_mapping."""
        return self._set(output_mapping=value)

    def getOutputMapping(self) -> dict[str, str]:
        """Gives output_mapping."""
        return self.getOrDefault(self.output_mapping)


class HasProtocol(Params):
    """Has protocol."""

    protocol: Param[str] = _param(
        "protocol", "of TensorFlow between nodes; grpc is what there is", TypeConverters.toString
    )

    def setProtocol(self, value: str) -> Self:
        """Sets protocol."""
        return self._set(protocol=value)

    def getProtocol(self) -> str:
        """Gives protocol."""
        return self.getOrDefault(self.protocol)


class HasReaders(Params):
    """Has readers."""

    readers: Param[int] = _param("readers", "for train_fn alone: how many threads it reads with", TypeConverters.toInt)

    def setReaders(self, value: int) -> Self:
        """Sets readers."""
        return self._set(readers=value)

    def getReaders(self) -> int:
        """Gives readers."""
        return self.getOrDefault(self.readers)


class HasSteps(Params):
    """Has steps."""

    steps: Param[int] = _param("steps", "for train_fn alone: how many steps it takes at most", TypeConverters.toInt)

    def setSteps(self, value: int) -> Self:
        """Sets steps."""
        return self._set(steps=value)

    def getSteps(self) -> int:
        """Gives steps."""
        return self.getOrDefault(self.steps)


class HasTensorboard(Params):
    """Has tensorboard."""

    tensorboard: Param[bool] = _param(
        "tensorboard", "whether to start TensorBoard on log_dir, or on model_dir without one", TypeConverters.toBoolean
    )

    def setTensorboard(self, value: bool) -> Self:
        """Sets tensorboard."""
        return self._set(tensorboard=value)

    def getTensorboard(self) -> bool:
        """Gives tensorboard."""
        return self.getOrDefault(self.tensorboard)


class HasTFRecordDir(Params):
    """Has tfrecord_dir."""

    tfrecord_dir: Param[str] = _param(
        "tfrecord_dir", "for train_fn alone: a folder of TFRecord files", TypeConverters.toString
    )

    def setTFRecordDir(self, value: str) -> Self:
        """Sets tfrecord_dir."""
        return self._set(tfrecord_dir=value)

    def getTFRecordDir(self) -> str:
        """Gives tfrecord_dir."""
        return self.getOrDefault(self.tfrecord_dir)


class HasExportDir(Params):
    """Has export_dir."""

    export_dir: Param[str] = _param("export_dir", "folder or URI of the SavedModel", TypeConverters.toString)

    def setExportDir(self, value: str) -> Self:
        """Sets export_dir."""
        return self._set(export_dir=value)

    def getExportDir(self) -> str:
        """Gives export_dir."""
        return self.getOrDefault(self.export_dir)


class HasSignatureDefKey(Params):
    """Has signature_def_key."""

    signature_def_key: Param[str] = _param(
        "signature_def_key",
        "the signature of the SavedModel; None: serving_default, or the only one",
        TypeConverters.toString,
    )

    def __init__(self) -> None:
        super().__init__()
        self._setDefault(signature_def_key=None)

    def setSignatureDefKey(self, value: str) -> Self:
        """Sets signature_def_key."""
        return self._set(signature_def_key=value)

    def getSignatureDefKey(self) -> str:
        """Gives signature_def_key."""
        return self.getOrDefault(self.signature_def_key)


class HasTagSet(Params):
    """Has tag_set."""

    tag_set: Param[str] = _param(
        "tag_set",
        "tags of the graph in the SavedModel, with commas between; None: serve, or the only one",
        TypeConverters.toString,
    )

    def setTagSet(self, value: str) -> Self:
        """Sets tag_set."""
        return self._set(tag_set=value)

    def getTagSet(self) -> str:
        """Gives tag_set."""
        return self.getOrDefault(self.tag_set)


class HasKeepColumns(Params):
    """Has keep_columns (not in TensorFlowOnSpark)."""

    keep_columns: Param[bool] = _param(
        "keep_columns", "whether transform gives the columns of its input, too", TypeConverters.toBoolean
    )

    def setKeepColumns(self, value: bool) -> Self:
        """Sets keep_columns."""
        return self._set(keep_columns=value)

    def getKeepColumns(self) -> bool:
        """Gives keep_columns."""
        return self.getOrDefault(self.keep_columns)


class TFParams(Params):
    """Has the arguments of a program beside its Params.

    Attributes:
        args: the arguments.
    """

    args: Namespace

    def merge_args_params(self) -> Namespace:
        """Gives a copy of the arguments with all Params by name, which win."""
        merged = copy.copy(self.args)
        vars(merged).update({param.name: self.getOrDefault(param.name) for param in self.params})
        return merged
