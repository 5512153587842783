"""The examples, on TensorFlowOnSpark as they stand and here with our import; and one program on both engines.

A process runs many of them, and all processes run at once, since TensorFlowOnSpark mostly waits.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import engine_map_funs
import example_runs
import programs
import pyspark
import pytest
from conftest import ROOT, spark_environment

LIMIT_S = 900
"""For a machine that is busy with much else; an idle one needs a seventh of it."""

pytestmark = [pytest.mark.timeout(LIMIT_S + 60), pytest.mark.beside]

EXAMPLES = ROOT / "examples"
FORMS = {"theirs": "tensorflowonspark", "ours": "tfspark_cnn.tensorflowonspark"}
ENDS = ["mnist_tfrecord", "mnist_inference"]  # the second needs the first
PROCESSES = [
    ("theirs", ["engine", "keras", "jar"]),
    ("ours", ["engine", "mnist_rdd", "mnist_streaming", "cifar_resnet", "mnist_pipeline", *ENDS, "driver"]),
]
ITS_OWN = [("theirs", ["mnist_rdd", "mnist_pipeline"]), ("theirs", ["mnist_streaming", "cifar_resnet", *ENDS])]
"""They show nothing of ours, and TensorFlowOnSpark fails in them on a machine with much else to do."""

TRAIN_ROWS = 1437


def copied(form: str, folder: Path) -> Path:
    """Gives a folder with the examples in a form."""
    shutil.copytree(EXAMPLES, folder / "programs")
    for path in (folder / "programs").glob("*.py"):
        path.write_text(path.read_text().replace("tensorflowonspark", FORMS[form]))
    return folder


def start(form: str, folder: Path, names: list[str]) -> subprocess.Popen[Any]:
    """Starts a process that runs some of them."""
    own = folder / f"process-{names[0]}"  # for what TensorFlowOnSpark and executors leave behind
    (own / "tmp").mkdir(parents=True)
    (own / "spark").mkdir()
    environment = {**os.environ, **spark_environment(), "TF_CPP_MIN_LOG_LEVEL": "3", "TMPDIR": str(own / "tmp")}
    environment["PYTHONPATH"] = os.pathsep.join([str(folder / "programs"), environment["PYTHONPATH"]])
    # Executors work in folders of their application under SPARK_HOME, and those that start in one second have one name.
    environment["SPARK_HOME"] = str(own / "spark")
    for part in Path(pyspark.__file__).parent.iterdir():
        if part.name != "work":
            (own / "spark" / part.name).symlink_to(part)
    with (own / "stdout").open("w") as out, (own / "stderr").open("w") as err:
        return subprocess.Popen(
            [sys.executable, example_runs.__file__, form, str(folder), *names],
            stdout=out, stderr=err, cwd=folder, env=environment, start_new_session=True,
        )  # fmt: skip


@pytest.fixture(scope="module")
def asked(request: pytest.FixtureRequest) -> list[tuple[str, list[str]]]:
    """The processes that the tests of this run look at."""
    more = {item.get_closest_marker("more") is not None for item in request.session.items if item.path == request.path}
    return [*(PROCESSES if False in more else []), *(ITS_OWN if True in more else [])]


@pytest.fixture(scope="module")
def folders(asked: list[tuple[str, list[str]]], tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Path]]:
    """Where each form has written what came of its runs."""
    found = {form: copied(form, tmp_path_factory.mktemp(form)) for form in FORMS}
    processes = [start(form, found[form], names) for form, names in asked]
    try:
        for process in processes:
            process.wait(LIMIT_S)
    finally:
        for process in processes:
            programs.end(process)
    yield found


@pytest.fixture(scope="module")
def told(asked: list[tuple[str, list[str]]], folders: dict[str, Path]) -> dict[str, dict[str, Any]]:
    """What each form has told, by name."""
    results: dict[str, dict[str, Any]] = {form: {} for form in FORMS}
    for form, names in asked:
        lines = (folders[form] / f"process-{names[0]}" / "stdout").read_text().splitlines()
        found = [json.loads(line.removeprefix("RESULT ")) for line in lines if line.startswith("RESULT ")]
        results[form] |= {one["name"]: one for one in found}
    return results


def result(told: dict[str, dict[str, Any]], form: str, name: str) -> Any:
    """What a run gave, or its error as that of the test."""
    assert name in told[form], f"{form}: {name} has not come to its end; these have: {', '.join(told[form])}"
    assert "result" in told[form][name], told[form][name]["error"]
    return told[form][name]["result"]


both = pytest.mark.parametrize("form", FORMS)
theirs_later = pytest.mark.parametrize("form", [pytest.param("theirs", marks=pytest.mark.more), "ours"])


@theirs_later
def test_an_rdd_trains_a_network_by_next_batch(told, folders, form):
    found = result(told, form, "mnist_rdd")
    assert found["accuracy"] > 0.75
    assert found["steps"] == 60 and found["rows"] == 60 * 32, "90 % of three epochs, by each of two nodes"
    assert (folders[form] / "mnist_model" / "export" / "saved_model.pb").exists()


@theirs_later
def test_a_stream_trains_until_the_nodes_have_enough(told, form):
    found = result(told, form, "mnist_streaming")
    assert found["accuracy"] > 0.75 and 0 < found["steps"] <= 40 and found["rows"] <= 40 * 32


@theirs_later
def test_a_residual_network_is_trained_by_fit_on_colour_images(told, folders, form):
    found = result(told, form, "cifar_resnet")
    assert len(found["accuracy"]) == 2 and found["accuracy"][-1] > 0.8
    assert found["steps"] == 14 and found["weights"] == 19900
    assert (folders[form] / "cifar_resnet" / "export" / "saved_model.pb").exists()


@theirs_later
def test_an_estimator_trains_and_its_model_scores(told, form):
    found = result(told, form, "mnist_pipeline")
    assert found["accuracy"] > 0.75 and found["rows"] == 360


@theirs_later
def test_files_of_records_are_read_by_the_nodes_each_its_part(told, folders, form):
    found = result(told, form, "mnist_tfrecord")
    assert found["accuracy"] > 0.8 and found["rows"] == (TRAIN_ROWS + 1) // 2
    assert len(list((folders[form] / "mnist_tfrecords").glob("*.tfrecord"))) == 2


@theirs_later
def test_independent_nodes_score_all_files(told, folders, form):
    found = result(told, form, "mnist_inference")
    assert found["accuracy"] > 0.8 and found["rows"] == TRAIN_ROWS and found["files"] == 2
    rows = [path.read_text().splitlines() for path in sorted((folders[form] / "mnist_predictions").iterdir())]
    assert sum(map(len, rows)) == TRAIN_ROWS and all(rows), "each node has scored some"


def test_our_driver_has_imported_no_tensorflow(told):
    assert result(told, "ours", "driver") is False


def test_the_readme_has_a_command_for_each_example():
    assert sorted(example_runs.commands()) == sorted(path.stem for path in EXAMPLES.glob("*.py"))


def test_dfutil_there_does_not_find_its_jar(told):
    assert "org.tensorflow.hadoop.io.TFRecordFileOutputFormat" in result(told, "theirs", "jar")


# --- engine="tensorflowonspark" ---


@both
def test_one_program_gets_the_same_rows_and_results_on_both_engines(told, folders, form):
    found = result(told, form, "engine")
    assert found["scored"] == [2 * number for number in range(50)]
    assert found["nodes"] == [[0, "chief", 0], [1, "worker", 0]]
    assert found["results"] == [None, None] and found["took"] == {"start": True, "feed": True, "stop": True}
    nodes = [json.loads(path.read_text()) for path in sorted((folders[form] / "engine").iterdir())]
    assert [node["ctx"] for node in nodes] == [[0, "chief", 0, 2, True, 1], [1, "worker", 0, 2, False, 1]]
    taken = Counter(number for node in nodes for _, number in node["taken"])
    assert taken == dict.fromkeys(range(engine_map_funs.ROWS), engine_map_funs.EPOCHS)
    assert all(image == [float(number), 0.5] for node in nodes for image, number in node["taken"]), "by name"
    for node in nodes:
        assert node["tensors"] == ["number", "image"] and node["roles"] == ["chief", "worker"]
        assert node["args"] == "given"


def test_what_it_cannot_give_a_node_is_an_error_with_its_cure(told, folders):
    result(told, "theirs", "engine")
    dataset, report, barrier, epochs = json.loads((folders["theirs"] / "engine" / "chief-0.json").read_text())["said"]
    begin = "ConfigError: engine='tensorflowonspark' has no ctx."
    assert dataset.startswith(f"{begin}dataset\n  to do: take rows by ctx.get_data_feed().next_batch(n)")
    assert report.startswith(f"{begin}report") and barrier.startswith(f"{begin}barrier")
    assert epochs == f"{begin}num_epochs\n  to do: pass it in tf_args; or run with engine='native'"


def test_keras_3_on_its_workers_is_our_error_and_the_application_goes_on(told):
    found = result(told, "theirs", "keras")
    assert found["goes on"] == 1
    of_train, of_shutdown = found["said"]
    assert of_train == of_shutdown
    kind, node, text = of_train
    assert kind == "ConfigError" and node in ("chief:0", "worker:0")
    assert "Keras 3's fit, evaluate and predict do not run on several workers" in text
    assert "in fit\n" in text, "with the traceback of the node"
    assert "to do: use tf_keras, or a training loop with strategy.run; or engine='native'" in text
