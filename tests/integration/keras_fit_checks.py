"""Processes of `test_keras_fit_parity` on their own: checks before the strategy, and Keras 2."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any, ClassVar

import numpy as np


def strategies(cases: tuple[tuple[int, bool], ...]) -> list[str]:
    """Asks for strategies of so many workers, one after another, some of them after other use of TensorFlow.

    Returns:
        The class and message of what each raises, or its number of replicas and Keras' policy then.
    """
    return [_strategy(workers, warm_up) for workers, warm_up in cases]


def _strategy(workers: int, warm_up: bool) -> str:
    import keras
    import tensorflow as tf

    from tfspark_cnn.cluster.strategy_options import StrategyOptions
    from tfspark_cnn.training.strategy import multi_worker_mirrored

    if warm_up:
        tf.constant(1.0) + 1.0
    options = StrategyOptions(precision="mixed_bfloat16")
    try:
        strategy = multi_worker_mirrored(num_workers=workers, local_gpus=0, node="worker:0", options=options)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return f"{strategy.num_replicas_in_sync} {keras.config.dtype_policy().name}"


def job(precision: str) -> dict[str, Any]:
    """Runs the job of the command line as the only worker, and gives what it says and in what the saved network is."""
    import keras
    import tensorflow as tf

    from tfspark_cnn import config
    from tfspark_cnn.cluster.strategy_options import StrategyOptions
    from tfspark_cnn.data.task import ClassificationTask
    from tfspark_cnn.training import job
    from tfspark_cnn.training.strategy import multi_worker_mirrored

    images, labels = np.random.default_rng(0).random((32, 8, 8, 1), dtype=np.float32), np.arange(32) % 10

    class Context:
        is_chief, job_name, task_index = True, "chief", 0
        cluster_spec: ClassVar = {"chief": ["127.0.0.1:1"]}
        model_dir: str

        def strategy(self, *, precision: str | None = None) -> Any:
            options = StrategyOptions(precision=precision)
            return multi_worker_mirrored(num_workers=1, local_gpus=0, node="chief:0", options=options)

        def dataset(self, features: Any, label: Any = None, *, batch_size: int, augment: Any = None) -> Any:
            return tf.data.Dataset.from_tensor_slices((images, labels)).batch(batch_size)

        def callbacks(self, *own: Any, images: int, profile: Any) -> list[Any]:
            return list(own)

    settings = config.load(flags=("train.epochs=1", f"train.precision={precision}"))
    with tempfile.TemporaryDirectory() as Context.model_dir:
        said = job.run(ClassificationTask(settings, (8, 8, 1), 10, images, labels), Context())
        saved = keras.models.load_model(said["model"], compile=False)
    return {"loss": said["history"]["loss"], "layers": [layer.compute_dtype for layer in saved.layers]}


def legacy(workers: int) -> dict[str, Any]:
    """Fits with Keras 2, on this node's part of each batch; then alone, on all of it."""
    import tensorflow as tf

    from tfspark_cnn.training.callbacks import callbacks
    from tfspark_cnn.training.keras_fit import own_share
    from tfspark_cnn.training.legacy_keras import adapted
    from tfspark_cnn.training.strategy import multi_worker_mirrored

    strategy = multi_worker_mirrored(num_workers=workers, local_gpus=0, node="worker")
    me, x = strategy.cluster_resolver.task_id, np.random.default_rng(0).normal(size=(64, 4)).astype("float32")
    parts = x.reshape(4, workers, -1, 4)[:, me].reshape(-1, 4)
    with strategy.scope():
        together = _legacy_model()
    alone = _legacy_model()
    alone.set_weights(together.get_weights())
    batches = (tf.data.Dataset.from_tensor_slices((rows, rows[:, :1])).batch(len(rows) // 4) for rows in (parts, x))
    told: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        how: dict[str, Any] = {"is_chief": True, "log_dir": folder, "rows_trained": lambda: 0, "num_workers": workers}
        ours = adapted(callbacks(lambda **metrics: told.append(metrics), **how))
        fitted = [
            model.fit(own_share(batch), epochs=2, verbose=0, callbacks=ours).history
            for model, batch in zip((together, alone), batches, strict=True)
        ]
    return {
        "told": [one["loss"] for one in told if one["epoch_end"]],
        "keras": type(together).__module__,
        "history": fitted,
        "weights": [together.get_weights(), alone.get_weights()],
        "steps": int(together.optimizer.iterations.numpy()),
    }


def _legacy_model() -> Any:
    import tensorflow as tf

    layers = tf.keras.layers
    model = tf.keras.Sequential([layers.Input((4,)), layers.Dense(3, activation="tanh"), layers.Dense(1)])
    model.compile(tf.keras.optimizers.SGD(0.1, momentum=0.9, clipnorm=0.05), "mse")
    return model


def alone() -> tuple[dict[str, str], list[list[list[int]]]]:
    """Gives what `guard` and `split` give."""
    return guard(), split()


def guard() -> dict[str, str]:
    """Gives what `install` says to an old Keras, to one without a function, and to one where its parameters differ."""
    from unittest import mock

    import keras
    from keras.src.backend.tensorflow import trainer

    return {
        "version": _refusal(mock.patch.object(keras, "__version__", "3.14.2")),
        "missing": _refusal(_without(trainer, "reduce_per_replica")),
        "parameters": _refusal(mock.patch.object(trainer, "reduce_per_replica", lambda values: values)),
        "untouched": str(hasattr(trainer.TensorFlowTrainer._make_function, "__wrapped__")),
        "installed": _refusal(contextlib.nullcontext()),
        "again": _refusal(mock.patch.object(keras, "__version__", "3.14.2")),
    }


def _refusal(change: AbstractContextManager[Any]) -> str:
    from tfspark_cnn.errors import UnsupportedVersionError
    from tfspark_cnn.training.keras_fit import install

    with change:
        try:
            install()
        except UnsupportedVersionError as error:
            return str(error)
    return ""


@contextlib.contextmanager
def _without(owner: Any, name: str) -> Iterator[None]:
    original = getattr(owner, name)
    delattr(owner, name)
    try:
        yield
    finally:
        setattr(owner, name, original)


def split() -> list[list[list[int]]]:
    """Gives the parts, per batch, of rows 0..5 and 6 and 7..9 over two replicas."""
    import tensorflow as tf

    from tfspark_cnn.training.keras_fit import is_own_share, own_share, split_over_replicas

    batches = [np.arange(6), np.arange(6, 7), np.arange(7, 10)]
    spec = (tf.TensorSpec((None,), tf.int64), tf.TensorSpec((None,), tf.int64))
    share = own_share(tf.data.Dataset.from_generator(lambda: ((b, b) for b in batches), output_signature=spec))
    parts = split_over_replicas(share, 2)
    assert is_own_share(parts)
    # Nor does anything tune it: the end of an epoch would wait for that. What it costs: bench.fit_workers.
    assert share.options().autotune.enabled is False
    return [[x.tolist(), y.tolist()] for x, y in parts.as_numpy_iterator()]
