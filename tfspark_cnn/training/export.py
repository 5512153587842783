"""Converts a network: `python -m tfspark_cnn.training.export FOLDER`, which `ml.export_process` starts and explains."""

from __future__ import annotations

import json
import os
import sys
import threading
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from tfspark_cnn.errors import ConfigError, TFSparkError
from tfspark_cnn.feed.columns import Column
from tfspark_cnn.ml.export_process import MADE, NETWORK, REFUSAL, REQUEST, Request, end_with_stdin
from tfspark_cnn.ml.saved_network import Answer
from tfspark_cnn.training import scoring


class Served(keras.Model):
    """A network with named outputs, which takes images as the column in Spark holds them.

    Args:
        network: the network.
        request: what is known of its input and outputs.

    Raises:
        ConfigError: it takes images of another shape, or gives another number of classes than there are labels.
    """

    def __init__(self, network: keras.Model, request: Request) -> None:
        super().__init__()
        self.network = network
        self.column = request.column or Column("images", dtype="float32")
        self.shape_of_image = self.column.shape or tuple(network.input_shape[1:])
        self.answer = request.answer or _answer(network)
        if self.column.shape is not None:
            scoring.check_shape(network, self.column)
        _check_labels(network, request)
        self.build((None, *self.shape_of_image))

    def build(self, input_shape: Any) -> None:
        """The network has its weights already."""
        self.built = True

    def call(self, images: Any) -> dict[str, Any]:
        """Gives the outputs by name.

        Args:
            images: float32[rows, height, width, channels].
        """
        scores = scoring.scored(self.network, images, self.column)
        if self.answer is Answer.CLASSES:
            return {"probabilities": scores, "class_id": tf.argmax(scores, axis=-1, output_type=tf.int64)}
        return {"prediction": scores[:, 0] if scores.shape[-1] == 1 else scores}


def _answer(network: keras.Model) -> Answer:
    last = network.layers[-1]
    softmax = getattr(last, "activation", None) is keras.activations.softmax or isinstance(last, keras.layers.Softmax)
    return Answer.CLASSES if softmax else Answer.NUMBER


def _check_labels(network: keras.Model, request: Request) -> None:
    classes = network.output_shape[-1]
    if request.labels is not None and len(request.labels) != classes:
        raise ConfigError(
            f"the network gives {classes} classes, expected as many names, received {len(request.labels)}",
            hint="make the model with the labels of the data it was trained on",
        )


def convert(request: Request, network: bytes, to: Path) -> None:
    """Writes a SavedModel folder or an ONNX file.

    Args:
        request: which, and what is known of the network.
        network: bytes of the `.keras` file.
        to: the folder or file; it is not there yet.

    Raises:
        ConfigError: what is known of the network is wrong.
    """
    served = Served(scoring.read(network), request)
    if request.format == "onnx":
        _write_onnx(served, request, to)
    else:
        _write_saved_model(served, request, to)


def _write_saved_model(served: Served, request: Request, to: Path) -> None:
    def named(found: dict[str, Any]) -> dict[str, Any]:
        names = None if request.labels is None else tf.constant(request.labels)
        return found if names is None else found | {"label": tf.gather(names, found["class_id"])}

    archive = keras.export.ExportArchive()  # it finds the variables; those of a tracked model it would write twice
    images = tf.TensorSpec((None, *served.shape_of_image), tf.float32, name="images")
    archive.add_endpoint("serving_default", lambda images: named(served(images)), input_signature=[images])
    if served.column.encoded:
        files = tf.TensorSpec((None,), tf.string, name="files")
        archive.add_endpoint(
            "image_files",
            lambda files: named(served(scoring.decoded(files, served.column))),
            input_signature=[files],
        )
    archive.write_out(to, verbose=False)


def _write_onnx(served: Served, request: Request, to: Path) -> None:
    for layer in served._flatten_layers():
        layer.dtype_policy = "float32"  # of bfloat16 ONNX Runtime has no convolutions; weights are float32 anyway
    images = keras.InputSpec(shape=(None, *served.shape_of_image), dtype="float32", name="images")
    served.export(os.fspath(to), format="onnx", verbose=False, input_signature=[images])
    if request.labels is not None:
        import onnx

        model = onnx.load(to)
        onnx.helper.set_model_props(model, {"labels": json.dumps(request.labels)})
        onnx.save(model, to)


def main(folder: Path) -> int:
    """Converts what lies in a folder; gives the exit status."""
    request = Request.from_json((folder / REQUEST).read_text(encoding="utf-8"))
    try:
        convert(request, (folder / NETWORK).read_bytes(), folder / MADE)
    except TFSparkError as error:
        refusal = (type(error).__name__, error.message, error.hint)
        (folder / REFUSAL).write_text(json.dumps(refusal), encoding="utf-8")
        return 1
    return 0


if __name__ == "__main__":
    place = Path(sys.argv[1])
    threading.Thread(target=end_with_stdin, args=(place,), daemon=True).start()
    sys.exit(main(place))
