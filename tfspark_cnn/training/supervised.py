"""A network as a configuration names it, with its optimizer, loss and metric; and its history in plain values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras

from tfspark_cnn import augmentation
from tfspark_cnn.config import ModelConfig, Schedule, TrainConfig
from tfspark_cnn.models import registry
from tfspark_cnn.training.augmentation import Augment

METRICS = {True: "accuracy", False: "mean_absolute_error"}
"""By whether labels are classes."""


@dataclass(frozen=True)
class Supervised:
    """What is trained on labels, and how.

    Attributes:
        model: the network's name and parameters.
        train: optimizer, learning rate, augmentation.
        image_shape: `(height, width, channels)`.
        classes: labels are 0 to `classes - 1`; None: they are numbers, and the network gives one.
        steps: of an epoch, where the learning rate has a schedule.
    """

    model: ModelConfig
    train: TrainConfig
    image_shape: tuple[int, int, int]
    classes: int | None
    steps: int | None = None

    def compiled(self, strategy: Any) -> keras.Model:
        """Gives the network, made under a strategy of TensorFlow, with its optimizer, loss and metric."""
        with strategy.scope():
            network = registry.build(
                self.model.name, input_shape=self.image_shape, classes=self.classes or 1, **self.model.parameters
            )
            if self.classes is None:
                _end_linearly(network)
            metric = METRICS[self.classes is not None]
            network.compile(optimizer=self._optimizer(), loss=self._loss(), metrics=[metric])
        return network

    def augment(self, *, training: bool) -> Augment | None:
        """Gives what makes of a batch what the network takes; None if that is the batch itself."""
        chosen = augmentation.parse(self.train.augmentation) if training else ()
        return Augment(chosen, self.classes) if chosen or self._in_parts else None

    @property
    def _in_parts(self) -> bool:
        """Whether labels are parts of all classes, not the number of one."""
        return self.classes is not None and bool(self.train.augmentation or self.train.label_smoothing)

    def _loss(self) -> keras.losses.Loss:
        if self.classes is None:
            return keras.losses.MeanSquaredError()
        if self._in_parts:
            return keras.losses.CategoricalCrossentropy(label_smoothing=self.train.label_smoothing)
        return keras.losses.SparseCategoricalCrossentropy()

    def _optimizer(self) -> keras.optimizers.Optimizer:
        train = self.train
        given = {"momentum": train.momentum, "weight_decay": train.weight_decay}  # 0 is not: adamw has its own
        config = {"learning_rate": learning_rate(train, self.steps)} | {k: v for k, v in given.items() if v}
        made = keras.optimizers.get({"class_name": train.optimizer, "config": config})
        if train.weight_decay:
            made.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
        return made


def _end_linearly(network: keras.Model) -> None:
    """Takes the softmax of a classifier away: of a single output it would be 1 whatever the image is."""
    last = network.layers[-1]
    if getattr(last, "activation", None) is keras.activations.softmax:
        last.activation = keras.activations.linear


def learning_rate(train: TrainConfig, steps: int | None) -> Any:
    """Gives the learning rate, or its schedule over all steps.

    Args:
        train: the highest rate, its warm-up and schedule.
        steps: of an epoch; needed where there is a schedule.
    """
    if not train.scheduled:
        return train.learning_rate
    assert steps is not None, "the rows have been counted"
    warmup = round(train.warmup_epochs * steps)
    return keras.optimizers.schedules.CosineDecay(
        0.0 if warmup else train.learning_rate,
        max(1, train.epochs * steps - warmup),
        alpha=0.0 if train.schedule == Schedule.COSINE else 1.0,  # a cosine down to 1 is none
        warmup_target=train.learning_rate if warmup else None,
        warmup_steps=warmup,
    )


def plain(history: Mapping[str, Sequence[Any]]) -> dict[str, list[float]]:
    """Gives a Keras history, metric to its values by epoch, as Python numbers."""
    return {name: [float(value) for value in values] for name, values in history.items()}
