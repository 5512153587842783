"""Functions that tests of streams run on nodes. Executors import it by PYTHONPATH."""

from __future__ import annotations

from pathlib import Path

from tfspark_cnn import Column
from tfspark_cnn.feed.reader import ReaderOptions


def read_calls(args, ctx):
    """Gives, by train call and epoch, the ids in each batch. Leaves every `early`-th call after one epoch."""
    stream = ctx._feeds.stream("train", ReaderOptions((Column("id"),), args.get("batch", 8), seed=ctx.seed))
    calls = []
    while stream.go_on():
        epochs = ctx.num_epochs
        if args.get("fail_at") == len(calls) and ctx.task_index == 1:
            raise ValueError("the second node gives up")
        if args.get("early") and len(calls) % args["early"] == 0:
            epochs = 1
        calls.append([[batch[0].tolist() for batch in stream.epoch()] for _ in range(epochs)])
    return calls


def fit_each_call(args, ctx):
    """Trains a network that takes no time on each call, and tells how far it is."""
    import keras

    with ctx.strategy().scope():
        model = keras.Sequential([keras.layers.Input((2,)), keras.layers.Dense(1)])
        model.compile("sgd", "mse")
    begins = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: Path(args["begun"]).touch())
    for rows in ctx.stream(Column("x", shape=(2,)), "id", batch_size=4, shuffle=False):
        model.fit(rows, epochs=ctx.num_epochs, verbose=0, callbacks=ctx.callbacks(begins, checkpoints=None))


def fit_and_leave(args, ctx):
    """Trains on so many micro-batches, and leaves the loop; gives how often Keras had traced after each, and losses."""
    import keras

    traced = []

    def loss(expected, found):
        traced.append(found)
        return keras.losses.mean_squared_error(expected, found)

    with ctx.strategy().scope():
        model = keras.Sequential([keras.layers.Input((2,)), keras.layers.Dense(1)])
        model.compile("sgd", loss)
    traces, losses = [], []
    for rows in ctx.stream(Column("x", shape=(2,)), "id", batch_size=8):
        losses.append(model.fit(rows, epochs=ctx.num_epochs, verbose=0).history["loss"])
        traces.append(len(traced))
        if len(losses) == args["calls"]:
            break
    return traces, losses


def step_together(args, ctx):
    """Takes a batch for each step, before which all nodes wait for each other, as under a strategy; gives the rows."""
    feed, taken = ctx.get_data_feed(), []
    for _ in range(args["steps"]):
        taken += feed.next_batch(args["batch"])
        ctx.barrier()
    feed.terminate()
    return taken
