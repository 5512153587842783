"""Calls of Keras' `fit` and `evaluate` on models over several nodes, as the `Pace` of their strategy has to know them.

Each function makes of one of Keras' own (`keras_fit.Replacement`) one that tells the pace, and changes nothing else.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from tfspark_cnn.training.keras_gradients import is_multi_worker
from tfspark_cnn.training.pace import COUNTED, Pace, pace_of

FIT = (
    "self", "x", "y", "batch_size", "epochs", "verbose", "callbacks", "validation_split", "validation_data", "shuffle",
    "class_weight", "sample_weight", "initial_epoch", "steps_per_epoch", "validation_steps", "validation_batch_size",
    "validation_freq",
)  # fmt: skip
EVALUATE = (
    "self", "x", "y", "batch_size", "verbose", "sample_weight", "steps", "callbacks", "return_dict", "kwargs",
)  # fmt: skip
"""Parameters of what is replaced."""


def tell_fit(original: Callable[..., Any]) -> Callable[..., Any]:
    """Replaces `TensorFlowTrainer.fit`: the pace knows when it begins, ends, and how."""

    @functools.wraps(original)
    def fit(self: Any, *args: Any, **kwargs: Any) -> Any:
        epoch = kwargs.get("initial_epoch") or 0
        return _told(pace_of_model(self), "fit", lambda: original(self, *args, **kwargs), epoch=epoch)

    return fit


def tell_evaluate(original: Callable[..., Any]) -> Callable[..., Any]:
    """Replaces `TensorFlowTrainer.evaluate`, likewise; that of `fit` is part of the fit."""

    @functools.wraps(original)
    def evaluate(self: Any, *args: Any, **kwargs: Any) -> Any:
        return _told(pace_of_model(self), "evaluate", lambda: original(self, *args, **kwargs))

    return evaluate


def watched(step: Callable[[Any], Any], model: Any) -> Callable[[Any], Any]:
    """Wraps a step of a model, so that the pace sees the loss of a `train_step`. XLA compiles no clock: not there."""
    pace = pace_of_model(model)
    if pace is None:
        return step

    @functools.wraps(step)
    def watch(data: Any) -> Any:
        token = COUNTED.set(not model.jit_compile)
        try:
            logs = step(data)
            if getattr(step, "__name__", "") == "train_step":
                pace.watch_loss(logs)
            return logs
        finally:
            COUNTED.reset(token)

    return watch


def pace_of_model(model: Any) -> Pace | None:
    """Gives the pace of the model's strategy, if it was made under one of several workers that has one."""
    return pace_of_strategy(model.distribute_strategy)


def pace_of_strategy(strategy: Any) -> Pace | None:
    """Gives the pace of a strategy of several workers, or None."""
    return pace_of(strategy) if is_multi_worker(strategy) else None


def _told(pace: Pace | None, what: str, call: Callable[[], Any], *, epoch: int = 0) -> Any:
    if pace is None or pace.inside:
        return call()
    pace.enter(what, epoch=epoch)
    try:
        result = call()
    except BaseException as error:
        pace.leave(error)
        raise
    pace.leave(None)
    return result
