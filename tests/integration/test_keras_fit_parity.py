"""Several workers under `model.fit` end with the weights and the history of one process on the joined batches."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))  # pytest's importlib mode leaves it out; the workers import by name

import keras_fit_scenarios as table  # noqa: E402
import keras_fit_special as special  # noqa: E402
from keras_fit_models import TWO_OUTPUTS  # noqa: E402
from tf_processes import WorkerFailed, collect, run_workers, start_workers  # noqa: E402

TIMEOUT_S = 480  # of a busy machine; idle it is a minute
NUMBERS = (2, 3)
# Keras weighs these by step and not by row in one process, too; `test_losses_of_outputs_add_up` holds them instead.
PARTS = tuple(f"{prefix}{name}_" for name in TWO_OUTPUTS for prefix in ("", "val_"))
CHECKS = "keras_fit_checks"

pytestmark = [pytest.mark.timeout(TIMEOUT_S), pytest.mark.beside]


@pytest.fixture(scope="module")
def results() -> dict[int, list[Any]]:
    """What one process (0), two workers and three have to show; all run at once, since they mostly wait."""
    with contextlib.ExitStack() as stack:
        started = {
            n: stack.enter_context(start_workers("keras_fit_special:everything", n, arguments=(n,)))
            for n in (*NUMBERS, 0)
        }
        return {n: collect(workers, timeout_s=TIMEOUT_S) for n, workers in started.items()}


@pytest.fixture(params=NUMBERS, ids=lambda n: f"{n} workers")
def workers(results: dict[int, list[Any]], request: pytest.FixtureRequest) -> list[Any]:
    return results[request.param]


@pytest.fixture
def one(results: dict[int, list[Any]]) -> Any:
    return results[0][0]


def assert_close(received: Any, expected: Any, tolerance: float = 1e-5) -> None:
    for ours, theirs in zip(received, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=tolerance)


@pytest.mark.parametrize("scenario", table.SCENARIOS, ids=lambda s: s.name)
def test_workers_equal_one_process(one: Any, workers: list[Any], scenario: table.Scenario) -> None:
    expected = one["table"][scenario.name]
    for worker in workers:
        received = worker["table"][scenario.name]
        for logs in ("history", "evaluate"):
            names = [name for name in expected[logs] if not name.startswith(PARTS)]
            assert received[logs].keys() == expected[logs].keys()
            assert_close([received[logs][n] for n in names], [expected[logs][n] for n in names], scenario.tolerance)
        assert_close(received["weights"], expected["weights"], scenario.tolerance)
        assert received["loss scale"] == expected["loss scale"]
        np.testing.assert_equal(received["history"], workers[0]["table"][scenario.name]["history"])  # bit by bit


@pytest.mark.parametrize("name", [s.name for s in table.SCENARIOS if s.predicts])
def test_each_node_predicts_its_own_rows_in_order(one: Any, workers: list[Any], name: str) -> None:
    for output, whole in enumerate(one["table"][name]["predict"]):
        parts = [worker["table"][name]["predict"][output] for worker in workers]
        joined, begins = [], [0] * len(parts)
        for sizes in table.VALIDATION[len(workers)]:
            for worker, size in enumerate(sizes):
                joined.append(parts[worker][begins[worker] : begins[worker] + size])
                begins[worker] += size
        np.testing.assert_allclose(np.concatenate(joined), whole, atol=1e-5)


def test_losses_of_outputs_add_up_to_the_total_on_every_node(workers: list[Any]) -> None:
    history = workers[0]["table"]["two inputs and two outputs"]["history"]
    for prefix in ("", "val_"):
        total = sum(
            weight * np.array(history[f"{prefix}{name}_loss"])
            for name, weight in zip(TWO_OUTPUTS, (1.0, 0.5), strict=True)
        )
        np.testing.assert_allclose(history[f"{prefix}loss"], total, atol=1e-5)


def test_callbacks_that_act_on_epochs_did_so(one: Any) -> None:
    plateau = one["table"]["plateau, then early stop"]["history"]["learning_rate"]
    np.testing.assert_allclose(plateau, [0.1, 0.1, 0.01], rtol=1e-5)  # of nine epochs
    np.testing.assert_allclose(one["table"]["learning rate by epoch"]["history"]["learning_rate"], [0.1, 0.05, 0.1 / 6])


def test_a_step_in_which_one_worker_overflows_is_skipped_by_all(workers: list[Any]) -> None:
    for worker in workers:
        assert worker["table"]["mixed_float16"]["loss scale"] == 2.0**15
        assert worker["table"]["one worker overflows"]["loss scale"] < 2.0**15
        assert all(np.isfinite(weight).all() for weight in worker["table"]["one worker overflows"]["weights"])


@pytest.mark.parametrize("what", ["evaluate", "predict"])
def test_arrays_that_keras_deals_equal_one_process(one: Any, workers: list[Any], what: str) -> None:
    for worker in workers:
        np.testing.assert_allclose(worker["arrays"][what], one["arrays"][what], atol=1e-5)


def test_epoch_logs_are_equal_on_all_nodes_and_batch_logs_are_of_own_rows(one: Any, workers: list[Any]) -> None:
    logs = [worker["arrays"]["batch logs"] for worker in workers]
    for worker in workers:
        np.testing.assert_allclose(worker["arrays"]["history"]["loss"], one["arrays"]["history"]["loss"], atol=1e-5)
        assert worker["arrays"]["history"] == workers[0]["arrays"]["history"]
    assert logs[0] != logs[1]
    full = slice(0, 3)  # steps of the first epoch in which all nodes have as many rows
    np.testing.assert_allclose(np.mean(logs, axis=0)[full], one["arrays"]["batch logs"][full], atol=1e-5)


@pytest.mark.parametrize("what", ["predict share", "predict_on_batch"])
def test_predictions_for_rows_of_one_node_stay_there(one: Any, workers: list[Any], what: str) -> None:
    parts = [worker["arrays"][what] for worker in workers]
    assert [part.shape for part in parts] == [(special.TOGETHER // len(workers), 3)] * len(workers)
    np.testing.assert_allclose(np.concatenate(parts), one["arrays"][what], atol=1e-5)


def test_single_batches_of_changing_sizes_equal_one_process(one: Any, workers: list[Any]) -> None:
    for worker in workers:
        assert_close(worker["single batches"]["train_on_batch"], one["single batches"]["train_on_batch"])
    own = [worker["single batches"]["test_on_batch"] for worker in workers]
    np.testing.assert_allclose(np.mean(own), one["single batches"]["test_on_batch"], atol=1e-5)


@pytest.mark.parametrize("loop", ["weighed loop", "counted loop"])
def test_a_loop_of_ones_own_equals_one_process(one: Any, workers: list[Any], loop: str) -> None:
    for worker in workers:
        assert_close(worker[loop], one[loop])


def test_dropout_drops_at_its_rate_on_each_node_and_elsewhere(one: Any, workers: list[Any]) -> None:
    kept = [worker["dropout"]["kept"] for worker in workers]
    for part in kept:
        assert sorted(np.unique(part)) == pytest.approx([0, 1 / (1 - special.DROPPED)])
        assert np.mean(part == 0) == pytest.approx(special.DROPPED, abs=0.04)  # 3,000 draws: 5 standard deviations
    assert np.mean((kept[0] == 0) & (kept[1] == 0)) == pytest.approx(special.DROPPED**2, abs=0.04)


def test_seeds_of_dropout_are_variables_that_are_equal_on_all_nodes(one: Any, workers: list[Any]) -> None:
    for worker in workers:
        np.testing.assert_array_equal(worker["dropout"]["seed"], one["dropout"]["seed"])
        assert worker["dropout"]["history"] == workers[0]["dropout"]["history"]


def test_plain_normalisation_keeps_the_mean_over_nodes_on_all_of_them(one: Any, workers: list[Any]) -> None:
    for worker in workers:
        assert_close(worker["plain normalisation"]["moments"][:1], one["plain normalisation"]["moments"][:1])
        assert_close(worker["plain normalisation"]["moments"], special.moving_moments(len(workers)))
        for ours, theirs in zip(
            worker["plain normalisation"]["weights"], workers[0]["plain normalisation"]["weights"], strict=True
        ):
            np.testing.assert_array_equal(ours, theirs)


def test_gradients_as_bfloat16_train_almost_the_same_and_the_same_on_all_nodes(one: Any, workers: list[Any]) -> None:
    exact = one["table"]["sgd with a short tail"]
    distance = max(np.abs(a - b).max() for a, b in zip(workers[0]["half"]["weights"], exact["weights"], strict=True))
    assert 1e-5 < distance < 5e-3  # rounded to 8 bits, and no more than that
    np.testing.assert_allclose(workers[0]["half"]["history"]["loss"], exact["history"]["loss"], rtol=2e-3)
    for worker in workers:
        assert worker["half"]["history"] == workers[0]["half"]["history"]
        for ours, theirs in zip(worker["half"]["weights"], workers[0]["half"]["weights"], strict=True):
            np.testing.assert_array_equal(ours, theirs)


def test_a_loss_that_is_nan_on_one_node_stops_all_after_the_same_step(workers: list[Any]) -> None:
    for worker in workers:
        assert worker["nan"]["steps"] == [0, 1, 2]
        assert "BackupAndRestore would restore the chief alone" in worker["nan"]["refused"]


def test_a_loss_that_sums_over_rows_is_refused_on_several_workers_only(one: Any, workers: list[Any]) -> None:
    assert one["refused"] == ""
    for worker in workers:
        assert "expected losses with reduction 'sum_over_batch_size'" in worker["refused"]


def test_keras_2_equals_one_process_and_takes_as_many_steps() -> None:
    legacy = {"TF_USE_LEGACY_KERAS": "1"}
    for result in run_workers(f"{CHECKS}:legacy", 2, arguments=(2,), timeout_s=TIMEOUT_S, environment=legacy):
        assert result["keras"].startswith("tf_keras")
        assert result["steps"] == 8
        together, alone = result["weights"]
        assert_close(together, alone)
        assert_close(result["history"][0]["loss"], result["history"][1]["loss"])
        assert_close(result["told"], [loss for history in result["history"] for loss in history["loss"]])


@pytest.mark.parametrize(
    ("cluster", "cases", "messages"),
    [
        (
            0,
            ((2, False),),
            ["ReplicaCountError: [worker:0] expected 2 workers (the chief counts) in TF_CONFIG, received no"],
        ),
        (
            1,
            ((2, False), (1, False)),
            [
                "ReplicaCountError: [worker:0] expected 2 workers (the chief counts) in TF_CONFIG, received 1",
                "1 mixed_bfloat16",
            ],
        ),
        (1, ((1, True),), ["ClusterError: [worker:0] expected the strategy to be the first use of TensorFlow"]),
    ],
    ids=["without TF_CONFIG", "with too few workers, then enough", "after other use of TensorFlow"],
)
def test_strategy_is_checked(cluster: int, cases: tuple[tuple[int, bool], ...], messages: list[str]) -> None:
    (said,) = run_workers(f"{CHECKS}:strategies", cluster, arguments=(cases,), timeout_s=TIMEOUT_S)
    assert len(said) == len(messages)
    assert all(one.startswith(message) for one, message in zip(said, messages, strict=True))


def test_the_job_of_the_command_line_computes_in_the_precision_of_its_configuration() -> None:
    (said,) = run_workers(f"{CHECKS}:job", 1, arguments=("mixed_bfloat16",), timeout_s=TIMEOUT_S)
    *hidden, output = said["layers"]
    assert set(hidden) == {"bfloat16"}
    assert output == "float32"  # probabilities are not rounded
    assert np.isfinite(said["loss"]).all()


@pytest.fixture(scope="module")
def alone() -> tuple[Any, Any]:
    return run_workers(f"{CHECKS}:alone", 0, timeout_s=TIMEOUT_S)[0]


def test_another_keras_is_refused_before_anything_is_replaced(alone: tuple[Any, Any]) -> None:
    said, _ = alone
    assert said["version"].startswith("expected Keras 3.15.x to train with model.fit on several nodes, received 3.14.2")
    assert "TF_USE_LEGACY_KERAS=1" in said["version"]
    assert "with other reduce_per_replica" in said["missing"]
    assert "with other reduce_per_replica" in said["parameters"]
    assert said["untouched"] == "False"
    assert said["installed"] == said["again"] == ""


def test_batches_are_split_over_the_replicas_of_a_node_in_order(alone: tuple[Any, Any]) -> None:
    _, parts = alone
    assert [x for x, _ in parts] == [[0, 1, 2], [3, 4, 5], [], [6], [7], [8, 9]]
    assert all(x == y for x, y in parts)


def test_a_worker_that_fails_is_told_with_its_traceback() -> None:
    with pytest.raises(WorkerFailed, match="has no attribute 'nothing'"):
        run_workers(f"{CHECKS}:nothing", 0, timeout_s=30)
