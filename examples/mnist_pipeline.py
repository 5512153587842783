"""Digits by Spark ML: a TFEstimator trains on a DataFrame, and its TFModel scores another.

Columns that `transform` is to give have to go through the network, as `label` does here.
"""

import argparse
import os

from pyspark.sql import SparkSession
from sklearn.datasets import load_digits
from tensorflowonspark.pipeline import TFEstimator

TEST_ROWS = 360


def train_fun(args, ctx):
    """Trains on the columns that Spark feeds; the chief exports a SavedModel with a signature."""
    import numpy as np
    import tensorflow as tf

    strategy = tf.distribute.MultiWorkerMirroredStrategy()
    with strategy.scope():
        weights = tf.Variable(tf.zeros([64, 10]))
        bias = tf.Variable(tf.zeros([10]))

    @tf.function
    def step(images, labels):
        def on_this_node(images, labels):
            with tf.GradientTape() as tape:
                losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, images @ weights + bias)
                loss = tf.reduce_mean(losses)
            gradients = tape.gradient(loss, [weights, bias])
            summed = tf.distribute.get_replica_context().all_reduce("MEAN", gradients)
            for variable, gradient in zip([weights, bias], summed, strict=True):
                variable.assign_sub(args.learning_rate * gradient)

        strategy.run(on_this_node, args=(images, labels))

    steps = int(0.9 * args.rows * args.epochs / args.batch_size / ctx.num_workers)  # as in mnist_rdd.py
    feed = ctx.get_data_feed(input_mapping=args.input_mapping)
    for _ in range(steps):
        batch = feed.next_batch(args.batch_size)
        step(np.array(batch["image"], "float32") / 16, np.array(batch["label"], "int32"))
    if ctx.job_name == "chief":
        served = tf.Module()  # of no strategy, so that the chief can save it by itself
        served.weights, served.bias = tf.Variable(weights.numpy()), tf.Variable(bias.numpy())

        def predict(image, label):
            scores = image / 16 @ served.weights + served.bias
            return {"prediction": tf.argmax(scores, axis=1), "label": tf.identity(label)}

        specs = tf.TensorSpec([None, 64], tf.float32, "image"), tf.TensorSpec([None], tf.int64, "label")
        signature = tf.function(predict).get_concrete_function(*specs)
        tf.saved_model.save(served, args.export_dir, signatures={"serving_default": signature})
    feed.terminate()


def main(argv=None):
    """Trains, scores, and gives how many rows were scored right."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch_size", type=int, default=32)
    parser.add_argument("--cluster_size", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--export_dir", default="mnist_pipeline", help="folder that all nodes see")
    parser.add_argument("--learning_rate", type=float, default=0.5)
    args = parser.parse_args(argv)
    args.export_dir = os.path.abspath(args.export_dir)

    spark = SparkSession.builder.appName("mnist_pipeline").getOrCreate()
    images, labels = load_digits(return_X_y=True)
    rows = list(zip(images.tolist(), labels.tolist(), strict=True))
    train, test = (
        spark.createDataFrame(part, "image array<float>, label bigint").coalesce(args.cluster_size)
        for part in (rows[:-TEST_ROWS], rows[-TEST_ROWS:])
    )
    args.rows = len(rows) - TEST_ROWS

    estimator = (
        TFEstimator(train_fun, args)
        .setInputMapping({"image": "image", "label": "label"})
        .setClusterSize(args.cluster_size)
        .setMasterNode("chief")
        .setEpochs(args.epochs)
        .setBatchSize(args.batch_size)
        .setExportDir(args.export_dir)
        .setGraceSecs(1)
    )
    model = (
        estimator.fit(train)
        .setInputMapping({"image": "image", "label": "label"})
        .setOutputMapping({"prediction": "prediction", "label": "label"})
        .setSignatureDefKey("serving_default")
        .setTagSet("serve")
    )
    scored = model.transform(test).collect()
    right = sum(row.prediction == row.label for row in scored)
    return {"accuracy": right / len(scored), "rows": len(scored)}


if __name__ == "__main__":
    print(main())
