"""Nodes die, and the cluster begins anew: it ends with the weights and the history of a run that nobody disturbed."""

from __future__ import annotations

import dataclasses
import random
import re
import subprocess
import sys

import numpy as np
import pytest
from restart_map_funs import BATCH, EPOCHS, ROWS, WEIGHTS, Death, Plan

from tfspark_cnn import InputMode, TFCluster
from tfspark_cnn.errors import CheckpointError, ConfigError, FeedError, NodeError

pytestmark = pytest.mark.timeout(400)
STEPS = EPOCHS * -(-ROWS // (2 * BATCH))
SEED = 8
START_S = 3.0
"""So much longer than starting may it take from a death to the next step."""


def rows(spark, count=ROWS, seed=0, partitions=4):
    """Rows in an order that does not depend on which executor computes them."""
    x = np.random.default_rng(seed).normal(size=(count, 4))
    values = [(one.tolist(), [float(one @ np.ravel(WEIGHTS))]) for one in x]
    return spark.createDataFrame(spark.sparkContext.parallelize(values, partitions), "x array<float>, y array<float>")


def run(spark, plan, model_dir, *, max_restarts=0, map_fun="restart_map_funs:fit", data=None, nodes=2, **how):
    """Trains, and gives the results by node and the cluster."""
    how = {"input_mode": InputMode.SPARK, "master_node": "chief", "seed": 3, **how}
    with TFCluster.run(
        spark, map_fun, plan, nodes, model_dir=str(model_dir), max_restarts=max_restarts, **how
    ) as cluster:
        for _ in range(plan.fits):
            cluster.train(data or rows(spark), num_epochs=plan.epochs, validation=rows(spark, 40, 1))
        return cluster.shutdown(), cluster


@pytest.fixture(scope="module")
def whole(spark, tmp_path_factory):
    """The run that nobody disturbs; and how long it takes to its first step."""
    results, cluster = run(spark, Plan(), tmp_path_factory.mktemp("whole"))
    return results, cluster.attempts()[0].first_step_s


def assert_same(results, whole):
    for received, expected in zip(results, whole, strict=True):
        for what in ("weights", "optimizer"):
            for one, other in zip(received[what], expected[what], strict=True):
                np.testing.assert_allclose(one, other, rtol=0, atol=1e-6)
        for one, other in zip(received["history"], expected["history"], strict=True):
            assert list(one) == list(other)
            for name in one:
                np.testing.assert_allclose(one[name], other[name], rtol=1e-5, atol=1e-5, err_msg=name)
        assert received["epochs"] == expected["epochs"]


def deaths(seed):
    """Ten deaths, one in each attempt: of any node, at any step of each phase."""
    draw = random.Random(seed)
    phases = [
        ("enter", 1, 1), ("batch", 1, 3), ("save", 1, 3), ("validation", 1, 4), ("batch", 5, 12), ("batch", 1, 6),
        ("epoch", 1, 1), ("save", 1, 2), ("end", 1, 1), ("leave", 1, 1),
    ]  # fmt: skip
    found = [
        Death(attempt, draw.randrange(2), where, draw.randint(least, most))
        for attempt, (where, least, most) in enumerate(phases, 1)
    ]
    found[5] = dataclasses.replace(found[5], how="executor")
    return tuple(found)


def test_nodes_that_die_ten_times_in_every_phase_change_nothing(spark, whole, tmp_path):
    expected, started_s = whole
    plan = Plan(deaths=deaths(SEED))
    results, cluster = run(spark, plan, tmp_path, max_restarts=len(plan.deaths))
    attempts = cluster.attempts()
    print(*attempts, sep="\n")
    assert_same(results, expected)
    assert [bool(one.cause) for one in attempts] == [True] * len(plan.deaths) + [False]
    for attempt, death in zip(attempts, plan.deaths, strict=False):
        assert attempt.node == ("chief:0", "worker:0")[death.node] or death.how == "executor"
    resumed = [one.resumed_step or 0 for one in attempts]
    assert resumed == sorted(resumed) and resumed[-1] == STEPS, "none goes on before the one before it"
    assert len(set(resumed)) >= 5
    recovered = [one.recovery_s for one in attempts if one.recovery_s is not None]
    print("from a death to the next step, s:", *(f"{one:.1f}" for one in recovered), f"; to the first: {started_s:.1f}")
    assert max(recovered) <= started_s + START_S


@pytest.mark.beside
def test_a_driver_that_was_restarted_goes_on_with_the_same_data_alone(spark, whole, tmp_path):
    with pytest.raises(NodeError, match="was ended by SIGKILL"):
        run(spark, Plan(deaths=(Death(1, 0, "batch", 20),)), tmp_path)
    with pytest.raises(FeedError, match="the checkpoint is of other data: of the first row"):
        run(spark, Plan(), tmp_path, data=rows(spark, seed=9))
    results, cluster = run(spark, Plan(), tmp_path)
    assert_same(results, whole[0])
    assert cluster.attempts()[0].resumed_step == 16, "in the second epoch"


@pytest.mark.beside
def test_a_failure_that_comes_again_stops_the_run_before_the_budget_is_gone(spark, tmp_path, caplog):
    deaths = tuple(Death(attempt, 1, "enter", how="exception") for attempt in range(1, 9))
    with pytest.raises(NodeError, match="the lens is dirty") as caught:
        run(spark, Plan(deaths=deaths), tmp_path, max_restarts=8)
    why = "This was attempt 2; there is no other: 2 attempts ended alike before the first checkpoint"
    assert why in str(caught.value)
    assert "attempt 2 of at most 9 begins" in caplog.text


@pytest.mark.beside
def test_an_evaluator_scores_each_checkpoint_marks_the_best_and_ends_training(spark, tmp_path):
    plan = Plan(epochs=60, patience=2, slow_s=0.05, options={"keep": 10})
    results, cluster = run(
        spark, plan, tmp_path, map_fun="restart_map_funs:fit_and_score", nodes=3, eval_node=True,
        log_dir=str(tmp_path / "logs"),
    )  # fmt: skip
    chief, scores, worker = results
    found = cluster.evaluations()
    assert [one["step"] for one in found] == [one["step"] for one in scores] and len(scores) >= 3
    assert chief["epochs"] == worker["epochs"] and len(chief["epochs"][0]) < 60, "training ended early, on both alike"
    best = min(found, key=lambda one: one["metrics"]["mae"])
    assert best["best"]
    events = list((tmp_path / "logs" / "evaluator-0").glob("events.out.tfevents.*"))
    assert events, "for TensorBoard"
    assert re.search(rf'"step": {best["step"]}\b', (tmp_path / "checkpoints" / "best.json").read_text())
    load = f"import restart_map_funs as m; m.load_best({str(tmp_path)!r}, {str(tmp_path / 'nowhere')!r})"
    ran = subprocess.run([sys.executable, "-c", load], capture_output=True, text=True, check=True)
    step, other, nowhere = ran.stdout.splitlines()[-3:]
    assert int(step) == best["step"]
    assert "is of another model" in other and other.endswith("to do: build the model as the one that was trained")
    assert "expected the newest checkpoint in" in nowhere and "pass the model_dir of a run" in nowhere


@pytest.mark.beside
def test_restarts_that_cannot_be_are_refused(spark, tmp_path):
    with pytest.raises(ConfigError, match="max_restarts is -1, expected 0 or more"):
        TFCluster.run(spark, "restart_map_funs:fit", None, 2, max_restarts=-1)
    with pytest.raises(CheckpointError, match="could not write"):
        run(spark, Plan(), "/proc/nowhere")
