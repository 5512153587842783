"""Digits scored by independent nodes (TFParallel): each takes some of the TFRecord files and writes a file of its own.

Scores what mnist_tfrecord.py has written with what it has exported; run that first.
"""

import argparse
import json
import os

from pyspark.sql import SparkSession
from tensorflowonspark import TFParallel


def inference(args, ctx):
    """Scores the files of this node, and writes a line for each row."""
    import tensorflow as tf

    def parsed(examples):
        features = {"image": tf.io.FixedLenFeature([8, 8, 1], tf.float32), "label": tf.io.FixedLenFeature([], tf.int64)}
        return tf.io.parse_example(examples, features)

    model = tf.saved_model.load(args.export_dir)  # whose function is gone when it is
    predict = model.signatures["serving_default"]
    (name,) = predict.structured_input_signature[1]
    files = sorted(tf.io.gfile.glob(os.path.join(args.data_dir, "*.tfrecord")))[ctx.worker_num :: ctx.num_workers]
    with open(os.path.join(args.output, f"part-{ctx.worker_num:05d}.json"), "w") as out:
        for batch in tf.data.TFRecordDataset(files).batch(args.batch_size).map(parsed):
            (scores,) = predict(**{name: batch["image"] / 16}).values()
            found = zip(tf.argmax(scores, axis=1).numpy().tolist(), batch["label"].numpy().tolist(), strict=True)
            out.writelines(json.dumps({"prediction": digit, "label": label}) + "\n" for digit, label in found)


def main(argv=None):
    """Scores all files, and gives how many rows were scored right."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch_size", type=int, default=100)
    parser.add_argument("--cluster_size", type=int, default=2)
    parser.add_argument("--data_dir", default="mnist_tfrecords")
    parser.add_argument("--export_dir", default="mnist_export")
    parser.add_argument("--output", default="mnist_predictions", help="folder that all nodes see, as the others")
    args = parser.parse_args(argv)
    for name in ("data_dir", "export_dir", "output"):
        setattr(args, name, os.path.abspath(getattr(args, name)))
    os.makedirs(args.output, exist_ok=True)

    sc = SparkSession.builder.appName("mnist_inference").getOrCreate().sparkContext
    TFParallel.run(sc, inference, args, args.cluster_size)
    rows = [json.loads(row) for row in sc.textFile(args.output).collect()]
    right = sum(row["prediction"] == row["label"] for row in rows)
    return {"accuracy": right / len(rows), "rows": len(rows), "files": len(os.listdir(args.output))}


if __name__ == "__main__":
    print(main())
