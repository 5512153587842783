"""`fit` on two nodes of a cluster, fed from a DataFrame, against the same two processes started by hand.

Both sides train the small CNN of `conf/digits.toml` with as many rows in as many steps, on images so small that a step
is short: what a step costs beside its arithmetic counts most then. The other side is a hand-written loop over
`strategy.run` with its rows in NumPy arrays. Rounds of both take turns; whose turn it is not waits.

All epochs together include the first, which waits for Spark's job and shares the cores with it. Then the cost of what
this package adds to a step: the callbacks of `ctx.callbacks()` as Keras calls them, and weighing gradients by rows,
each alone and many times.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from bench import part
from bench.by_hand import by_hand
from bench.fit_network import BATCH_ROWS, ROWS, Speed, network, optimizer
from bench.part import Options
from bench.rounds import Ratio, interleaved, timed
from bench.rows import frame
from bench.spark import NODES, application
from tfspark_cnn import Column, InputMode, TFCluster

EPOCHS = 6
COSTS = 2_000
HAND = "two processes with TF_CONFIG and a loop over `strategy.run`"


@dataclass(frozen=True)
class Fit:
    """A map_fun that fits once for each call of `train`.

    Attributes:
        rounds: the costs are measured so often.
    """

    rounds: int

    def __call__(self, args: Any, ctx: Any) -> dict[str, Any]:
        """Gives the speed of each call, and the costs."""
        import keras

        with ctx.strategy().scope():
            model = network()
            model.compile(optimizer(), "sparse_categorical_crossentropy", metrics=["accuracy"])
        speeds = []
        for rows in ctx.stream(Column("image", shape=ROWS.shape), "label", batch_size=BATCH_ROWS):
            ends, steps = [time.perf_counter()], []
            clock = keras.callbacks.LambdaCallback(
                on_train_batch_end=lambda step, logs, steps=steps: steps.append(step),
                on_epoch_end=lambda epoch, logs, ends=ends: ends.append(time.perf_counter()),
            )
            model.fit(rows, epochs=ctx.num_epochs, callbacks=ctx.callbacks(clock), verbose=0)
            seconds = tuple(end - begin for begin, end in zip(ends, ends[1:], strict=False))
            speeds.append(Speed(len(steps) // len(seconds), seconds))
        costs = {"callbacks": lambda: _callbacks_us(model, ctx), "weighing": lambda: _weighing_us(model)}
        return {"speeds": speeds, "costs": interleaved(costs, rounds=self.rounds)}


def _callbacks_us(model: Any, ctx: Any) -> float:
    import keras

    ours = keras.callbacks.CallbackList(ctx.callbacks(), model=model, epochs=1)
    logs = {"loss": 0.5, "accuracy": 0.5}
    ours.on_train_begin()
    ours.on_epoch_begin(0)

    def calls() -> None:
        for step in range(COSTS):
            ours.on_train_batch_begin(step)
            ours.on_train_batch_end(step, logs)

    return 1e6 * timed(calls) / COSTS


def _weighing_us(model: Any) -> float:
    """What is done to each gradient before and after the sum; the number of rows itself travels with them."""
    import tensorflow as tf

    from tfspark_cnn.training.keras_gradients import weighed

    gradients = [tf.random.normal(variable.shape) for variable in model.trainable_variables]
    once = tf.function(lambda: weighed(weighed(gradients, tf.constant(32.0)), tf.constant(1 / 32)))
    nothing = tf.function(lambda: [tf.identity(gradient) for gradient in gradients])
    once(), nothing()
    seconds = [timed(lambda one=one: [one() for _ in range(COSTS)]) for one in (once, nothing)]
    return 1e6 * (seconds[0] - seconds[1]) / COSTS


def measure(spark: Any, options: Options) -> list[Ratio]:
    """Measures both sides in turn, and what a step costs."""
    rows = ROWS.with_count(options.rows(ROWS.count))
    data = frame(spark, rows).persist()
    assert data.count() == rows.count
    with by_hand(rows.count) as pair:
        with TFCluster.run(spark, Fit(options.rounds), None, NODES, input_mode=InputMode.SPARK) as cluster:
            contenders = {
                "ours": lambda: cluster.train(data, num_epochs=EPOCHS),
                "theirs": lambda: pair.fit(EPOCHS),
            }
            theirs = interleaved(contenders, rounds=options.rounds)["theirs"]
            told = cluster.shutdown()
    data.unpersist(blocking=True)
    ours = [min(speeds, key=lambda one: one.whole) for speeds in zip(*(one["speeds"] for one in told), strict=True)]
    return ratios(ours[1:], theirs, told[0]["costs"])  # the first round is the warm-up


def ratios(ours: list[Speed], theirs: list[Speed], costs: dict[str, list[float]]) -> list[Ratio]:
    """Sets both sides against each other, and what is added to a step against a step."""
    assert {one.steps for one in ours} == {one.steps for one in theirs}, "both take as many steps"
    step_us = [round(1e6 / one.later) for one in theirs]
    found = [
        Ratio(
            f"`fit` of a small CNN, {NODES} nodes, {EPOCHS} epochs", HAND, "steps/s",
            [one.whole for one in ours], [one.whole for one in theirs], least=0.95,
        ),
        Ratio(
            "later epochs of the same", HAND, "steps/s",
            [one.later for one in ours], [one.later for one in theirs], least=0.95,
        ),
    ]  # fmt: skip
    names = {"callbacks": "`ctx.callbacks()` in a step", "weighing": "weighing gradients by rows in a step"}
    return found + [Ratio(names[cost], "a step of that loop", "µs", costs[cost], step_us) for cost in names]


def _measure(options: Options) -> list[Ratio]:
    with application() as spark:
        return measure(spark, options)


def main() -> None:
    """Runs this part."""
    part.run("fit_workers", __doc__, _measure)


if __name__ == "__main__":
    main()
