"""Digits from an RDD: Spark feeds rows to the nodes (InputMode.SPARK), which take them by `next_batch`.

The nodes train one network together, by a training loop of TensorFlow's own: Keras 3's `fit` refuses several workers.
"""

import argparse
import json
import os

from pyspark.sql import SparkSession
from sklearn.datasets import load_digits
from tensorflowonspark import TFCluster

TEST_ROWS = 360


def main_fun(args, ctx):
    """Trains on the rows that Spark feeds; the chief exports what all nodes have trained."""
    import keras
    import numpy as np
    import tensorflow as tf

    def network():
        return keras.Sequential(
            [
                keras.Input((8, 8, 1), name="image"),
                keras.layers.Conv2D(32, 3, activation="relu"),
                keras.layers.Flatten(),
                keras.layers.Dense(10),
            ]
        )

    strategy = tf.distribute.MultiWorkerMirroredStrategy()
    with strategy.scope():
        model = network()
        optimizer = keras.optimizers.Adam(0.01)
        optimizer.build(model.trainable_variables)

    @tf.function
    def step(images, labels):
        def on_this_node(images, labels):
            with tf.GradientTape() as tape:
                losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, model(images, training=True))
                loss = tf.reduce_mean(losses) / ctx.num_workers
            optimizer.apply(tape.gradient(loss, model.trainable_variables))

        strategy.run(on_this_node, args=(images, labels))

    # Spark decides which node gets which rows, so one may get fewer, and would leave the others waiting for it: all
    # take as many steps, and leave some of the rows.
    steps = int(0.9 * args.rows * args.epochs / args.batch_size / ctx.num_workers)
    feed, rows = ctx.get_data_feed(), 0
    for _ in range(steps):
        batch = feed.next_batch(args.batch_size)
        images, labels = (np.array(column, "float32") for column in zip(*batch, strict=True))
        step(images.reshape(-1, 8, 8, 1) / 16, labels.astype("int32"))
        rows += len(batch)
    if ctx.job_name == "chief":
        alone = network()  # of no strategy, so that the chief can save it by itself
        alone.set_weights(model.get_weights())
        images, labels = (part[-TEST_ROWS:] for part in load_digits(return_X_y=True))
        found = alone.predict(images.reshape(-1, 8, 8, 1) / 16, verbose=0).argmax(axis=1)
        alone.export(os.path.join(args.model_dir, "export"), verbose=False)
        with open(os.path.join(args.model_dir, "result.json"), "w") as file:
            json.dump({"accuracy": float(np.mean(found == labels)), "steps": steps, "rows": rows}, file)
    feed.terminate()


def main(argv=None):
    """Trains, and gives what the chief found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch_size", type=int, default=32)
    parser.add_argument("--cluster_size", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--model_dir", default="mnist_model", help="folder that all nodes see")
    parser.add_argument("--tensorboard", action="store_true")
    args = parser.parse_args(argv)
    args.model_dir = os.path.abspath(args.model_dir)
    os.makedirs(args.model_dir, exist_ok=True)

    sc = SparkSession.builder.appName("mnist_rdd").getOrCreate().sparkContext
    images, labels = (part[:-TEST_ROWS] for part in load_digits(return_X_y=True))
    args.rows = len(images)
    rows = sc.parallelize(zip(images.tolist(), labels.tolist(), strict=True), args.cluster_size)

    cluster = TFCluster.run(
        sc,
        main_fun,
        args,
        args.cluster_size,
        num_ps=0,
        tensorboard=args.tensorboard,
        input_mode=TFCluster.InputMode.SPARK,
        log_dir=args.model_dir,
        master_node="chief",
    )
    cluster.train(rows, args.epochs)
    cluster.shutdown(grace_secs=1)
    with open(os.path.join(args.model_dir, "result.json")) as file:
        return json.load(file)


if __name__ == "__main__":
    print(main())
