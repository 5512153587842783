"""An exported network says the same as `transform`: read by TensorFlow and ONNX Runtime, without this package."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tfspark_cnn.ml import CNNClassificationModel, CNNRegressionModel

pytestmark = [pytest.mark.timeout(300), pytest.mark.beside]

SHAPE, ROWS, SCALE = [8, 8, 1], 7, 1 / 64
LABELS = ("naught", "one", "two")
BUILD = """
import json, sys
from pathlib import Path
import keras
from tfspark_cnn.errors import ConfigError
from tfspark_cnn.feed.columns import Column
from tfspark_cnn.ml.export_process import Request
from tfspark_cnn.models import registry
from tfspark_cnn.training.export import convert

def refused(request):
    try:
        convert(request, classifier, folder / "refused")
    except ConfigError as error:
        return str(error)

folder = Path(sys.argv[1])
keras.utils.set_random_seed(3)
registry.build("small_cnn", input_shape=(8, 8, 1), classes=3).save(folder / "classifier.keras")
layers = [keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(1, bias_initializer="ones")]
keras.Sequential(layers).save(folder / "regressor.keras")
classifier, regressor = ((folder / f"{name}.keras").read_bytes() for name in ("classifier", "regressor"))
column = Column("image", shape=(8, 8, 1), dtype="float32", scale=1 / 64)
convert(Request("saved_model", column, None, "number"), regressor, folder / "regressor")
convert(Request("saved_model"), classifier, folder / "bare")
Path(sys.argv[2]).write_text(json.dumps({
    "labels": refused(Request("saved_model", column, ("one",), "classes")),
    "shape": refused(Request("onnx", Column("image", shape=(9, 8, 1)), None, "classes")),
}))
"""
SCORE = """
import json, sys
from pathlib import Path
import keras, numpy as np, onnx, onnxruntime, tensorflow as tf

def said(name, signature="serving_default", **inputs):
    model = tf.saved_model.load(folder / name)  # alone it is what TensorFlow Serving has
    given = {name: tf.constant(value) for name, value in inputs.items()}
    return {name: plain(value.numpy()) for name, value in model.signatures[signature](**given).items()}

def plain(values):
    kept = {"f": "float32", "i": "int64"}.get(values.dtype.kind)
    return [str(values.dtype), [one.decode() for one in values] if kept is None else values.tolist()]

folder = Path(sys.argv[1])
images, files = np.load(folder / "images.npy"), [path.read_bytes() for path in sorted(folder.glob("*.png"))]
session = onnxruntime.InferenceSession(folder / "digits.onnx")
names = [one.name for one in session.get_outputs()]
found = zip(names, session.run(names, {"images": images}))
network = keras.models.load_model(folder / "classifier.keras", compile=False)
Path(sys.argv[2]).write_text(json.dumps({
    "keras": plain(np.asarray(network(images / 64, training=False))),
    "of files": said("files/1", "image_files", files=files),
    "of pixels": said("files/1", images=images),
    "regressor": said("regressor", images=images),
    "bare": said("bare", images=images / 64),
    "signatures": sorted(tf.saved_model.load(folder / "bare").signatures),
    "onnx": {name: plain(value) for name, value in found},
    "labels": json.loads({one.key: one.value for one in onnx.load(folder / "digits.onnx").metadata_props}["labels"]),
    "onnx input": [[one.name, one.type, one.shape[1:]] for one in session.get_inputs()],
}))
"""


def in_python(program: str, folder: Path) -> Any:
    """Runs a program in a process of its own; gives what it wrote."""
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    argv = [sys.executable, "-c", program, str(folder), str(folder / "said.json")]
    ran = subprocess.run(argv, capture_output=True, text=True, env=environment, check=False)
    assert ran.returncode == 0, ran.stderr[-3000:]
    return json.loads((folder / "said.json").read_text())


def png(pixels: np.ndarray) -> bytes:
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images as pixels and, of another size, as files."""
    folder = tmp_path_factory.mktemp("exports")
    random = np.random.default_rng(5)
    np.save(folder / "images.npy", random.integers(0, 256, (ROWS, *SHAPE)).astype(np.float32))
    for row in range(ROWS):
        (folder / f"{row}.png").write_bytes(png(random.integers(0, 256, (11, 9), dtype=np.uint8)))
    return folder


@pytest.fixture(scope="module")
def refusals(folder: Path) -> dict[str, str]:
    """Networks that nobody trained, and what of them is not exported."""
    found: dict[str, str] = in_python(BUILD, folder)
    return found


@pytest.fixture(scope="module")
def models(spark, refusals, folder: Path) -> dict[str, Any]:
    classifier, regressor = ((folder / f"{name}.keras").read_bytes() for name in ("classifier", "regressor"))
    made = {
        "pixels": CNNClassificationModel(classifier, labels=LABELS).setFeaturesCol("image"),
        "files": CNNClassificationModel(classifier, labels=LABELS).setFeaturesCol("file"),
        "number": CNNRegressionModel(regressor).setFeaturesCol("image"),
    }
    made["files"].setEncoding("png").setResize("bilinear")
    for name, model in made.items():
        model.setInputShape(SHAPE).setScale(SCALE).setPredictionCol(name)
    for name in ("pixels", "files"):
        made[name].setProbabilityCol(f"p {name}").setRawPredictionCol("")
    return made


@pytest.fixture(scope="module")
def scored(spark, models, folder: Path) -> dict[str, np.ndarray]:
    """What `transform` says, by column."""
    images = np.load(folder / "images.npy").reshape(ROWS, -1).tolist()
    files = [bytearray(path.read_bytes()) for path in sorted(folder.glob("*.png"))]
    rows = zip(range(ROWS), images, files, strict=True)
    frame = spark.createDataFrame(list(rows), "id int, image array<float>, file binary")
    for model in models.values():
        frame = model.transform(frame.coalesce(1))
    found = frame.orderBy("id").collect()
    return {name: np.array([row[name] for row in found]) for name in frame.columns[3:]}


@pytest.fixture(scope="module")
def said(models, folder: Path) -> dict[str, Any]:
    """What exports say: one made by the driver, one by the command line from a saved model, in a fresh process."""
    loaded = "tensorflow" in sys.modules
    written = models["files"].export(folder / "files" / "1")
    assert (written.format, written.bytes > 500_000) == ("saved_model", True)
    assert ("tensorflow" in sys.modules) == loaded, "TensorFlow is imported in a process of its own"
    models["pixels"].save(str(folder / "saved"))
    command = [str(Path(sys.executable).parent / "tfspark-cnn"), "export", "saved", "digits.onnx", "--json"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["format"] == "onnx"
    found: dict[str, Any] = in_python(SCORE, folder)
    return found


def check_classes(found: dict[str, Any], probabilities: np.ndarray) -> None:
    assert found["probabilities"][0] == "float32" and found["class_id"][0] == "int64"
    np.testing.assert_allclose(found["probabilities"][1], probabilities, atol=1e-5)
    assert found["class_id"][1] == np.asarray(probabilities).argmax(axis=1).tolist()


def test_a_saved_model_says_of_files_what_transform_says(said, scored) -> None:
    check_classes(said["of files"], scored["p files"])
    assert said["of files"]["label"][1] == [LABELS[int(number)] for number in scored["files"]]
    assert np.ptp(scored["p files"], axis=0).max() > 0.01, "images that all look alike would prove nothing"


def test_a_saved_model_takes_pixels_before_the_scale_as_transform_does(said, scored) -> None:
    check_classes(said["of pixels"], scored["p pixels"])
    np.testing.assert_allclose(scored["p pixels"], said["keras"][1], atol=1e-5)
    assert np.ptp(scored["p pixels"], axis=0).max() > 0.01


def test_onnx_says_what_transform_says_and_knows_the_labels(said, scored) -> None:
    check_classes(said["onnx"], scored["p pixels"])
    assert said["labels"] == list(LABELS)
    assert said["onnx input"] == [["images", "tensor(float)", SHAPE]]


def test_a_regressor_gives_a_prediction(said, scored) -> None:
    assert list(said["regressor"]) == ["prediction"]
    np.testing.assert_allclose(said["regressor"]["prediction"][1], scored["number"], rtol=1e-5)


def test_a_bare_network_is_exported_with_what_it_says_itself(said) -> None:
    check_classes(said["bare"], np.array(said["keras"][1]))
    assert said["signatures"] == ["serving_default"]


def test_what_does_not_fit_the_network_is_refused(refusals) -> None:
    assert refusals["labels"].startswith("the network gives 3 classes, expected as many names, received 1\n")
    assert refusals["shape"].startswith("the network takes images of (8, 8, 1), expected inputShape=(9, 8, 1)\n")
