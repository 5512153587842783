"""Nodes that do unlike things end the run in seconds, with names and the cure; what only looks so goes on."""

from __future__ import annotations

import logging
import re
import time

import luck_map_funs
import pytest

from tfspark_cnn import InputMode, TFCluster
from tfspark_cnn.errors import ClusterError

pytestmark = pytest.mark.timeout(180)
SOON_S = 90.0
"""TensorFlow has to be imported first; the wait of a collective has no end."""

LEFT = "let all nodes stop after the same step"
ALIKE = "let map_fun do the same on chief and workers"


@pytest.mark.beside
@pytest.mark.parametrize(
    ("what", "words", "cure"),
    [
        (
            "other_network",
            r"worker:0 created variable 3 as \S+/kernel float32\[4, 5\], chief:0 as \S+/kernel float32\[4, 3\]",
            "build the model from args",
        ),
        (
            "other_order",
            r"worker:0 created variable 1 as \S+/right/kernel .+, chief:0 as \S+/left/kernel",
            "build the model from args",
        ),
        ("stop_training", r"chief:0 waits for worker:0 in epoch 1, step 4, which waits for it in the metrics", ALIKE),
        (
            "swallow",
            r"worker:0 has left fit by OSError: the disk is full after epoch 1, step 6, and chief:0 waits for it in",
            LEFT,
        ),
        ("break", r"worker:0 waits at ctx\.barrier\(\), and chief:0 waits for it in step 4", ALIKE),
    ],
)
def test_nodes_that_do_unlike_things_end_the_run_with_both_names_and_the_cure(spark, what, words, cure):
    began = time.monotonic()
    with pytest.raises(ClusterError, match=words) as caught:
        TFCluster.run(spark, luck_map_funs.unlike, what, 2, master_node="chief").shutdown(timeout=SOON_S)
    assert cure in str(caught.value)
    assert time.monotonic() - began < SOON_S


def test_what_only_looks_unlike_goes_on_and_the_slow_node_and_the_bad_loss_are_named(spark, caplog):
    caplog.set_level(logging.WARNING, "tfspark_cnn")
    with TFCluster.run(spark, luck_map_funs.harmless, {"fits": 20, "sleep_s": 0.06}, 3, master_node="chief") as cluster:
        steps, units = zip(*cluster.shutdown(timeout=90), strict=True)
    assert steps == ([0, 1, 2, 3, 4, 5],) * 3, "all go on after a loss that is NaN, or stop alike"
    assert len(set(units)) == 1
    said = [record.getMessage() for record in caplog.records]
    (slow,) = (one for one in said if "straggler" in one)
    (bad,) = (one for one in said if "NaN" in one)
    (short,) = (one for one in said if "steps_per_epoch" in one)
    own_ms, others_ms = map(float, re.findall(r"([\d.]+) ms", slow))
    assert slow.startswith("worker:1 is a straggler") and own_ms > 60 > 3 * others_ms
    assert "on worker:1 first" in bad and "TerminateOnNaN" in bad
    assert "steps_per_epoch=9, and its data ended after 5 steps of an epoch" in short and "to do: leave out" in short
    report = cluster.step_report()
    assert report.stragglers == ("worker:1",) and "worker:1 is a straggler" in str(report)
    assert [node.name for node in report.nodes] == ["chief:0", "worker:0", "worker:1"]
    assert len({node.steps for node in report.nodes}) == 1


@pytest.mark.beside
def test_a_loop_of_ones_own_works_with_another_keras_and_fit_is_refused(spark):
    with TFCluster.run(spark, luck_map_funs.other_keras, None, 2, master_node="chief") as cluster:
        (chiefs, error), (workers, _) = cluster.shutdown(timeout=SOON_S)
    assert chiefs == workers and chiefs
    assert "expected Keras 3.15.x to train with model.fit on several nodes, received 3.99.0" in error
    assert "your own loop over strategy.run" in error


def test_a_node_that_computes_more_is_named_and_epochs_end_with_the_rows_where_steps_per_epoch_is_longer(spark, caplog):
    caplog.set_level(logging.WARNING, "tfspark_cnn")
    data = spark.createDataFrame([([1.0, 2.0], number) for number in range(140)], "x array<float>, id bigint")
    with TFCluster.run(
        spark, luck_map_funs.slow_and_short, None, 2, master_node="chief", input_mode=InputMode.SPARK
    ) as cluster:
        cluster.train(data, num_epochs=0)
        results = cluster.shutdown(timeout=SOON_S)
    assert cluster.step_report().stragglers == ("worker:0",)
    epoch = results[0].index(0, 1)  # as many as the larger share has
    assert results[0] == results[1] == [*range(epoch), *range(epoch), *range(5), *range(epoch - 5)]
    assert 5 < epoch < 10
    said = [record.getMessage() for record in caplog.records if "steps_per_epoch" in record.getMessage()]
    assert len(said) == 2
    assert f"steps_per_epoch=50, and its data ended after {epoch} steps of an epoch, on every node" in said[0]
    assert f"steps_per_epoch=5, and its data ended after {epoch - 5} steps of an epoch, on every node" in said[1]
