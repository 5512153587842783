"""Functions that tests of RDDs, `get_data_feed` and `inference` run on nodes. Executors import it by PYTHONPATH."""

from __future__ import annotations

import os
import signal

import numpy as np

from tfspark_cnn import Column
from tfspark_cnn.feed.inference import Inference
from tfspark_cnn.feed.reader import ReaderOptions


def read_columns(args, ctx):
    """Reads the columns that args names, by epoch; gives their rows as lists, and the dtypes."""
    options = ReaderOptions(tuple(Column(name) for name in args["columns"]), 16, shuffle=False, seed=ctx.seed)
    reader = ctx._feeds.reader("train", options)
    epochs = [list(reader.epoch()) for _ in range(ctx.num_epochs)]
    rows = [[row for batch in epoch for row in zip(*(column.tolist() for column in batch))] for epoch in epochs]  # noqa: B905
    return {"rows": rows, "specs": [(spec.shape, spec.dtype) for spec in reader.spec()]}


def take_all(args, ctx):
    """Takes batches until there are no more; gives them."""
    feed = ctx.get_data_feed(input_mapping=args.get("mapping"))
    batches = []
    while not feed.should_stop():
        batches.append(feed.next_batch(args.get("batch", 10)))
    return batches


def take_one(args, ctx):
    """Takes a batch, and no more."""
    feed = ctx.get_data_feed()
    batch = feed.next_batch(args["batch"])
    feed.terminate()
    return len(batch), feed.should_stop()


def double(args, ctx):
    """Answers each row with twice its value; gives the sizes of the batches."""
    feed = ctx.get_data_feed(train_mode=False)
    sizes = []
    while not feed.should_stop():
        batch = feed.next_batch(args.get("batch", 10))
        sizes.append(len(batch))
        feed.batch_results([2 * row for row in batch])
    return sizes


def answer_late(args, ctx):
    """Takes two batches before it answers the first."""
    feed = ctx.get_data_feed(train_mode=False)
    waiting = []
    while not feed.should_stop():
        waiting.append(feed.next_batch(10))
        if len(waiting) > 1:
            feed.batch_results([row + 0.5 for row in waiting.pop(0)])
        if len(waiting[-1]) < 10:  # the partition may have ended, and waits for the rest
            for batch in waiting:
                feed.batch_results([row + 0.5 for row in batch])
            waiting.clear()


def sums(args, ctx):
    """Answers rows of (array, number) with an array: their sum and the number."""
    feed = ctx.get_data_feed(train_mode=False, input_mapping={"x": "x", "id": "number"})
    while not feed.should_stop():
        batch = feed.next_batch(7)
        if batch["x"]:
            totals = np.asarray(batch["x"]).sum(axis=1)
            feed.batch_results(np.stack([totals, np.asarray(batch["number"])], axis=1))


def add_up_vectors(args, ctx):
    """Answers each row with the sum of its vector, as Spark stores it: (type, size, indices, values)."""
    feed = ctx.get_data_feed(train_mode=False)
    while not feed.should_stop():
        feed.batch_results([float(sum(features["values"])) for _, features in feed.next_batch(7)])


def first_value(args, ctx):
    """Answers each row with its first value."""
    feed = ctx.get_data_feed(train_mode=False)
    while not feed.should_stop():
        feed.batch_results([row[0] for row in feed.next_batch(7)])


def drop_one(args, ctx):
    """Gives a result too few."""
    feed = ctx.get_data_feed(train_mode=False)
    while not feed.should_stop():
        feed.batch_results(feed.next_batch(10)[1:])


def die_in_the_middle(args, ctx):
    feed = ctx.get_data_feed(train_mode=False)
    feed.batch_results(feed.next_batch(5))
    feed.next_batch(5)
    os.kill(os.getpid(), signal.SIGKILL)


def return_in_the_middle(args, ctx):
    feed = ctx.get_data_feed(train_mode=False)
    feed.batch_results(feed.next_batch(5))


def answer_nothing(args, ctx):
    """Takes rows and forgets them."""
    feed = ctx.get_data_feed(train_mode=False)
    while not feed.should_stop():
        feed.next_batch(5)


class Sample:
    """An object that Arrow has no type for."""

    def __init__(self, number):
        self.number = number


def give_up_after(args, ctx):
    """Takes so many batches, and fails."""
    feed = ctx.get_data_feed()
    for _ in range(args["batches"]):
        feed.next_batch(10)
    raise ValueError("gives up")


class KilledInference(Inference):
    """Inference whose task is killed after its first results, in all but the last try of each partition."""

    def results(self, partition, batches):
        from pyspark import TaskContext

        for results in super().results(partition, batches):
            yield results
            if TaskContext.get().attemptNumber() < 2:
                os.kill(os.getpid(), signal.SIGKILL)
