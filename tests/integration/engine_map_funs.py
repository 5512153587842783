"""A program for `TFCluster.run(engine=...)`, the same on either; executors import it by PYTHONPATH."""

from __future__ import annotations

import json
import threading
from pathlib import Path

from tfspark_cnn import InputMode, TFCluster
from tfspark_cnn.errors import TFSparkError

SCORED = "scored"
ROWS = 300
EPOCHS = 2


def take_and_score(args, ctx):
    """Takes all rows of one feed while it answers those of another, and writes down what it got."""
    mapping = {"x": "image", "id": "number"}
    feeds = ctx.get_data_feed(input_mapping=mapping), ctx.get_data_feed(train_mode=False, qname_in=SCORED)
    taken: list[dict[str, list[object]]] = []

    def take():
        while not feeds[0].should_stop():
            taken.append(feeds[0].next_batch(32))

    taker = threading.Thread(target=take)
    taker.start()
    while not feeds[1].should_stop():
        feeds[1].batch_results([2 * row for row in feeds[1].next_batch(10)])
    taker.join()
    found = {
        "taken": [row for batch in taken for row in zip(batch["image"], batch["number"], strict=True)],
        "tensors": feeds[0].input_tensors,
        "ctx": [ctx.executor_id, ctx.job_name, ctx.task_index, ctx.num_workers, ctx.is_chief, ctx.attempt],
        "roles": sorted(ctx.cluster_spec),
        "args": args["word"],
        "said": [_said(ctx, name) for name in args["ask"]],
    }
    Path(args["out"], f"{ctx.job_name}-{ctx.task_index}.json").write_text(json.dumps(found))


def _said(ctx, name):
    try:
        return str(getattr(ctx, name))
    except TFSparkError as error:
        return f"{type(error).__name__}: {error}"


def fit(args, ctx):
    """Trains as Keras 3's users do, before it takes a row."""
    import keras
    import numpy as np

    with ctx.strategy().scope():
        model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
        model.compile("sgd", "mse")
    model.fit(np.ones((8, 2), "float32"), np.ones((8, 1), "float32"), batch_size=4, verbose=0)


def compare(spark, engine, out, ask):
    """Runs the program on an engine; gives what the driver got."""
    args = {"out": out, "word": "given", "ask": ask}
    data = spark.sql(f"select id, array(float(id), 0.5f) x from range(0, {ROWS}, 1, 2)")
    more = spark.sparkContext.parallelize(range(50), 2)
    with TFCluster.run(
        spark, take_and_score, args, 2, input_mode=InputMode.SPARK, master_node="chief",
        queues=("input", "output", "error", SCORED), engine=engine,
    ) as cluster:  # fmt: skip
        cluster.train(data, num_epochs=EPOCHS)
        scored = cluster.inference(more, qname=SCORED).collect()
        nodes = [(node["executor_id"], node["job_name"], node["task_index"]) for node in cluster.nodes()]
        results = cluster.shutdown()
    took = cluster.timings()
    return {"scored": scored, "nodes": nodes, "results": results, "took": {name: took[name] > 0 for name in took}}


def fail(spark, engine):
    """Runs the other one, which fails on TensorFlowOnSpark; gives what is raised, and by what comes after."""
    said = []
    cluster = TFCluster.run(spark, fit, {}, 2, input_mode=InputMode.SPARK, master_node="chief", engine=engine)
    rows = spark.sparkContext.parallelize(range(50), 2)
    for call in (lambda: cluster.train(rows), cluster.shutdown):
        try:
            call()
        except TFSparkError as error:
            said.append([type(error).__name__, error.node or "", str(error)])
    return {"said": said, "goes on": spark.sparkContext.parallelize([1]).count()}
