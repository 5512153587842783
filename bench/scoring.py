"""`CNNClassificationModel.transform` against `pyspark.ml.functions.predict_batch_udf` with the same network.

Both score the same rows, which Spark keeps, with the small CNN of `conf/digits.toml`, in batches of as many rows, to a
column of probabilities that is added up. What they are compared with predicts as Keras does a batch at once
(`predict_on_batch`), which is faster than the `predict` of PySpark's own example. TensorFlow and the network are in all
Python workers, of which each side has its own, before the clock starts. Then what such a worker holds with ten times
the rows.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench import part
from bench.part import Options
from bench.processes import FEEDER, watched
from bench.rounds import Ratio, interleaved, timed
from bench.rows import Rows, frame
from bench.spark import PARTITIONS, application, workers_of_their_own

ROWS = Rows("8x8x1 float32", 100_000, (8, 8, 1), "float32")
BATCH_ROWS = 256
TIMES = 10
MAKE = """
import sys
from tfspark_cnn.models import registry
registry.build("small_cnn", input_shape=(8, 8, 1), classes=10).save(sys.argv[1])
"""


def network() -> bytes:
    """Gives the bytes of the network's `.keras` file, made in a process of its own."""
    with tempfile.TemporaryDirectory(prefix="bench-network-") as folder:
        path = Path(folder, "small_cnn.keras")
        subprocess.run([sys.executable, "-c", MAKE, path], check=True, capture_output=True)
        return path.read_bytes()


def contenders(spark: Any, saved: bytes) -> dict[str, Callable[[Any], Any]]:
    """Gives what makes the column of probabilities of a column of images, on both sides."""
    from pyspark.ml.functions import predict_batch_udf
    from pyspark.sql.types import ArrayType, FloatType

    from tfspark_cnn.ml import CNNClassificationModel

    model = CNNClassificationModel(saved).setFeaturesCol("image").setInputShape(list(ROWS.shape))
    shared = spark.sparkContext.broadcast(saved)

    def make_predict() -> Callable[[Any], Any]:
        import keras

        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "model.keras")
            path.write_bytes(shared.value)
            loaded = keras.models.load_model(path, compile=False)
        return loaded.predict_on_batch

    how = {"return_type": ArrayType(FloatType()), "batch_size": BATCH_ROWS, "input_tensor_shapes": [list(ROWS.shape)]}

    def theirs(images: Any) -> Any:
        with workers_of_their_own(spark.sparkContext):
            return predict_batch_udf(make_predict, **how)(images)

    return {"ours": lambda images: model.setScoringBatchSize(BATCH_ROWS).scores(images, spark), "theirs": theirs}


def scored(data: Any, score: Callable[[Any], Any]) -> float:
    """Scores all rows, and gives the sum of the probabilities, which is the number of rows."""
    from pyspark.sql import functions as sf

    total = sf.aggregate(score(data["image"]), sf.lit(0.0), lambda sum_, p: sum_ + p)
    return float(data.select(sf.sum(total)).first()[0])


def measure(spark: Any, options: Options, *, partitions: int = PARTITIONS) -> list[Ratio]:
    """Measures both sides in turn, and then the memory."""
    rows = ROWS.with_count(options.rows(ROWS.count))
    saved = network()
    data = frame(spark, rows, partitions=partitions).persist()
    assert data.count() == rows.count

    def rate(score: Callable[[Any], Any]) -> float:
        sums: list[float] = []
        seconds = timed(lambda: sums.append(scored(data, score)))
        assert abs(sums[0] - rows.count) < 0.001 * rows.count, sums
        return rows.count / seconds

    sides = contenders(spark, saved)
    found = interleaved({name: lambda one=one: rate(one) for name, one in sides.items()}, rounds=options.rounds)
    data.unpersist(blocking=True)
    speed = Ratio(
        f"scoring with a small CNN, {rows.name}", "`predict_batch_udf` with the same network", "rows/s",
        found["ours"], found["theirs"], least=1.2, row_bytes=rows.row_bytes,
    )  # fmt: skip
    return [speed, memory(spark, rows, sides["ours"], options.rounds, partitions=partitions)]


def memory(spark: Any, rows: Rows, score: Callable[[Any], Any], rounds: int, *, partitions: int) -> Ratio:
    """Sets what a Python worker holds with ten times the rows, made as they are scored, against the rows once."""

    def peak(count: int) -> float:
        with watched() as seen:
            scored(frame(spark, rows.with_count(count), partitions=partitions), score)
        return seen.mib[FEEDER]

    found = interleaved({"once": lambda: peak(rows.count), "often": lambda: peak(TIMES * rows.count)}, rounds=rounds)
    return Ratio(
        f"peak memory of a Python worker that scores, {TIMES} times the rows", "the rows once", "MiB",
        found["often"], found["once"], most=1.1,
    )  # fmt: skip


def _measure(options: Options) -> list[Ratio]:
    with application() as spark:
        return measure(spark, options)


def main() -> None:
    """Runs this part."""
    part.run("scoring", __doc__, _measure)


if __name__ == "__main__":
    main()
