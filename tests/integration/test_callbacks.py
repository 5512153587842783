"""Callbacks on one node: their memory, files that all nodes would write, and `fit` that goes on where it was killed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tf_processes import run_workers

pytestmark = [pytest.mark.timeout(180), pytest.mark.beside]


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = str(tmp_path_factory.mktemp("callbacks"))
    return run_workers("callback_scenarios:run", 1, arguments=(folder,), timeout_s=150)[0]


def test_what_callbacks_remember_comes_back(found: dict[str, Any]) -> None:
    *remembered, own, wait, best, other = found["memory"]
    assert remembered == [2, 0.25, 3, [[1.0, 1.0], [[0.0, 0.0]]], 9], "and what the user asks for stays as asked"
    assert (own, wait, best, other) == (5, 1, 0.5, 6)


def test_a_callback_that_has_a_file_on_every_node_is_warned_of(found: dict[str, Any]) -> None:
    first, second = found["files"]
    assert first.startswith("Keeps has filepath='a.h5' and runs on every node; let it work on the chief alone")
    assert second.startswith("Keeps has _log_dir='logs' and runs on every node")


@pytest.mark.parametrize(
    ("killed", "at"), [(1, []), (3, [(0, 2)]), (5, [(0, 4)]), (8, [(1, 3)]), (10, [(1, 5)]), (14, [(2, 4)])]
)
def test_fit_on_a_dataset_of_the_users_own_goes_on_at_the_step(found: dict[str, Any], killed: int, at: Any) -> None:
    results = found["own dataset"]
    where, weights, history, epochs = results[killed]
    assert where == at, "after five steps an epoch of 20 rows is over, and before the next one begins it is not saved"
    for one, other in zip(weights, results["whole"], strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-6)
    assert epochs == [0, 1, 2] and set(history) == set(results["history"])
    for name, values in results["history"].items():
        np.testing.assert_allclose(history[name], values, rtol=1e-5)


def test_calls_of_fit_that_had_ended_are_skipped(found: dict[str, Any]) -> None:
    results = found["several fits"]
    assert results["killed"] and results["same"]
    assert results["at"] == [(1, 1, 1)]
    assert results["again"] == results["whole"], "their history is still what they were"


def test_a_checkpoint_of_another_model_or_optimizer_is_refused(found: dict[str, Any]) -> None:
    shape, optimizer = found["other model"]
    assert "of another model: variable 1 (sequential/dense/kernel) was float32[2, 3], is float32[2, 4]" in shape
    assert "of another optimizer: the optimizer was Adam, now SGD" in optimizer
    assert shape.endswith("to do: use another model_dir, or delete its checkpoints folder")


def test_a_csv_logger_goes_on_and_backup_and_restore_is_left_out(found: dict[str, Any]) -> None:
    header, *rows = found["kinds"]["csv"]
    assert header.startswith("epoch,") and [row.split(",")[0] for row in rows] == ["0", "1", "2"]
    assert not found["kinds"]["backup"]
