"""What `test_models` asks of every network, in a process of its own: `python network_checks.py` prints it as JSON.

Also the functions that its nodes run.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import numpy as np

CIFAR, IMAGENET = ((32, 32, 3), 10), ((224, 224, 3), 1000)
PAPERS = {
    "small_cnn": ((28, 28, 1), 10), "lenet5": ((32, 32, 1), 10),
    "resnet20": CIFAR, "resnet32": CIFAR, "resnet56": CIFAR,
    "resnet18": IMAGENET, "resnet34": IMAGENET, "resnet50": IMAGENET, "vgg11": IMAGENET, "vgg16": IMAGENET,
    "mobilenet_v2": IMAGENET, "efficientnet_b0": IMAGENET,
}  # fmt: skip
THE_SAME = {
    "resnet50": "ResNet50", "vgg16": "VGG16", "mobilenet_v2": "MobileNetV2", "efficientnet_b0": "EfficientNetB0"
}  # fmt: skip
SMALL, CLASSES = (32, 32, 3), 4


def everything() -> dict[str, dict[str, object]]:
    """Gives what is found of each network, by name, and what Keras has, by `keras`."""
    import inspect

    import keras

    from tfspark_cnn.models import registry

    found: dict[str, dict[str, object]] = {}
    for name, (shape, classes) in PAPERS.items():
        builder = registry._builder(name)
        model = registry.build(name, input_shape=shape, classes=classes)
        known = set(inspect.signature(builder).parameters) - {"input_shape", "classes"}
        found[name] = {
            "parameters": sorted(known), "output": model.output_shape, "dtype": model.outputs[0].dtype,
            "weights": _weights(model), "decayed": _decayed(model), "kept": _is_kept(name),
        }  # fmt: skip
        if name in THE_SAME:
            theirs = getattr(keras.applications, THE_SAME[name])(weights=None)
            found[name]["theirs"] = _weights(theirs, biases_of_normalized=name != "resnet50")
    found["keras"] = {"applications": sorted(one for one in dir(keras.applications) if one[0].isupper())}
    found["asked"] = _asked()
    found["supervised"] = _supervised()
    return found


def _supervised():
    """Gives the learning rates of schedules by step, what decays, and what a network for numbers ends in."""
    import tensorflow as tf

    from tfspark_cnn.config import ModelConfig, TrainConfig
    from tfspark_cnn.training.supervised import Supervised, learning_rate

    def rates(**settings):
        rate = learning_rate(TrainConfig(learning_rate=0.8, epochs=4, **settings), 10)
        return [rate] * 42 if isinstance(rate, float) else [float(rate(step)) for step in range(42)]

    def compiled(classes=CLASSES, name="resnet20", **settings):
        supervised = Supervised(ModelConfig(name), TrainConfig(**settings), SMALL, classes=classes)
        return supervised.compiled(tf.distribute.get_strategy())

    decayed = compiled(weight_decay=0.01, optimizer="sgd", momentum=0.9).optimizer
    number = compiled(classes=None, name="small_cnn")
    weights = compiled().trainable_variables
    return {
        "rates": {
            "none": rates(), "cosine": rates(schedule="cosine"), "warm-up": rates(warmup_epochs=1.0),
            "both": rates(schedule="cosine", warmup_epochs=0.5),
        },
        "sgd": [decayed.weight_decay, decayed.momentum],
        "decayed": sorted({one.name for one in weights if decayed._use_weight_decay(one)}),
        "not decayed": sorted({one.name for one in weights if not decayed._use_weight_decay(one)}),
        "number": [number.loss.name, number.output_shape[1], number.layers[-1].activation.__name__],
        "losses": [compiled(**how).loss.name for how in ({}, {"label_smoothing": 0.1}, {"augmentation": "flip"})],
    }  # fmt: skip


def _asked():
    """Gives what `build` and `register` answer: an error's text, or the shape of the network."""
    import keras

    from tfspark_cnn.models import registry

    def shape_of(name, shape=SMALL, classes=CLASSES, **parameters):
        return str(registry.build(name, input_shape=shape, classes=classes, **parameters).output_shape)

    def registered():
        registry.register("mine", own_network)
        registry.register("mine", own_network)
        return f"{shape_of('mine', width=3)} {'mine' in registry.names()}"

    def mistaken():
        registry.register("mistaken", lambda *, input_shape, classes: len(classes))
        try:
            return shape_of("mistaken")
        except TypeError as error:
            return f"TypeError: {error}"

    with tempfile.TemporaryDirectory() as folder:
        weights = str(Path(folder, "of.weights.h5"))
        saved = registry.build("MobileNetV3Small", input_shape=SMALL, classes=CLASSES)
        saved.save_weights(weights)
        asks = {
            "typo": lambda: shape_of("resnet21"),
            "parameter": lambda: shape_of("vgg11", hiden=3),
            "parameter of keras": lambda: shape_of("MobileNet", alfa=0.5),
            "value of a parameter": lambda: shape_of("small_cnn", filters="abc"),
            "shape": lambda: shape_of("vgg11", shape=(8, 8, 3)),
            "shape of keras": lambda: shape_of("InceptionV3"),
            "two numbers": lambda: shape_of("lenet5", shape=(32, 32)),
            "no classes": lambda: shape_of("lenet5", classes=0),
            "own": lambda: shape_of("network_checks:own_network", width=2),
            "own, misspelt": lambda: shape_of("network_checks:own_netwrok"),
            "own, elsewhere": lambda: shape_of("nowhere.nets:shelves"),
            "registered": registered,
            "registered, with a mistake in it": mistaken,
            "registered twice": lambda: registry.register("lenet5", own_network),
            "weights": lambda: str(_same(saved, registry.build(
                "MobileNetV3Small", input_shape=SMALL, classes=CLASSES, weights=weights))),
            "no weights": lambda: shape_of("MobileNetV3Small", weights="/nowhere/a.weights.h5"),
            "weights of another": lambda: shape_of("MobileNetV2", weights=weights),
            "weights of other classes": lambda: shape_of("MobileNetV3Small", classes=7, weights=weights),
        }  # fmt: skip
        answers = {name: _answer(ask) for name, ask in asks.items()}
    keras.utils.clear_session()
    return answers


def _answer(ask):
    from tfspark_cnn.errors import TFSparkError

    try:
        return ask()
    except TFSparkError as error:
        return f"{type(error).__name__}: {error}"


def _same(one, other):
    return all(np.array_equal(a, b) for a, b in zip(one.get_weights(), other.get_weights(), strict=True))


def _weights(model, biases_of_normalized=True):
    """Counts trained weights, without biases that BatchNormalization takes away, where asked."""
    import keras

    convolutions = [layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D)]
    biases = 0 if biases_of_normalized else sum(layer.filters for layer in convolutions if layer.use_bias)
    return sum(int(np.prod(variable.shape)) for variable in model.trainable_variables) - biases


def _decayed(model):
    """Gives how many layers have weight decay, and the sum of the factors' kinds."""
    found = [getattr(layer, "kernel_regularizer", None) for layer in model.layers]
    factors = {round(float(one.l2), 8) for one in found if one is not None}
    return [sum(one is not None for one in found), sorted(factors)]


def _is_kept(name):
    """Tells whether a network that was saved is read back by Keras alone, and says the same."""
    import keras

    from tfspark_cnn.models import registry

    model = registry.build(name, input_shape=SMALL, classes=CLASSES)
    x = np.random.default_rng(0).random((2, *SMALL), np.float32)
    with tempfile.TemporaryDirectory() as folder:
        model.save(Path(folder, "model.keras"))
        read = keras.models.load_model(Path(folder, "model.keras"))
    before, after = (np.asarray(one(x, training=False)) for one in (model, read))
    return bool(np.array_equal(before, after)) and bool(np.allclose(before.sum(axis=-1), 1, atol=1e-5))


def two_steps(args, ctx):
    """Trains each network for two steps on this node's rows; gives losses and the sum of the weights, by name."""
    import keras
    import tensorflow as tf

    from tfspark_cnn.models import registry
    from tfspark_cnn.training.keras_fit import own_share

    # Two steps are over before a graph that was made faster has paid for it.
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})
    strategy, found = ctx.strategy(), {}
    random = np.random.default_rng(ctx.executor_id)
    x, y = random.random((8, *SMALL), np.float32), random.integers(0, CLASSES, 8)
    for name in args["names"]:
        keras.utils.set_random_seed(1)
        with strategy.scope():
            model = registry.build(name, input_shape=SMALL, classes=CLASSES)
            eager = name in args["eager"]
            model.compile(keras.optimizers.SGD(1e-3), "sparse_categorical_crossentropy", run_eagerly=eager)
        before = _sum(model)
        rows = own_share(tf.data.Dataset.from_tensor_slices((x, y)).batch(4))
        history = model.fit(rows, epochs=1, verbose=0)
        found[name] = {"loss": history.history["loss"][0], "moved": _sum(model) - before, "sum": _sum(model)}
        keras.utils.clear_session(free_memory=True)
    return found


def _sum(model):
    return float(sum(np.abs(value).sum(dtype=np.float64) for value in model.get_weights()))


def own_network(*, input_shape, classes, width=4):
    """A network of a user's own."""
    import keras

    return keras.Sequential(
        [keras.Input(input_shape), keras.layers.Flatten(), keras.layers.Dense(width), keras.layers.Dense(classes)]
    )


if __name__ == "__main__":
    print(json.dumps(everything()))
