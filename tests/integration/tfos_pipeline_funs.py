"""What TensorFlow does in `test_tfos_pipeline`: as a program, and on the node of an estimator."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from unittest import mock

import numpy as np
import pyarrow.fs as pafs

from tfspark_cnn.data import storage

GZIP = {True: "GZIP", False: ""}
KINDS = ("bytes_list", "float_list", "int64_list")


# --- a program: argument is a folder; it makes files there, then reads those that the folder on its input has ---


def main(folder: Path) -> None:
    """Writes records and a SavedModel, says so, and reads the files of each folder that it is told."""
    import tensorflow as tf

    examples = json.loads((folder / "examples.json").read_text())
    for zipped in (False, True):
        path = folder / ("by tensorflow zipped" if zipped else "by tensorflow") / "part-r-00000"
        path.parent.mkdir()
        with tf.io.TFRecordWriter(str(path), GZIP[zipped]) as writer:
            for example in examples:
                writer.write(message(tf, example).SerializeToString())
    everything(tf, folder / "everything")
    of_two_tags(tf, folder / "tags")
    print(json.dumps(loads(folder / "everything")), flush=True)
    for line in sys.stdin:
        print(json.dumps([read(tf, path) for path in json.loads(line)]), flush=True)


def message(tf, example):
    """An Example of `{name: [list's name, values]}`; bytes are latin-1 text."""
    made = {"bytes_list": tf.train.BytesList, "float_list": tf.train.FloatList, "int64_list": tf.train.Int64List}
    features = {}
    for name, (kind, values) in example.items():
        plain = [value.encode("latin-1") for value in values] if kind == "bytes_list" else values
        features[name] = tf.train.Feature(**{kind: made[kind](value=plain)})
    return tf.train.Example(features=tf.train.Features(feature=features))


def read(tf, path):
    """The Examples of a file, as `message` takes them."""
    found = []
    for record in tf.data.TFRecordDataset(path, GZIP[path.endswith(".gz")]).as_numpy_iterator():
        features = tf.train.Example.FromString(record).features.feature
        example = {}
        for name, feature in features.items():
            kind = feature.WhichOneof("kind")
            values = getattr(feature, kind).value
            example[name] = [kind, [one.decode("latin-1") if isinstance(one, bytes) else one for one in values]]
        found.append(example)
    return found


def everything(tf, folder):
    """A SavedModel that gives back what it gets, of each type, and one whose signature takes 4 rows alone."""
    shapes = {
        "f32": (tf.float32,), "f64": (tf.float64,), "half": (tf.bfloat16,), "i8": (tf.int8,), "i32": (tf.int32,),
        "i64": (tf.int64,), "flag": (tf.bool,), "word": (tf.string,), "blob": (tf.string,), "words": (tf.string, 2),
        "image": (tf.uint8, 2, 3), "grid": (tf.float32, 2, 2), "nested": (tf.float32, 4), "open": (tf.int64, None),
        "vector": (tf.float64, 3),
    }  # fmt: skip

    def echo(**inputs):
        same = {f"{name}_out": tf.identity(one) for name, one in inputs.items()}
        return same | {"mean": tf.reduce_mean(inputs["f32"])}

    def fixed(x):
        return {"total": tf.linalg.matvec(x, [1.0, 1.0])}

    specs = {name: tf.TensorSpec([None, *shape], dtype, name) for name, (dtype, *shape) in shapes.items()}
    signatures = {
        "echo": tf.function(echo).get_concrete_function(**specs),
        "fixed": tf.function(fixed).get_concrete_function(tf.TensorSpec([4, 2], tf.float32, "x")),
    }
    tf.saved_model.save(tf.Module(), str(folder), signatures=signatures)


def of_two_tags(tf, folder):
    """A SavedModel of TensorFlow 1, with a graph for the tags `serve` and one for `serve,gpu`, which doubles."""
    v1 = tf.compat.v1
    for number, tags in enumerate((["serve"], ["serve", "gpu"]), 1):
        with tf.Graph().as_default(), v1.Session() as session:
            x = v1.placeholder(tf.float32, [None], name="x")
            weight = v1.Variable(1.0)
            signature = v1.saved_model.predict_signature_def({"x": x}, {"y": x * weight * number})
            session.run(v1.global_variables_initializer())
            if number == 1:
                builder = v1.saved_model.Builder(str(folder))
                builder.add_meta_graph_and_variables(session, tags, {"serving_default": signature})
            else:
                builder.add_meta_graph(tags, {"serving_default": signature})
    builder.save()


def loads(folder):
    """What `training.saved_model` does without Spark: keeps signatures, fetches them, says what a graph refuses."""
    from tfspark_cnn.errors import SchemaError
    from tfspark_cnn.training.saved_model import Wanted, signature

    first, again = (signature(Wanted(str(folder), "1", ("serve",), "fixed"), cores=1) for _ in range(2))
    other = signature(Wanted(str(folder), "2", ("serve",), "fixed"), cores=1)
    elsewhere = pafs.SubTreeFileSystem(str(folder.parent), pafs.LocalFileSystem())
    with mock.patch.object(storage, "located", lambda uri: (elsewhere, uri.rpartition("/")[2])):
        fetched = signature(Wanted(f"hdfs://nn/{folder.name}", "1", ("serve",), "fixed"), cores=1)
    tagged = [
        signature(Wanted(str(folder.with_name("tags")), "1", tags, "serving_default"), cores=1)
        for tags in (("serve",), ("gpu", "serve"))
    ]
    by_tags = [one({"x": np.ones(1, np.float32)}, ["y"], where="here")[0].tolist() for one in tagged]
    (total,) = fetched({"x": np.ones((4, 2), np.float32)}, ["total"], where="here")
    try:
        first({"x": np.ones((4, 3), np.float32)}, ["total"], where="partition 3, rows 8 to 11")
    except SchemaError as error:
        refused = error.message
    return {
        "kept": first is again, "new": other is not first, "fetched": total.tolist(), "refused": refused,
        "by tags": by_tags,
    }  # fmt: skip


# --- on the node of an estimator ---


def fit_line(args, ctx):
    """Fits y = x w by least squares to all rows that are fed, and exports it; writes down what it got."""
    import tensorflow as tf

    feed = ctx.get_data_feed(input_mapping=args.input_mapping)
    x, y = [], []
    while not feed.should_stop():
        batch = feed.next_batch(args.batch_size)
        x += batch["x"]
        y += batch["y"]
    weights = np.linalg.lstsq(np.array(x), np.array(y), rcond=None)[0]
    seen = {
        "type": type(args).__name__, "rows": len(x), "names": sorted(args), "own": args.own, "job_name": ctx.job_name,
        "tensors": feed.input_tensors, "model_dir": ctx.model_dir, "types": [type(x[0]).__name__, type(y[0]).__name__],
    }  # fmt: skip
    Path(args.report).write_text(json.dumps(seen))
    module = tf.Module()
    module.weights = tf.Variable(weights, dtype=tf.float32)
    call = tf.function(
        lambda x: {"y": tf.linalg.matvec(x, module.weights)},
        input_signature=[tf.TensorSpec([None, 2], tf.float32, "x")],
    )
    tf.saved_model.save(module, args.export_dir, signatures=call)


def fail(args, ctx):
    """Fails when it has its first rows."""
    ctx.get_data_feed().next_batch(2)
    raise ZeroDivisionError(f"by {args.divisor}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
