"""Rows and networks of the scenarios of `test_keras_fit_parity`. TensorFlow is imported only inside of functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

FEATURES = 6
CLASSES = 3
OVERFLOWS = 24  # the first row of the second even step, which worker 0 has; infinite as float16
TWO_OUTPUTS = ("dense_two", "dense_one")


def rows(count: int, model: str, seed: int) -> tuple[Any, Any, Any]:
    """Gives x float32[count, 6], y int64[count] that depends on x, weights float32[count]; other shapes by model."""
    random = np.random.default_rng(seed)
    x = random.normal(size=(count, FEATURES)).astype(np.float32)
    y = np.argmax(x[:, :CLASSES] + 0.3 * random.normal(size=(count, CLASSES)), axis=1).astype(np.int64)
    weight = random.uniform(0.2, 2.0, size=count).astype(np.float32)
    if model == "float16_overflow" and seed == 1:
        x[OVERFLOWS] = 1e30
    if model == "two_outputs":
        return {"left": x[:, :4], "right": x[:, 4:]}, (x[:, :1], x[:, 1:3]), weight
    if model in ("convolution", "batch_normalisation"):
        return x.reshape(count, 3, 2, 1).repeat(2, axis=1).repeat(3, axis=2), y, weight
    if model == "embedding":
        return random.integers(0, 10, size=(count, 2)).astype(np.int32), y, weight
    return x, y, weight


def functional(**dense: Any) -> Any:
    """A Functional network with one hidden layer."""
    import keras

    inputs = keras.Input((FEATURES,))
    hidden = keras.layers.Dense(8, activation="tanh", **dense)(inputs)
    return keras.Model(inputs, keras.layers.Dense(CLASSES, activation="softmax", dtype="float32")(hidden))


def _regularised() -> Any:
    return functional(
        kernel_regularizer="l2", bias_regularizer="l1", activity_regularizer="l2", kernel_constraint="max_norm"
    )


def _subclassed() -> Any:
    import keras

    class Subclassed(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.hidden = keras.layers.Dense(8, activation="tanh")
            self.probabilities = keras.layers.Dense(CLASSES, activation="softmax")

        def call(self, x: Any) -> Any:
            return self.probabilities(self.hidden(x))

    return Subclassed()


def _custom_step() -> Any:
    import keras
    import tensorflow as tf

    class CustomStep(keras.Model):
        def train_step(self, data: Any) -> Any:
            x, y = data
            with tf.GradientTape() as tape:
                loss = self.compute_loss(x=x, y=y, y_pred=self(x, training=True))
            gradients = tape.gradient(loss, self.trainable_variables)
            self.optimizer.apply_gradients(zip(gradients, self.trainable_variables, strict=True))
            return self.compute_metrics(x, y, self(x, training=False))

    plain = functional()
    return CustomStep(plain.inputs, plain.outputs)


def _two_outputs() -> Any:
    import keras

    left, right = keras.Input((4,), name="left"), keras.Input((2,), name="right")
    both = keras.layers.Concatenate()([left, right])
    outputs = [keras.layers.Dense(width, name=name)(both) for width, name in zip((1, 2), TWO_OUTPUTS, strict=True)]
    return keras.Model({"left": left, "right": right}, outputs)


def _images(*behind: Any) -> Any:
    import keras

    return keras.Sequential(
        [
            keras.Input((6, 6, 1)),
            keras.layers.Conv2D(4, 3, activation="relu"),
            *behind,
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(CLASSES, activation="softmax"),
        ]
    )


def _batch_normalisation() -> Any:
    import keras
    import tensorflow as tf

    # Plain in one process: that is what the synchronised one on several nodes has to equal.
    several = tf.distribute.has_strategy()
    return _images(keras.layers.BatchNormalization(momentum=0.8, synchronized=several))


def _embedding() -> Any:
    import keras

    layers = [keras.layers.Embedding(10, 4), keras.layers.Flatten()]
    return keras.Sequential([*layers, keras.layers.Dense(CLASSES, activation="softmax")])


def _with_policy(policy: str) -> Any:
    import keras

    keras.config.set_dtype_policy(policy)
    try:
        return functional()
    finally:
        keras.config.set_dtype_policy("float32")


MODELS: dict[str, Callable[[], Any]] = {
    "functional": functional,
    "regularised": _regularised,
    "subclassed": _subclassed,
    "custom_step": _custom_step,
    "two_outputs": _two_outputs,
    "convolution": _images,
    "batch_normalisation": _batch_normalisation,
    "embedding": _embedding,
    "float16": lambda: _with_policy("mixed_float16"),
    "float16_overflow": lambda: _with_policy("mixed_float16"),
    "bfloat16": lambda: _with_policy("mixed_bfloat16"),
}
