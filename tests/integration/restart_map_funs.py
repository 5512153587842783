"""What nodes run in the tests of restarts: `fit` with everything that must be saved, and nodes that die where told."""

from __future__ import annotations

import os
import signal
import threading
import time
from dataclasses import dataclass, field

from tfspark_cnn import Checkpoints

ROWS, EPOCHS, BATCH = 230, 4, 8
EVERY_STEPS = 4
WEIGHTS = [[1.0], [2.0], [3.0], [4.0]]


@dataclass(frozen=True)
class Death:
    """Where a node dies: in an attempt, at the n-th time that something happens; by a signal, or an exception."""

    attempt: int
    node: int
    where: str  # enter, dataset, batch, validation, save, epoch, end, leave
    count: int = 1
    how: str = "SIGKILL"


@dataclass(frozen=True)
class Plan:
    deaths: tuple[Death, ...] = ()
    epochs: int = EPOCHS
    every_steps: int | None = EVERY_STEPS
    fits: int = 1
    batch: int = BATCH
    units: int = 6
    own_data: bool = False
    slow_s: float = 0.0
    patience: int | None = None
    options: dict = field(default_factory=dict)


def die(death):
    if death.how == "executor":
        os.kill(_jvm(), signal.SIGKILL)
        time.sleep(600)  # the node ends when its executor is gone
    if death.how == "exception":
        raise ZeroDivisionError("the lens is dirty")
    os.kill(os.getpid(), getattr(signal, death.how))


def _jvm():
    """The executor: the JVM above our Spark task."""
    import psutil
    from family import ancestors

    return next(one.pid for one in ancestors(psutil.Process()) if one.name() == "java")


class Reaper:
    """Counts what happens on a node, and lets it die where the plan says."""

    def __init__(self, plan, ctx):
        self.mine = [d for d in plan.deaths if (d.attempt, d.node) == (ctx.attempt, ctx.executor_id)]
        self.seen = {}

    def at(self, where):
        self.seen[where] = self.seen.get(where, 0) + 1
        for death in self.mine:
            if (death.where, death.count) == (where, self.seen[where]):
                die(death)


def fit(plan, ctx):
    """Trains, and gives weights, optimizer's state, history, the rows taken by step, and the attempt."""
    reaper = Reaper(plan, ctx)
    reaper.at("enter")
    with ctx.strategy().scope():
        model = network(plan)
    found = {"history": [], "steps": []}
    train, validation = datasets(plan, ctx)
    reaper.at("dataset")
    for _ in range(plan.fits):
        history = model.fit(
            train,
            epochs=plan.epochs,
            validation_data=validation,
            verbose=0,
            callbacks=callbacks(plan, ctx, reaper, found["steps"]),
        )
        found["history"].append({name: [float(v) for v in values] for name, values in history.history.items()})
        found.setdefault("epochs", []).append(list(history.epoch))
    found["weights"] = [value.tolist() for value in model.get_weights()]
    found["optimizer"] = [variable.numpy().tolist() for variable in model.optimizer.variables]
    found["attempt"] = ctx.attempt
    reaper.at("end")
    if any(death.where == "leave" for death in reaper.mine):
        threading.Timer(0.2, reaper.at, args=("leave",)).start()
    return found


def network(plan):
    import keras

    keras.utils.set_random_seed(7)
    model = keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.Dense(plan.units, activation="relu", kernel_regularizer="l2"),
            keras.layers.BatchNormalization(),
            keras.layers.Dropout(0.2),
            keras.layers.Dense(1),
        ]
    )
    schedule = keras.optimizers.schedules.ExponentialDecay(0.01, 20, 0.9)
    model.compile(keras.optimizers.Adam(schedule), "mse", metrics=["mae"])
    return model


def datasets(plan, ctx):
    if not plan.own_data:
        return (
            ctx.dataset("x", "y", batch_size=plan.batch),
            ctx.dataset("x", "y", batch_size=plan.batch, name="validation", shuffle=False),
        )
    import numpy as np
    import tensorflow as tf

    from tfspark_cnn.training.keras_fit import own_share

    x = np.random.default_rng(ctx.executor_id).normal(size=(96, 4)).astype(np.float32)
    rows = tf.data.Dataset.from_tensor_slices((x, x.sum(1, keepdims=True))).batch(plan.batch)
    return own_share(rows), own_share(rows.take(2))


def callbacks(plan, ctx, reaper, steps):
    import keras

    class Hooks(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            steps.append(float(logs["loss"]))
            if plan.slow_s:
                time.sleep(plan.slow_s)  # what is tried: a step that takes long
            reaper.at("batch")

        def on_test_batch_end(self, batch, logs=None):
            reaper.at("validation")

        def on_epoch_end(self, epoch, logs=None):
            reaper.at("epoch")

    class AfterSaving(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if ctx._checkpoints._session.position.steps % EVERY_STEPS == 0:
                reaper.at("save")  # it was handed to the thread that writes just now

    stop = keras.callbacks.EarlyStopping(monitor="val_loss", patience=50, restore_best_weights=False)
    often = Checkpoints(every_steps=plan.every_steps, every_s=None, **plan.options)
    return [*ctx.callbacks(Hooks(), stop, checkpoints=often), AfterSaving()]


def fit_and_score(plan, ctx):
    """Trains on chief and worker, and scores their checkpoints on the evaluator."""
    if ctx.job_name != "evaluator":
        return fit(plan, ctx)
    import numpy as np

    x = np.random.default_rng(5).normal(size=(64, 4)).astype(np.float32)
    return ctx.evaluate_checkpoints(network(plan), (x, x @ WEIGHTS), monitor="mae", patience=plan.patience)


def load_best(model_dir, nowhere):
    """Prints the step of the best checkpoint, and what loading into another network or from elsewhere gives."""
    from tfspark_cnn.errors import CheckpointError
    from tfspark_cnn.training.evaluator import load_checkpoint

    print(load_checkpoint(network(Plan()), model_dir, which="best"))
    for plan, folder in ((Plan(units=5), model_dir), (Plan(), nowhere)):
        try:
            load_checkpoint(network(plan), folder)
        except CheckpointError as error:
            print(str(error).replace("\n", " "))
