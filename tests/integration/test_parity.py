"""From a DataFrame through Spark into `fit` on several nodes: the result of one process on the same global batches."""

from __future__ import annotations

import map_funs
import numpy as np
import pytest
from tf_processes import run_workers

from tfspark_cnn import InputMode, TFCluster
from tfspark_cnn.feed import batching, epochs
from tfspark_cnn.feed.dealing import Dealer

pytestmark = [pytest.mark.timeout(240), pytest.mark.beside]

SIZES = (7, 0, 103, 90)
BATCH, EPOCHS, SEED = 16, 3, 11


def rows_of(partition):
    """The rows of one partition: images and labels that depend on nothing but its number."""
    draw = np.random.default_rng(partition)
    rows = SIZES[partition]
    return draw.normal(size=(rows, 16)).astype("float32"), draw.integers(0, 3, rows)


def frame(spark):
    def rows(partition):
        x, y = rows_of(partition)
        return [(image.tolist(), int(label)) for image, label in zip(x, y, strict=True)]

    data = [rows(partition) for partition in range(len(SIZES))]
    rdd = spark.sparkContext.parallelize(range(len(SIZES)), len(SIZES)).flatMap(data.__getitem__)
    return spark.createDataFrame(rdd, "x array<float>, y bigint")


def global_batches(workers, shuffle):
    """What one process has to train on: per epoch and step the rows of all nodes, from the pure modules alone."""
    shares = [_share(worker, workers) for worker in range(workers)]
    plan = epochs.plan([len(y) for _, y in shares], [BATCH] * workers)
    return [[_joined(shares, plan, epoch, step, shuffle) for step in range(plan.steps)] for epoch in range(EPOCHS)]


def _share(worker, workers):
    parts = []
    for partition, rows in enumerate(SIZES):
        mine = Dealer(partition, workers).deal(0, rows)[worker]
        parts.append(tuple(array[mine] for array in rows_of(partition)))
    return tuple(np.concatenate(arrays) for arrays in zip(*parts, strict=True))


def _joined(shares, plan, epoch, step, shuffle):
    xs, ys = [], []
    for worker, (x, y) in enumerate(shares):
        order = np.arange(len(y))
        if shuffle and epoch == 0:
            order = batching.window_order(0, len(y), seed=SEED, epoch=0, node=worker)
        elif shuffle:
            order = batching.epoch_order(len(y), seed=SEED, epoch=epoch, node=worker)
        start, stop = plan.bounds(worker, step)
        xs.append(x[order[start:stop]].reshape(-1, 4, 4, 1))
        ys.append(y[order[start:stop]])
    return np.concatenate(xs), np.concatenate(ys)


@pytest.mark.parametrize(("workers", "shuffle"), [(2, True), (3, False), (1, True)])
def test_any_number_of_nodes_gives_weights_and_history_of_one_process(spark, workers, shuffle):
    batches = global_batches(workers, shuffle)
    assert sum(SIZES) % (workers * BATCH), "the rows must not divide by workers x batch"
    with TFCluster.run(
        spark, map_funs.fit_small, {"batch": BATCH, "shuffle": shuffle}, workers, input_mode=InputMode.SPARK,
        master_node="chief", seed=SEED,
    ) as cluster:  # fmt: skip
        cluster.train(frame(spark), num_epochs=EPOCHS)
        results = cluster.shutdown()
    (alone,) = run_workers("map_funs:fit_alone", 0, arguments=(batches,), timeout_s=120)
    assert {result["steps"] for result in results} == {sum(len(epoch) for epoch in batches)}
    for result in results:
        assert result["history"].keys() == alone["history"].keys()
        for name, values in alone["history"].items():
            np.testing.assert_allclose(result["history"][name], values, rtol=0, atol=1e-5, err_msg=name)
        for ours, theirs in zip(result["weights"], alone["weights"], strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-5)
