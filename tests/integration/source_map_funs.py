"""What nodes do in `test_sources`. Executors import it by PYTHONPATH."""

from __future__ import annotations

import hashlib

import numpy as np

from tfspark_cnn import Column
from tfspark_cnn.data.shares import share_of
from tfspark_cnn.data.storage import files_at
from tfspark_cnn.data.tfrecord import SUFFIXES

GZIP = {True: "GZIP", False: ""}


def digest(image) -> str:
    """What the bytes of an image are known by."""
    return hashlib.blake2b(bytes(image), digest_size=8).hexdigest()


def read_rows(args, ctx):
    """Reads the feed once, and its share of files with TensorFlow; node 0 writes some with it.

    Gives `(source, label, digest of the image)` of each row, and what the files hold.
    """
    image = Column("image", shape=args["shape"], scale=1 / 255)
    dataset = ctx.dataset([image, "source"], "label", batch_size=64)
    rows = []
    for features, labels in dataset:
        values = np.rint(features["image"].numpy() * 255).astype(np.uint8)
        numbers = zip(features["source"].numpy().tolist(), labels.numpy().tolist(), values, strict=True)
        rows += [(source, label, digest(value)) for source, label, value in numbers]
    if ctx.worker_num == 0:
        for path, zipped in args["to_write"]:
            write_with_tensorflow(path, zipped, args["examples"])
    files = [file for folder in args["folders"] for file in files_at(folder, suffixes=SUFFIXES)]
    share = share_of(files, ctx.worker_num, ctx.num_workers)
    return {"rows": rows, "share": share, "read": [read_with_tensorflow(path) for path in share]}


def write_with_tensorflow(path, zipped, examples):
    """Writes Examples of `{name: (list's name, values)}`."""
    import tensorflow as tf

    kinds = {"bytes_list": tf.train.BytesList, "float_list": tf.train.FloatList, "int64_list": tf.train.Int64List}
    with tf.io.TFRecordWriter(path, GZIP[zipped]) as writer:
        for example in examples:
            features = {
                name: tf.train.Feature(**{kind: kinds[kind](value=values)}) for name, (kind, values) in example.items()
            }
            writer.write(tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString())


def read_with_tensorflow(path):
    """Gives Examples as `write_with_tensorflow` takes them."""
    import tensorflow as tf

    found = []
    for record in tf.data.TFRecordDataset(path, GZIP[path.endswith(".gz")]).as_numpy_iterator():
        features = tf.train.Example.FromString(record).features.feature
        kinds = {name: feature.WhichOneof("kind") for name, feature in features.items()}
        found.append({name: (kind, list(getattr(features[name], kind).value)) for name, kind in kinds.items()})
    return found
