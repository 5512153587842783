"""A residual network on colour images as those of CIFAR, fed by Spark (InputMode.SPARK) and trained by `fit`.

The images are drawn, so that nothing is downloaded; rows of `(bytes, label)` of CIFAR are fed in the same way.
`tf_keras`, which is Keras 2, has a `fit` for several workers.
"""

import argparse
import json
import os

import numpy as np
from pyspark.sql import SparkSession
from tensorflowonspark import TFCluster

CLASSES = 4


class Draw:
    """Draws images in a Spark task: stripes of another colour and width for each class, under noise."""

    def __init__(self, size):
        self.size = size

    def __call__(self, number):
        random = np.random.default_rng(number)
        label = number % CLASSES
        image = random.integers(0, 80, (self.size, self.size, 3))
        image[random.integers(2) :: 2 + label, :, label % 3] += 150
        return image.astype("uint8").tobytes(), label


def main_fun(args, ctx):
    """Trains on the images that Spark feeds; the chief exports."""
    import tensorflow as tf
    import tf_keras as keras
    from tensorflowonspark import compat

    layers, side = keras.layers, args.image_size

    def block(x, filters, stride):
        """Two convolutions and a way around them, of He et al., 2015."""
        y = layers.Conv2D(filters, 3, stride, padding="same", use_bias=False)(x)
        y = layers.ReLU()(layers.BatchNormalization()(y))
        y = layers.BatchNormalization()(layers.Conv2D(filters, 3, padding="same", use_bias=False)(y))
        around = x if stride == 1 else layers.Conv2D(filters, 1, stride, use_bias=False)(x)
        return layers.ReLU()(layers.Add()([y, around]))

    def resnet():
        x = inputs = layers.Input((side, side, 3))
        x = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(8, 3, padding="same", use_bias=False)(x)))
        for stage in range(3):
            for number in range(args.blocks):
                x = block(x, 8 << stage, 2 if stage and not number else 1)
        x = layers.GlobalAveragePooling2D()(x)
        return keras.Model(inputs, layers.Dense(CLASSES, activation="softmax")(x))

    feed = ctx.get_data_feed()

    def batches():
        while not feed.should_stop():
            rows = feed.next_batch(args.batch_size)
            if len(rows) == args.batch_size:
                images, labels = zip(*rows, strict=True)
                images = np.frombuffer(b"".join(images), "uint8").reshape(-1, side, side, 3)
                yield images.astype("float32") / 255, np.array(labels)

    shape = tf.TensorSpec([args.batch_size, side, side, 3], tf.float32), tf.TensorSpec([args.batch_size], tf.int64)
    options = tf.data.Options()
    compat.disable_auto_shard(options)
    strategy = tf.distribute.MultiWorkerMirroredStrategy()
    train = tf.data.Dataset.from_generator(batches, output_signature=shape).with_options(options)
    with strategy.scope():
        model = resnet()
        model.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy", metrics=["accuracy"])
    # 90 % of an epoch, as in mnist_rdd.py: no node must be left without rows.
    steps = int(0.9 * args.rows / args.batch_size / ctx.num_workers)
    history = model.fit(train, epochs=args.epochs, steps_per_epoch=steps, verbose=0).history
    compat.export_saved_model(model, os.path.join(args.model_dir, "export"), ctx.job_name == "chief")
    if ctx.job_name == "chief":
        with open(os.path.join(args.model_dir, "result.json"), "w") as file:
            found = {"accuracy": history["accuracy"], "weights": model.count_params(), "steps": steps * args.epochs}
            json.dump(found, file)
    feed.terminate()


def main(argv=None):
    """Trains, and gives what the chief found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch_size", type=int, default=32)
    parser.add_argument("--blocks", type=int, default=3, help="in each of three stages: 3 is ResNet-20")
    parser.add_argument("--cluster_size", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--image_size", type=int, default=32)
    parser.add_argument("--model_dir", default="cifar_resnet", help="folder that all nodes see")
    parser.add_argument("--rows", type=int, default=2000)
    args = parser.parse_args(argv)
    args.model_dir = os.path.abspath(args.model_dir)
    os.makedirs(args.model_dir, exist_ok=True)

    sc = SparkSession.builder.appName("cifar_resnet").getOrCreate().sparkContext
    rows = sc.parallelize(range(args.rows), args.cluster_size).map(Draw(args.image_size))
    cluster = TFCluster.run(
        sc, main_fun, args, args.cluster_size, 0, input_mode=TFCluster.InputMode.SPARK, master_node="chief"
    )
    cluster.train(rows, args.epochs)
    cluster.shutdown(grace_secs=1)
    with open(os.path.join(args.model_dir, "result.json")) as file:
        return json.load(file)


if __name__ == "__main__":
    print(main())
