"""Verb `evaluate`: how well a saved model predicts the labels of a table."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tfspark_cnn.cli import scoring, tables
from tfspark_cnn.cli.evaluation import Evaluation, evaluated
from tfspark_cnn.cli.job_progress import job_progress
from tfspark_cnn.cli.predict import scored_by
from tfspark_cnn.cli.printing import show, show_json
from tfspark_cnn.cli.saved_model import saved_model
from tfspark_cnn.cli.tables import TableFormat
from tfspark_cnn.errors import ConfigError, SchemaError

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession

    from tfspark_cnn.ml.network_model import NetworkModel

LABEL = "label"


def evaluate(
    model: scoring.ModelArgument,
    source: scoring.InputArgument,
    kind: scoring.FormatOption = TableFormat.PARQUET,
    features: scoring.FeaturesOption = None,
    label: scoring.LabelOption = LABEL,
    scale: scoring.ScaleOption = None,
    encoding: scoring.EncodingOption = None,
    resize: scoring.ResizeOption = None,
    shape: scoring.ShapeOption = "",
    master: scoring.MasterOption = scoring.MASTER,
    dry_run: scoring.DryRunOption = False,
    as_json: scoring.JsonOption = False,
    debug: scoring.DebugOption = False,
) -> None:
    """Score the labelled table INPUT with MODEL, and tell its accuracy and the counts of each class.

    Images in folders (--format images) are labelled by the names of their folders, one for each class.

    Example: tfspark-cnn evaluate runs/digits/model/model.keras digits.parquet
    """
    asked = scoring.wanted(kind, features, shape=shape, encoding=encoding, resize=resize, scale=scale)
    found = saved_model(model, asked)
    tables.check_input(source, kind=kind)
    if dry_run:
        table = {"path": source, "format": kind, "label": label}
        print(json.dumps({"model": found.plan(), "input": table, "spark": {"master": master}}, indent=2))
        return
    with scoring.scoring(master, debug=debug) as (spark, line):
        loaded = found.load(spark)
        with job_progress(spark, line, f"scoring {source}"):
            result = _evaluated(spark, loaded, source, kind=kind, label=label)
    _show(result, as_json=as_json)


def _evaluated(spark: SparkSession, model: NetworkModel, source: str, *, kind: TableFormat, label: str) -> Evaluation:
    names = _class_names(model)
    if kind == TableFormat.IMAGES:
        from tfspark_cnn.data.image_folder import classes_in

        frame = tables.labelled_images(spark, source, classes=names)
        names, label = classes_in(frame), LABEL
    else:
        frame = tables.read(spark, source, kind=kind, label=label)
    return evaluated(counts(model, frame, label=label, names=names), names=names)


def _class_names(model: NetworkModel) -> Sequence[str] | None:
    if not hasattr(model, "labels"):
        raise ConfigError(
            f"expected a classifier to evaluate, received a {type(model).__name__}",
            hint="score the table with `tfspark-cnn predict`, and use RegressionEvaluator of pyspark.ml.evaluation",
        )
    names: Sequence[str] | None = model.labels
    return names


def counts(
    model: NetworkModel, frame: DataFrame, *, label: str, names: Sequence[str] | None
) -> list[tuple[int, int, int]]:
    """Gives label, prediction and their number of rows, in one job.

    Args:
        model: a classifier.
        frame: the table.
        label: its column of labels: whole numbers, or names of the model's classes.
        names: of the classes, by number.

    Raises:
        SchemaError: there is no such column, or a row without a label of the model's.
    """
    from pyspark.sql import functions as sf

    from tfspark_cnn.ml.labels import check_columns, quoted

    check_columns(frame, label, model.getFeaturesCol())
    number = _number(frame, label, names)
    images = frame.select(number.alias("__label"), sf.col(quoted(model.getFeaturesCol())))
    scored = scored_by(model.copy({model.getParam("probabilityCol"): ""}), images, layer=None)
    predicted = sf.col(quoted(model.getPredictionCol())).cast("bigint")
    pairs = scored.groupBy(sf.col("__label"), predicted.alias("__predicted")).count().collect()
    return [(_checked(row, label), row["__predicted"], row["count"]) for row in pairs]


def _number(frame: DataFrame, label: str, names: Sequence[str] | None) -> Column:
    from pyspark.sql import functions as sf
    from pyspark.sql.types import NumericType, StringType

    from tfspark_cnn.ml.labels import quoted

    kind, column = frame.schema[label].dataType, sf.col(quoted(label))
    if isinstance(kind, NumericType):
        return sf.when(column == sf.floor(column), column.cast("bigint"))
    if isinstance(kind, StringType) and names is not None:
        place = sf.array_position(sf.array(*map(sf.lit, names)), column)
        return sf.nullif(place - 1, sf.lit(-1))
    raise SchemaError(
        f"column {label!r}: expected whole numbers as labels, received {kind.simpleString()}",
        hint="number them as in training, or pass --label-col",
    )


def _checked(row: Any, label: str) -> int:
    number: int | None = row["__label"]
    if number is None or number < 0:
        received = "none, a fraction or another name" if number is None else number
        raise SchemaError(
            f"column {label!r}: expected a class of the model in every row, received {received} in {row['count']} rows",
            hint="filter them out, or pass the right --label-col",
        )
    return number


def _show(result: Evaluation, *, as_json: bool) -> None:
    if as_json:
        show_json(result.as_dict())
        return
    show(result.as_table())
