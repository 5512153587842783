"""Digits from TFRecord files: the nodes read them themselves (InputMode.TENSORFLOW), each its own part.

`tf_keras`, which is Keras 2, has a `fit` for several workers.
"""

import argparse
import json
import os

from pyspark.sql import SparkSession
from sklearn.datasets import load_digits
from tensorflowonspark import TFCluster

TEST_ROWS = 360


class Write:
    """Writes each partition as a TFRecord file, in a Spark task."""

    def __init__(self, data_dir):
        self.data_dir = data_dir

    def __call__(self, number, rows):
        import tensorflow as tf

        path = os.path.join(self.data_dir, f"part-{number:05d}.tfrecord")
        with tf.io.TFRecordWriter(path) as writer:
            for image, label in rows:
                feature = {
                    "image": tf.train.Feature(float_list=tf.train.FloatList(value=image)),
                    "label": tf.train.Feature(int64_list=tf.train.Int64List(value=[label])),
                }
                writer.write(tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString())
        yield path


def main_fun(args, ctx):
    """Trains on this node's part of the files; the chief exports."""
    import tensorflow as tf
    import tf_keras as keras
    from tensorflowonspark import compat

    def parsed(example):
        features = {"image": tf.io.FixedLenFeature([8, 8, 1], tf.float32), "label": tf.io.FixedLenFeature([], tf.int64)}
        found = tf.io.parse_single_example(example, features)
        return found["image"] / 16, found["label"]

    strategy = tf.distribute.MultiWorkerMirroredStrategy()
    files = tf.data.Dataset.list_files(os.path.join(args.data_dir, "*.tfrecord"), shuffle=False)
    examples = tf.data.TFRecordDataset(files).shard(ctx.num_workers, ctx.worker_num).map(parsed)
    options = tf.data.Options()
    compat.disable_auto_shard(options)
    train = examples.shuffle(2000, seed=1).repeat().batch(args.batch_size).with_options(options)
    with strategy.scope():
        layers = keras.layers
        model = keras.Sequential(
            [
                layers.Input((8, 8, 1), name="image"),
                layers.Conv2D(16, 3, activation="relu"),
                layers.Flatten(),
                layers.Dense(10, activation="softmax", name="scores"),
            ]
        )
        model.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy", metrics=["accuracy"])
    history = model.fit(train, epochs=args.epochs, steps_per_epoch=args.steps_per_epoch, verbose=0).history
    compat.export_saved_model(model, args.export_dir, ctx.job_name == "chief")
    if ctx.job_name == "chief":
        with open(args.export_dir + ".json", "w") as file:
            json.dump({"accuracy": history["accuracy"][-1], "rows": sum(1 for _ in examples)}, file)


def main(argv=None):
    """Writes files where there are none, trains on them, and gives what the chief found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch_size", type=int, default=32)
    parser.add_argument("--cluster_size", type=int, default=2)
    parser.add_argument("--data_dir", default="mnist_tfrecords", help="folder that all nodes see; so is the next")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--export_dir", default="mnist_export")
    parser.add_argument("--steps_per_epoch", type=int, default=22)
    args = parser.parse_args(argv)
    args.data_dir, args.export_dir = os.path.abspath(args.data_dir), os.path.abspath(args.export_dir)

    sc = SparkSession.builder.appName("mnist_tfrecord").getOrCreate().sparkContext
    if not os.path.isdir(args.data_dir):
        os.makedirs(args.data_dir)
        images, labels = (part[:-TEST_ROWS] for part in load_digits(return_X_y=True))
        rows = sc.parallelize(zip(images.tolist(), labels.tolist(), strict=True), args.cluster_size)
        rows.mapPartitionsWithIndex(Write(args.data_dir)).collect()

    cluster = TFCluster.run(sc, main_fun, args, args.cluster_size, 0, master_node="chief")
    cluster.shutdown()
    with open(args.export_dir + ".json") as file:
        return json.load(file)


if __name__ == "__main__":
    print(main())
