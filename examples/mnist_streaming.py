"""Digits from a stream: each micro-batch of a DStream goes to the nodes, until they have enough.

The stream is made of RDDs here, so that nothing else has to run; with `ssc.textFileStream(folder)` in its place it is
made of the files that come into a folder.
"""

import argparse
import json
import os
import warnings

from pyspark.sql import SparkSession
from pyspark.streaming import StreamingContext
from sklearn.datasets import load_digits
from tensorflowonspark import TFCluster

MICRO_BATCHES = 8
"""Twice as many as are needed: the nodes say when it is enough."""

TEST_ROWS = 360


def main_fun(args, ctx):
    """Trains for so many steps on rows as they come, wants no more then, and averages what all nodes have learnt.

    Rows of a stream come as they come, so nodes do not wait for each other at each step, as they do in mnist_rdd.py.
    """
    import numpy as np
    import tensorflow as tf

    strategy = tf.distribute.MultiWorkerMirroredStrategy()  # first, as TensorFlow wants it
    weights, bias = tf.Variable(tf.zeros([64, 10])), tf.Variable(tf.zeros([10]))

    @tf.function
    def step(images, labels):
        with tf.GradientTape() as tape:
            scores = images @ weights + bias
            loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, scores))
        for variable, gradient in zip([weights, bias], tape.gradient(loss, [weights, bias]), strict=True):
            variable.assign_sub(args.learning_rate * gradient)
        return scores

    feed, rows, steps = ctx.get_data_feed(), 0, 0
    while steps < args.steps and not feed.should_stop():
        batch = feed.next_batch(args.batch_size)
        if batch:
            images, labels = (np.array(column) for column in zip(*batch, strict=True))
            step((images / 16).astype("float32"), labels.astype("int32"))
            rows, steps = rows + len(batch), steps + 1
    feed.terminate()  # when all nodes have said so, shutdown ends the stream

    @tf.function
    def mean(*values):
        def on_this_node(*values):
            own = [tf.identity(value) for value in values]  # which is on a device of this node
            return tf.distribute.get_replica_context().all_reduce("MEAN", own)

        return strategy.run(on_this_node, values)

    weights, bias = mean(weights.value(), bias.value())
    if ctx.job_name == "chief":
        images, labels = (part[-TEST_ROWS:] for part in load_digits(return_X_y=True))
        found = tf.argmax((images / 16).astype("float32") @ weights + bias, axis=1).numpy()
        with open(os.path.join(args.model_dir, "result.json"), "w") as file:
            json.dump({"accuracy": float(np.mean(found == labels)), "steps": steps, "rows": rows}, file)


def main(argv=None):
    """Trains on a stream, and gives what the chief found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch_size", type=int, default=32)
    parser.add_argument("--cluster_size", type=int, default=2)
    parser.add_argument("--learning_rate", type=float, default=0.5)
    parser.add_argument("--model_dir", default="mnist_streaming", help="folder that all nodes see")
    parser.add_argument("--steps", type=int, default=40)
    args = parser.parse_args(argv)
    args.model_dir = os.path.abspath(args.model_dir)
    os.makedirs(args.model_dir, exist_ok=True)

    sc = SparkSession.builder.appName("mnist_streaming").getOrCreate().sparkContext
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # Spark would rather have Structured Streaming
        ssc = StreamingContext(sc, 2)
    images, labels = (part[:-TEST_ROWS] for part in load_digits(return_X_y=True))
    rows = list(zip(images.tolist(), labels.tolist(), strict=True))
    rdds = [sc.parallelize(rows[n % 2 :: 2], args.cluster_size) for n in range(MICRO_BATCHES)]
    stream = ssc.queueStream(rdds)

    cluster = TFCluster.run(
        sc, main_fun, args, args.cluster_size, 0, input_mode=TFCluster.InputMode.SPARK, master_node="chief"
    )
    cluster.train(stream)
    ssc.start()
    cluster.shutdown(ssc, grace_secs=8)
    with open(os.path.join(args.model_dir, "result.json")) as file:
        return json.load(file)


if __name__ == "__main__":
    print(main())
