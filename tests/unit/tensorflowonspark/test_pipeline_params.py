"""The Params of `TFEstimator` and `TFModel`: TensorFlowOnSpark's names, types and defaults."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from tfspark_cnn.errors import ConfigError, UnsupportedVersionError
from tfspark_cnn.tensorflowonspark import pipeline
from tfspark_cnn.tensorflowonspark.pipeline import Namespace, TFEstimator, TFModel

MIXINS = {
    "HasBatchSize": {"batch_size": "BatchSize"}, "HasClusterSize": {"cluster_size": "ClusterSize"},
    "HasEpochs": {"epochs": "Epochs"}, "HasGraceSecs": {"grace_secs": "GraceSecs"},
    "HasInputMapping": {"input_mapping": "InputMapping"}, "HasInputMode": {"input_mode": "InputMode"},
    "HasMasterNode": {"master_node": "MasterNode"}, "HasModelDir": {"model_dir": "ModelDir"},
    "HasNumPS": {"num_ps": "NumPS", "driver_ps_nodes": "DriverPSNodes"},
    "HasOutputMapping": {"output_mapping": "OutputMapping"}, "HasProtocol": {"protocol": "Protocol"},
    "HasReaders": {"readers": "Readers"}, "HasSteps": {"steps": "Steps"},
    "HasTensorboard": {"tensorboard": "Tensorboard"},
    "HasTFRecordDir": {"tfrecord_dir": "TFRecordDir"}, "HasExportDir": {"export_dir": "ExportDir"},
    "HasSignatureDefKey": {"signature_def_key": "SignatureDefKey"}, "HasTagSet": {"tag_set": "TagSet"},
}  # fmt: skip
VALUES: dict[str, Any] = {
    "batch_size": 7, "cluster_size": 7, "epochs": 7, "grace_secs": 7, "input_mode": 1, "num_ps": 7, "readers": 7,
    "steps": 7, "input_mapping": {"c": "t"}, "output_mapping": {"t": "c"}, "driver_ps_nodes": True, "tensorboard": True,
}  # fmt: skip
ESTIMATOR = {
    "input_mapping": {}, "cluster_size": 1, "num_ps": 0, "driver_ps_nodes": False, "input_mode": 1,
    "master_node": "chief", "protocol": "grpc", "tensorboard": False, "model_dir": None, "export_dir": None,
    "tfrecord_dir": None, "batch_size": 100, "epochs": 1, "readers": 1, "steps": 1000, "grace_secs": 30,
}  # fmt: skip
MODEL = {
    "input_mapping": {}, "output_mapping": {}, "batch_size": 100, "model_dir": None, "export_dir": None,
    "signature_def_key": None, "tag_set": None,
}  # fmt: skip


def train_fn(args: Any, ctx: Any) -> None:
    """Is not called here."""


def defaults(instance: Any) -> dict[str, Any]:
    return {param.name: instance.getOrDefault(param) for param in instance.params}


@pytest.mark.parametrize("mixin", MIXINS)
def test_each_mixin_has_its_params_with_setters_and_getters(mixin: str) -> None:
    has = getattr(pipeline, mixin)()
    assert {param.name for param in has.params} == set(MIXINS[mixin])
    for name, stem in MIXINS[mixin].items():
        value = VALUES.get(name, "text")
        assert getattr(has, f"set{stem}")(value) is has
        assert getattr(has, f"get{stem}")() == value and has.getOrDefault(name) == value
        assert has.getParam(name).doc


def test_defaults_are_those_of_tensorflowonspark() -> None:
    assert defaults(TFEstimator(train_fn, {})) == ESTIMATOR
    assert defaults(TFModel({})) == MODEL | {"keep_columns": False}
    assert pipeline.HasSignatureDefKey().getSignatureDefKey() is None


def test_there_are_eighteen_mixins_of_nineteen_params_and_one_of_our_own() -> None:
    names = {name for name in pipeline.__all__ if name.startswith("Has")}
    assert names == {*MIXINS, "HasKeepColumns"} and sum(map(len, MIXINS.values())) == 19


def test_values_of_other_types_are_refused() -> None:
    with pytest.raises(TypeError, match="input_mapping"):
        pipeline.HasInputMapping().setInputMapping([("a", "b")])  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="Could not convert"):
        pipeline.TFTypeConverters.toDict("a")
    with pytest.raises(ConfigError, match=r"InputMode.TENSORFLOW was given to an estimator(.|\n)*TFCluster.run"):
        TFEstimator(train_fn, {}).setInputMode(0)


def test_params_win_over_arguments_and_both_reach_train_fn() -> None:
    estimator = TFEstimator(train_fn, {"own": 1, "epochs": 9}).setSteps(5)
    merged = estimator.merge_args_params()
    assert (merged.own, merged.epochs, merged.steps, merged.readers) == (1, 1, 5, 1)
    assert estimator.args == Namespace({"own": 1, "epochs": 9}), "merging leaves them as they are"
    assert TFModel(["--x"]).merge_args_params().argv == ["--x"]


def test_a_copy_keeps_arguments_and_has_its_own_params() -> None:
    estimator = TFEstimator(train_fn, {"own": 1})
    changed = estimator.copy({estimator.epochs: 4})
    assert (changed.getEpochs(), estimator.getEpochs(), changed.args.own, changed.train_fn) == (4, 1, 1, train_fn)


def test_options_of_the_cluster_are_checked_at_once() -> None:
    TFEstimator(train_fn, {}, feed_timeout=60, reservation_timeout=60, log_dir="logs", max_restarts=2, cache="disk")
    with pytest.raises(ConfigError, match=r"no option 'max_restart'\n.*'max_restarts'"):
        TFEstimator(train_fn, {}, max_restart=2)
    with pytest.raises(ConfigError, match=r"no option 'num_executors'\n.*setClusterSize"):
        TFEstimator(train_fn, {}, num_executors=2)


def test_tensorboard_gets_a_folder() -> None:
    estimator = TFEstimator(train_fn, {}).setTensorboard(True).setModelDir("model")
    assert estimator._tensorboard() == {"tensorboard": True, "log_dir": "model"}
    assert TFEstimator(train_fn, {"log_dir": "own"}).setTensorboard(True)._tensorboard()["log_dir"] == "own"
    assert TFEstimator(train_fn, {}, log_dir="of run").setTensorboard(True)._tensorboard()["log_dir"] == "of run"
    assert TFEstimator(train_fn, {})._tensorboard() == {"tensorboard": False}


def test_what_belongs_to_tensorflow_1_says_what_to_use() -> None:
    with pytest.raises(UnsupportedVersionError, match=r"export_fn(.|\n)*model.export"):
        TFEstimator(train_fn, {}, print).fit(None)  # type: ignore[arg-type]
    with pytest.raises(UnsupportedVersionError, match=r"tensorflow.contrib(.|\n)*tf.saved_model.load"):
        pipeline.get_meta_graph_def("folder", "serve")


def test_batches_by_column_end_short_and_bytearrays_are_bytes() -> None:
    rows = [(n, bytearray(b"%d" % n), "left out") for n in range(5)]
    batches = list(pipeline.yield_batch([*rows, None, (9, b"")], 2, num_tensors=2))
    assert batches == [[[0, 1], [b"0", b"1"]], [[2, 3], [b"2", b"3"]], [[4], [b"4"]]]
    assert {type(value) for _, values in batches for value in values} == {bytes}
    assert list(pipeline.yield_batch([], 2)) == []


@pytest.mark.parametrize(
    ("args", "argv", "prepared", "gpus"),
    [
        (["program", "--x"], ["program", "--x"], True, None),
        (Namespace(["program", "--y"]), ["program", "--y"], True, None),
        (Namespace({"num_gpus": 1}), ["as before"], True, None),
        (Namespace({"num_gpus": 0}), ["as before"], False, []),
    ],
)
def test_a_task_on_its_own_gets_its_arguments_and_its_gpus(
    monkeypatch: pytest.MonkeyPatch, args: Any, argv: Any, prepared: bool, gpus: Any
) -> None:
    said: dict[str, Any] = {}
    monkeypatch.setattr("sys.argv", ["as before"])
    monkeypatch.setattr(pipeline.worker_tensorflow, "prepare", lambda: said.update(prepared=True))
    monkeypatch.setattr(pipeline.env, "use_gpus", lambda addresses: said.update(gpus=addresses))
    pipeline.single_node_env(args)
    assert sys.argv == argv
    assert (said.get("prepared", False), said.get("gpus")) == (prepared, gpus)
