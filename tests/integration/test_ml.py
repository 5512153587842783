"""`CNNClassifier` and its model on the digits: as any algorithm of Spark ML, in pipelines, searches and on disk."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from pyspark.ml import Pipeline, PipelineModel
from pyspark.ml.evaluation import MulticlassClassificationEvaluator, RegressionEvaluator
from pyspark.ml.feature import IndexToString, StringIndexer
from pyspark.ml.tuning import CrossValidator, ParamGridBuilder, TrainValidationSplit
from pyspark.sql import functions as sf

from tfspark_cnn.data.digits import digits
from tfspark_cnn.errors import ConfigError, EmptyFeedError, SchemaError
from tfspark_cnn.feed.columns import Column
from tfspark_cnn.ml import CNNClassificationModel, CNNClassifier, CNNRegressionModel, CNNRegressor

pytestmark = [pytest.mark.timeout(240), pytest.mark.beside]

# PySpark does not close the pool of threads in which it searches.
_POOL = "ignore:Exception ignored in. <function Pool:pytest.PytestUnraisableExceptionWarning"
searching = pytest.mark.filterwarnings(_POOL)
SHAPE = [8, 8, 1]
KERAS = """
import json, sys
import numpy as np, keras
images = np.load(sys.argv[2])
model = keras.models.load_model(sys.argv[1], compile=False)
json.dump(model.predict(images, verbose=0).tolist(), open(sys.argv[3], "w"))
"""
LOAD = """
import json, os, sys
from pyspark.ml import PipelineModel
from pyspark.sql import SparkSession
spark = SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false").getOrCreate()
frame = PipelineModel.load(sys.argv[1]).transform(spark.read.parquet(sys.argv[2])).orderBy("id")
json.dump([[row.word, list(row.probability)] for row in frame.collect()], open(sys.argv[3], "w"))
spark.stop()
"""


@pytest.fixture(scope="module")
def rows(spark):
    """The digits, training and held-out rows, numbered; in few partitions, as TensorFlow is imported for each."""
    train, test = (frame.withColumn("id", sf.monotonically_increasing_id()) for frame in digits(spark, partitions=2))
    return train.cache(), test.cache()


@pytest.fixture(scope="module")
def model(rows):
    """Trained on two nodes by a recipe of its own, with a tenth of the rows to validate on."""
    classifier = CNNClassifier(
        featuresCol="image", inputShape=SHAPE, numWorkers=2, epochs=8, learningRate=0.003, validationSplit=0.1, seed=3,
        schedule="cosine", warmupEpochs=0.5, labelSmoothing=0.02, augmentation="crop:1, mixup:0.1",
    )  # fmt: skip
    return classifier.setScoringBatchSize(100).fit(rows[0])


def test_it_learns_and_says_how(model, rows) -> None:
    accuracy = MulticlassClassificationEvaluator(metricName="accuracy").evaluate(model.transform(rows[1]))
    assert accuracy >= 0.95
    assert {name: len(values) for name, values in model.history.items()} == dict.fromkeys(
        ("accuracy", "loss", "val_accuracy", "val_loss"), 8
    )
    assert model.summary.weights == 151_306 and len(model.summary.attempts) == 1
    assert str(model.summary).startswith("151,306 weights, 8 epochs in ")


def test_a_table_is_scored_as_keras_does_and_keeps_its_columns(model, rows, tmp_path) -> None:
    scored = model.transform(rows[1].repartition(3)).orderBy("id").collect()
    assert list(scored[0].asDict()) == ["image", "label", "id", "rawPrediction", "probability", "prediction"]
    (tmp_path / "model.keras").write_bytes(model.network)
    np.save(tmp_path / "images.npy", np.array([row.image for row in scored], np.float32).reshape(-1, *SHAPE))
    expected = np.array(in_python(KERAS, tmp_path / "model.keras", tmp_path / "images.npy", tmp_path / "said.json"))
    probability = np.array([row.probability.toArray() for row in scored])
    np.testing.assert_allclose(probability, expected, atol=1e-5)
    np.testing.assert_allclose([row.rawPrediction.toArray() for row in scored], np.log(probability), atol=1e-9)
    assert [row.prediction for row in scored] == probability.argmax(axis=1).tolist()


def in_python(program: str, *paths: Path):
    """Runs a program in a process of its own; gives what it wrote to the last path."""
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    ran = subprocess.run([sys.executable, "-c", program, *paths], capture_output=True, text=True, env=environment)
    assert ran.returncode == 0, ran.stderr[-3000:]
    return json.loads(paths[-1].read_text())


def test_it_is_a_function_of_sql_and_of_streams_and_gives_embeddings(spark, model, rows, tmp_path) -> None:
    scored = model.transform(rows[1]).select("id", "probability").collect()
    expected = {row.id: row.probability.toArray() for row in scored}
    model.register_udf(spark, "digit")
    model.register_udf(spark, "embedded", output="flatten")
    rows[1].createOrReplaceTempView("digits_to_score")
    said = spark.sql("SELECT id, digit(image) AS p, embedded(image) AS e FROM digits_to_score").collect()
    for row in said:
        np.testing.assert_allclose(row.p, expected[row.id], atol=1e-6)
    assert {len(row.e) for row in said} == {4 * 4 * 64}

    rows[1].write.parquet(str(tmp_path / "arrived"))
    stream = model.transform(spark.readStream.schema(rows[1].schema).parquet(str(tmp_path / "arrived")))
    query = stream.select("id", "prediction").writeStream.format("memory").queryName("scored").start()
    query.processAllAvailable()
    query.stop()
    streamed = {row.id: row.prediction for row in spark.table("scored").collect()}
    assert streamed == {number: float(p.argmax()) for number, p in expected.items()}


def test_columns_that_are_not_wanted_are_left_out(model, rows) -> None:
    alone = model.copy().setProbabilityCol("").setRawPredictionCol("").setPredictionCol("digit")
    assert alone.transform(rows[1].select("image")).columns == ["image", "digit"]
    assert model.getPredictionCol() == "prediction", "a copy is its own"


def test_what_cannot_be_scored_is_an_error_with_its_cure(spark, model, rows) -> None:
    with pytest.raises(SchemaError, match=r"expected a column 'image', received pixels"):
        model.transform(rows[1].select(sf.col("image").alias("pixels")))
    with pytest.raises(SchemaError, match="has a column 'rawPrediction' already"):
        model.transform(model.transform(rows[1]))
    with pytest.raises(ConfigError, match="scoringBatchSize is 0"):
        model.copy().setScoringBatchSize(0).transform(rows[1])
    short = spark.createDataFrame([([0.0] * 64,), ([0.0] * 63,)], "image array<float>")
    with pytest.raises(Exception, match=r"SchemaError: column 'image'.*received"):
        model.transform(short.coalesce(1)).collect()
    with pytest.raises(Exception, match=r"SchemaError: column 'image'.*null"):
        model.transform(spark.createDataFrame([(None,)], "image array<float>")).collect()
    with pytest.raises(ConfigError, match=r"the network has no layer 'flaten'\n.*did you mean 'flatten'"):
        model.scores(sf.col("image"), spark, output="flaten")


def test_files_of_images_are_scored_and_those_that_cannot_be_are_named(spark, model) -> None:
    of_files = model.copy().setEncoding("png").setResize("nearest")
    files = spark.createDataFrame([(png(8),), (png(11),)], "image binary").coalesce(1)
    scored = of_files.transform(files).collect()
    assert all(np.isfinite(row.rawPrediction.toArray()).all() for row in scored), "also of what is improbable"
    first, second = (row.probability.toArray() for row in scored)
    np.testing.assert_allclose(first, second, atol=1e-6, err_msg="of one colour, so the same in any size")
    # Spark tries each four times, each in a worker that imports TensorFlow anew: one error is enough.
    with pytest.raises(Exception, match=r"SchemaError: column 'image', partition 0, row 1: expected a png .*height 11"):
        of_files.copy().setResize("").transform(files).collect()


def png(size: int) -> bytes:
    """A grey image of one colour."""
    from PIL import Image

    file = io.BytesIO()
    Image.new("L", (size, size), 9).save(file, "PNG")
    return file.getvalue()


@searching
def test_a_search_in_a_pipeline_is_saved_and_scores_alike_in_another_process(spark, rows, tmp_path) -> None:
    words = ["naught", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
    named = sf.element_at(sf.array(*map(sf.lit, words)), sf.col("label").cast("int") + 1)
    train, test = (frame.select("id", "image", named.alias("name")) for frame in rows)
    classifier = CNNClassifier(featuresCol="image", labelCol="number", inputShape=SHAPE, epochs=3, learningRate=0.002)
    indexer = StringIndexer(inputCol="name", outputCol="number", stringOrderType="alphabetAsc")
    back = IndexToString(inputCol="prediction", outputCol="word")
    grid = ParamGridBuilder().addGrid(classifier.learningRate, [1e-6, 0.002]).build()
    evaluator = MulticlassClassificationEvaluator(labelCol="number", metricName="accuracy")
    search = CrossValidator(
        estimator=Pipeline(stages=[indexer, classifier, back]), estimatorParamMaps=grid, evaluator=evaluator,
        numFolds=2, seed=1,
    )  # fmt: skip
    found = search.fit(train)
    assert found.avgMetrics[0] < 0.5 < 0.85 < found.avgMetrics[1]

    best = found.bestModel
    scored = best.transform(test).orderBy("id").collect()
    assert np.mean([row.word == row.name for row in scored]) > 0.85
    assert best.stages[1].labels == tuple(sorted(words))
    best.save(str(tmp_path / "saved"))
    test.coalesce(1).write.parquet(str(tmp_path / "rows"))
    said = in_python(LOAD, tmp_path / "saved", tmp_path / "rows", tmp_path / "said.json")
    assert [word for word, _ in said] == [row.word for row in scored]
    np.testing.assert_allclose([p for _, p in said], [row.probability.toArray() for row in scored], atol=1e-6)
    again = PipelineModel.load(str(tmp_path / "saved")).stages[1]
    assert again.uid == best.stages[1].uid and again.history == best.stages[1].history


@searching
def test_a_network_learns_numbers(rows, tmp_path) -> None:
    """How dark a digit is, from 0 to 1."""
    dark = sf.aggregate("image", sf.lit(0.0), lambda sum, pixel: sum + pixel.cast("double")) / 30
    train, test = (frame.withColumn("dark", dark) for frame in rows)
    regressor = CNNRegressor(
        featuresCol="image", labelCol="dark", inputShape=SHAPE, modelParameters='{"dropout": 0.0, "hidden": 16}',
        epochs=4, recipe="small_cnn", validationSplit=0.1,
    )  # fmt: skip
    with pytest.raises(SchemaError, match=r"column 'dark': expected numbers, received 1 of 1437 rows without"):
        regressor.fit(train.withColumn("dark", sf.expr("if(id = 0, double('nan'), dark)")))
    evaluator = RegressionEvaluator(labelCol="dark", metricName="rmse")
    grid = ParamGridBuilder().addGrid(regressor.epochs, [4]).build()
    search = TrainValidationSplit(estimator=regressor, estimatorParamMaps=grid, evaluator=evaluator, seed=1)
    model = search.fit(train).bestModel
    assert sorted(model.history) == ["loss", "mean_absolute_error", "val_loss", "val_mean_absolute_error"]
    guess = test.agg(sf.stddev("dark")).first()[0]
    model.save(str(tmp_path / "model"))
    scored = CNNRegressionModel.load(str(tmp_path / "model")).transform(test)
    assert evaluator.evaluate(scored) < guess / 2
    with pytest.raises(ConfigError, match="is of another class .*CNNRegressionModel.*, expected a CNNCla"):
        CNNClassificationModel.load(str(tmp_path / "model"))


def test_the_estimator_is_saved_with_its_params(spark, tmp_path) -> None:
    classifier = CNNClassifier(model="resnet20", inputShape=[32, 32, 3], epochs=7).setModelParameters("{}")
    classifier.save(str(tmp_path / "estimator"))
    again = CNNClassifier.load(str(tmp_path / "estimator"))
    assert (again.getModel(), again.getInputShape(), again.getEpochs()) == ("resnet20", [32, 32, 3], 7)
    assert not again.isDefined("classes") and "learningRate: the optimizer's, at its highest" in again.explainParams()


def test_a_model_of_a_later_format_is_refused(spark, model, tmp_path) -> None:
    path = tmp_path / "model"
    model.write().overwrite().save(str(path))
    (part,) = (path / "metadata").glob("part-*")
    part.write_text(part.read_text().replace('"format":1', '"format":2').replace('"format": 1', '"format": 2'))
    for crc in (path / "metadata").glob(".*.crc"):
        crc.unlink()
    with pytest.raises(ConfigError, match="is of format 2 .*, expected a CNNClassificationModel of format 1"):
        CNNClassificationModel.load(str(path))


@pytest.mark.parametrize(
    ("params", "select", "error", "words"),
    [
        ({"featuresCol": "imag"}, "*", SchemaError, r"expected a column 'imag'.*\n.*did you mean 'image'"),
        ({"labelCol": "name"}, "image & 'seven' AS name", SchemaError, "'name': expected whole numbers.*StringIndexer"),
        ({}, "image & nullif(label, 3) AS label", SchemaError, "received 14. of 1437 rows without"),
        ({}, "image & label / 2 AS label", SchemaError, "expected whole numbers as labels"),
        ({}, "image & label - 1 AS label", SchemaError, "expected labels from 0 on, received -1"),
        ({}, "image & 2 * label AS label", SchemaError, "labels go to 18, and only 10 of these 19 have a row"),
        ({"classes": 9}, "*", SchemaError, "expected labels of 0 to 8, received 9"),
        ({}, "image & 0 AS label", ConfigError, "expected two classes or more, received 1"),
        ({"model": "small_cn"}, "*", ConfigError, "received 'small_cn'.*did you mean 'small_cnn'"),
        ({"modelParameters": '{"filter": 3}'}, "*", ConfigError, "unknown parameter 'filter'"),
        ({"modelParameters": "filters=3"}, "*", ConfigError, "which is no JSON"),
        ({"modelParameters": "[3]"}, "*", ConfigError, "expected a JSON object"),
        ({"inputShape": [8, 8]}, "*", ConfigError, r"inputShape is \[8, 8\], expected \[height, width, channels\]"),
        ({"featuresCol": "id"}, "*", SchemaError, "column 'id'"),
        ({"encoding": "jpeg"}, "*", SchemaError, "expected binary for jpeg"),
        ({"optimizer": "adm"}, "*", ConfigError, "^optimizer: .*received 'adm'\n.*optimizer is 'adam' unless"),
        ({"epochs": 0}, "*", ConfigError, "^epochs: .*received 0\n.*epochs is 10 unless it is set"),
        ({"batchSize": 0}, "*", ConfigError, "^batchSize: .*received 0\n.*batchSize is 32"),
        ({"momentum": 0.9}, "*", ConfigError, "^momentum is 0.9, and adam takes none"),
        ({"augmentation": "crop:9"}, "*", ConfigError, "crop takes at most 8 pixels"),
        ({"augmentation": "mixup"}, "*", ConfigError, "expected mixup:AMOUNT"),
        ({"recipe": "resnt20"}, "*", ConfigError, "expected a recipe.*did you mean 'resnet20'"),
        ({"maxRestarts": 1}, "*", ConfigError, "there is no modelDir"),
        ({"validationSplit": 1.0}, "*", ConfigError, "validationSplit is 1.0"),
        ({"validationSplit": 0.1, "validationCol": "held"}, "*", ConfigError, "are both set"),
        ({"validationCol": "label"}, "*", SchemaError, "expected boolean for validationCol, received bigint"),
        ({"validationCol": "held"}, "* & false AS held", EmptyFeedError, "no rows are to validate on"),
        ({"numWorkers": 0}, "*", ConfigError, "numWorkers is 0, expected 1 or more"),
        ({"numPS": -1}, "*", ConfigError, "numPS is -1, expected 0 or more"),
        ({"tensorboard": True}, "*", ConfigError, "tensorboard is set, and there is no logDir"),
        ({"modelDir": f"{__file__}/m"}, "*", ConfigError, "modelDir: expected a folder to write to.*: Not a directory"),
        ({"logDir": f"{__file__}/l"}, "*", ConfigError, "logDir: expected a folder to write to.*: Not a directory"),
    ],
)  # fmt: skip
def test_what_cannot_be_trained_is_refused_before_executors_are_taken(rows, params, select, error, words) -> None:
    frame = rows[0].selectExpr(*select.split(" & "))
    classifier = CNNClassifier(featuresCol="image", inputShape=SHAPE).setParams(**params)
    with pytest.raises(error, match=f"(?s){words}"):
        classifier.fit(frame)


def test_images_to_train_on_must_be_finite(rows) -> None:
    classifier = CNNClassifier(featuresCol="image", inputShape=SHAPE)
    assert classifier.task(rows[0], Column("label"), classes=10).image.finite


def test_no_rows_and_unknown_params_are_refused(rows) -> None:
    with pytest.raises(EmptyFeedError, match="the data has no rows"):
        CNNClassifier(featuresCol="image", inputShape=SHAPE).fit(rows[0].where("false"))
    with pytest.raises(ConfigError, match=r"no Param 'batch_size'\n.*did you mean 'batchSize'"):
        CNNClassifier(batch_size=3)
    with pytest.raises(ConfigError, match="inputShape is not set"):
        CNNClassifier(featuresCol="image").fit(rows[0])
