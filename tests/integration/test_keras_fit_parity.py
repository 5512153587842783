"""Several workers under `model.fit` end with the weights and the history of one process on the joined batches."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))  # pytest's importlib mode leaves it out; the workers import by name

import keras_fit_scenarios as scenarios  # noqa: E402
from tf_processes import WorkerFailed, collect, run_workers, start_workers  # noqa: E402

TIMEOUT_S = 180
MODULE = "keras_fit_scenarios"
# Keras weighs these by step and not by row in one process, too; `test_losses_of_outputs_add_up` holds them instead.
PARTS = ("dense_", "val_dense_")


def _with_reference(function: str, workers: int, *arguments: Any) -> tuple[Any, list[Any]]:
    """Gives what one process without TF_CONFIG returns, and what each of the workers does."""
    with contextlib.ExitStack() as stack:
        many, one = (
            stack.enter_context(start_workers(f"{MODULE}:{function}", n, arguments=(*arguments, n or -workers)))
            for n in (workers, 0)
        )
        return collect(one, timeout_s=TIMEOUT_S)[0], collect(many, timeout_s=TIMEOUT_S)


@pytest.fixture(scope="module")
def two() -> tuple[Any, list[Any]]:
    return _with_reference("run", 2, scenarios.SCENARIOS)


@pytest.fixture(scope="module")
def three() -> tuple[Any, list[Any]]:
    return _with_reference("run", 3, scenarios.WITH_THREE)


@pytest.fixture(scope="module")
def special() -> tuple[Any, list[Any]]:
    return _with_reference("run_special", 2)


def _assert_same(scenario: scenarios.Scenario, expected: Any, received: Any) -> None:
    close = {"rtol": 0, "atol": scenario.tolerance}
    assert received["history"].keys() == expected["history"].keys()
    for logs in ("history", "evaluate"):
        for name, values in expected[logs].items():
            if not name.startswith(PARTS):
                np.testing.assert_allclose(received[logs][name], values, err_msg=name, **close)
    for ours, theirs in zip(received["weights"], expected["weights"], strict=True):
        np.testing.assert_allclose(ours, theirs, **close)
    assert received["loss scale"] == expected["loss scale"]


@pytest.mark.timeout(TIMEOUT_S)
@pytest.mark.parametrize("scenario", scenarios.SCENARIOS, ids=lambda s: s.name)
def test_two_workers_equal_one_process(two: Any, scenario: scenarios.Scenario) -> None:
    reference, workers = two
    for worker in workers:
        _assert_same(scenario, reference[scenario.name], worker[scenario.name])


@pytest.mark.timeout(TIMEOUT_S)
@pytest.mark.parametrize("scenario", scenarios.WITH_THREE, ids=lambda s: s.name)
def test_three_workers_equal_one_process(three: Any, scenario: scenarios.Scenario) -> None:
    reference, workers = three
    for worker in workers:
        _assert_same(scenario, reference[scenario.name], worker[scenario.name])


@pytest.mark.timeout(TIMEOUT_S)
@pytest.mark.parametrize("name", [s.name for s in scenarios.SCENARIOS if s.predicts])
def test_each_node_predicts_its_own_rows_in_order(two: Any, name: str) -> None:
    reference, workers = two
    for output, whole in enumerate(reference[name]["predict"]):
        parts = [worker[name]["predict"][output] for worker in workers]
        joined, begins = [], [0] * len(parts)
        for sizes in scenarios.VALIDATION:
            for worker, size in enumerate(sizes[: len(parts)]):
                joined.append(parts[worker][begins[worker] : begins[worker] + size])
                begins[worker] += size
        np.testing.assert_allclose(np.concatenate(joined), whole, atol=1e-5)


@pytest.mark.timeout(TIMEOUT_S)
def test_losses_of_outputs_add_up_to_the_total_on_every_node(two: Any) -> None:
    histories = [worker["two outputs"]["history"] for worker in two[1]]
    for prefix in ("", "val_"):
        parts = [name for name in histories[0] if name.startswith(f"{prefix}dense_")]
        assert len(parts) == 2
        total = np.sum([histories[0][name] for name in parts], axis=0)
        np.testing.assert_allclose(histories[0][f"{prefix}loss"], total, atol=1e-5)
        assert all(histories[0][name] == histories[1][name] for name in parts)


@pytest.mark.timeout(TIMEOUT_S)
def test_a_step_in_which_one_worker_overflows_is_skipped_by_all(two: Any) -> None:
    for worker in two[1]:
        assert worker["mixed_float16"]["loss scale"] == 2.0**15
        assert worker["one worker overflows"]["loss scale"] < 2.0**15
        assert all(np.isfinite(weight).all() for weight in worker["one worker overflows"]["weights"])


@pytest.mark.timeout(TIMEOUT_S)
@pytest.mark.parametrize("what", ["evaluate", "predict", "train_on_batch"])
def test_arrays_and_single_batches_equal_one_process(special: Any, what: str) -> None:
    reference, workers = special
    for worker in workers:
        for ours, theirs in zip(worker[what], reference[what], strict=True):
            np.testing.assert_allclose(ours, theirs, atol=1e-5)


@pytest.mark.timeout(TIMEOUT_S)
def test_epoch_logs_are_equal_on_all_nodes_and_batch_logs_are_local(special: Any) -> None:
    reference, workers = special
    for worker in workers:
        np.testing.assert_allclose(worker["history"]["loss"], reference["history"]["loss"], atol=1e-5)
    assert workers[0]["history"] == workers[1]["history"]
    assert workers[0]["batch logs"] != workers[1]["batch logs"]


@pytest.mark.timeout(TIMEOUT_S)
@pytest.mark.parametrize("what", ["predict share", "predict_on_batch"])
def test_predictions_for_rows_of_one_node_stay_there(special: Any, what: str) -> None:
    reference, workers = special
    assert [worker[what].shape for worker in workers] == [(8, 3), (8, 3)]
    if what == "predict_on_batch":
        np.testing.assert_allclose(np.concatenate([worker[what] for worker in workers]), reference[what], atol=1e-5)


@pytest.mark.timeout(TIMEOUT_S)
def test_a_loss_that_is_nan_on_one_node_stops_all_after_the_same_step() -> None:
    for result in run_workers(f"{MODULE}:stop_on_nan", 2, arguments=(2,), timeout_s=TIMEOUT_S):
        assert result["steps"] == [0, 1, 2]
        assert "BackupAndRestore would restore the chief alone" in result["refused"]


@pytest.mark.timeout(TIMEOUT_S)
def test_a_loss_that_sums_over_rows_is_refused_on_several_workers_only(special: Any) -> None:
    reference, workers = special
    assert "refused" not in reference
    for worker in workers:
        assert "expected losses with reduction 'sum_over_batch_size'" in worker["refused"]


@pytest.mark.timeout(90)
@pytest.mark.parametrize(
    ("cluster", "expected", "warm_up", "message"),
    [
        (0, 2, False, "ReplicaCountError: [worker:0] expected 2 workers (the chief counts) in TF_CONFIG, received no"),
        (1, 2, False, "ReplicaCountError: [worker:0] expected 2 workers (the chief counts) in TF_CONFIG, received 1"),
        (1, 1, True, "ClusterError: [worker:0] expected the strategy to be the first use of TensorFlow"),
        (1, 1, False, "1"),
    ],
    ids=["without TF_CONFIG", "with too few workers", "after other use of TensorFlow", "with one worker"],
)
def test_strategy_is_checked(cluster: int, expected: int, warm_up: bool, message: str) -> None:
    (said,) = run_workers(f"{MODULE}:make_strategy", cluster, arguments=(expected, warm_up), timeout_s=60)
    assert said.startswith(message)


@pytest.mark.timeout(90)
def test_another_keras_is_refused_before_anything_is_replaced() -> None:
    (said,) = run_workers(f"{MODULE}:guard", 0, timeout_s=60)
    assert said["version"].startswith("expected Keras 3.15.x to train with model.fit on several nodes, received 3.14.2")
    assert "TF_USE_LEGACY_KERAS=1" in said["version"]
    assert "with other reduce_per_replica" in said["missing"]
    assert "with other reduce_per_replica" in said["parameters"]
    assert said["untouched"] == "False"
    assert said["installed"] == said["again"] == ""


@pytest.mark.timeout(90)
def test_batches_are_split_over_the_replicas_of_a_node_in_order() -> None:
    (parts,) = run_workers(f"{MODULE}:split", 0, timeout_s=60)
    assert [x for x, _ in parts] == [[0, 1, 2], [3, 4, 5], [], [6], [7], [8, 9]]
    assert all(x == y for x, y in parts)


@pytest.mark.timeout(60)
def test_a_worker_that_fails_is_told_with_its_traceback() -> None:
    with pytest.raises(WorkerFailed, match="has no attribute 'nothing'"):
        run_workers(f"{MODULE}:nothing", 0, timeout_s=30)
