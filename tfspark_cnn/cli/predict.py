"""Verb `predict`: a table scored by a saved model, on all executors, into another table."""

from __future__ import annotations

import dataclasses
import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tfspark_cnn.cli import scoring, tables
from tfspark_cnn.cli.job_progress import job_progress
from tfspark_cnn.cli.saved_model import SavedModel, saved_model
from tfspark_cnn.cli.tables import OutputFormat, TableFormat
from tfspark_cnn.errors import SchemaError

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from tfspark_cnn.ml.network_model import NetworkModel

EMBEDDING = "embedding"

OutputArgument = Annotated[str, typer.Argument(metavar="OUTPUT", help="The folder for the scored table.")]
OutputFormatOption = Annotated[OutputFormat, typer.Option("--output-format", help="What OUTPUT becomes.")]
LayerOption = Annotated[
    str | None, typer.Option("--output", metavar="LAYER", help="Column embedding: what this layer gives; no classes.")
]
DropOption = Annotated[bool, typer.Option("--drop-images", help="Leave the column of images out.")]
OverwriteOption = Annotated[bool, typer.Option("--overwrite", help="Replace the table that is there.")]


@dataclass(frozen=True)
class Prediction:
    """What is scored into what.

    Attributes:
        model: that scores.
        source: path of the table.
        kind: of it.
        label: a column that is not an image's in CSV.
        target: path of the scored table.
        target_kind: of it.
        drop_images: whether the column of images stays behind.
        overwrite: whether the target may be there.
    """

    model: SavedModel
    source: str
    kind: TableFormat
    label: str
    target: str
    target_kind: OutputFormat
    drop_images: bool
    overwrite: bool

    def plan(self, master: str) -> dict[str, Any]:
        """Gives what a dry run shows."""
        return {
            "model": self.model.plan(),
            "input": {"path": self.source, "format": self.kind},
            "output": {"path": self.target, "format": self.target_kind, "images": not self.drop_images},
            "spark": {"master": master},
        }


def predict(
    model: scoring.ModelArgument,
    source: scoring.InputArgument,
    target: OutputArgument,
    kind: scoring.FormatOption = TableFormat.PARQUET,
    target_kind: OutputFormatOption = OutputFormat.PARQUET,
    features: scoring.FeaturesOption = None,
    label: scoring.LabelOption = "label",
    layer: LayerOption = None,
    drop_images: DropOption = False,
    scale: scoring.ScaleOption = None,
    encoding: scoring.EncodingOption = None,
    resize: scoring.ResizeOption = None,
    shape: scoring.ShapeOption = "",
    master: scoring.MasterOption = scoring.MASTER,
    overwrite: OverwriteOption = False,
    dry_run: scoring.DryRunOption = False,
    as_json: scoring.JsonOption = False,
    debug: scoring.DebugOption = False,
) -> None:
    """Score the table INPUT with MODEL, and write it with columns prediction and probability to OUTPUT.

    All columns of INPUT are kept. Probabilities are an array, in CSV as JSON. Values of images are taken as they are,
    unless --scale says otherwise or the model has a scale of its own.

    Example: tfspark-cnn predict runs/digits/model/model.keras digits.parquet scored

    Example: tfspark-cnn predict model photos scored --format images --resize bilinear --output-format csv --drop-images
    """
    asked = scoring.wanted(kind, features, shape=shape, encoding=encoding, resize=resize, scale=scale)
    found = saved_model(model, dataclasses.replace(asked, layer=layer))
    tables.check_input(source, kind=kind)
    tables.check_output(target, overwrite=overwrite, beside=(model, source))
    task = Prediction(found, source, kind, label, target, target_kind, drop_images, overwrite)
    if dry_run:
        print(json.dumps(task.plan(master), indent=2))
        return
    with scoring.scoring(master, debug=debug) as (spark, line):
        loaded = task.model.load(spark)
        began = time.monotonic()
        with job_progress(spark, line, f"scoring {source}"):
            rows = _predicted(spark, loaded, task)
        seconds = time.monotonic() - began
    _show(rows, seconds, target=target, as_json=as_json)


def _predicted(spark: SparkSession, model: NetworkModel, task: Prediction) -> int:
    """Writes the scored table; gives how many rows it has."""
    frame = tables.read(spark, task.source, kind=task.kind, label=task.label)
    scored = scored_by(model, frame, layer=task.model.wanted.layer)
    if task.drop_images:
        scored = scored.drop(model.getFeaturesCol())
    return tables.write(scored, task.target, kind=task.target_kind, overwrite=task.overwrite)


def scored_by(model: NetworkModel, frame: DataFrame, *, layer: str | None) -> DataFrame:
    """Gives a table with what the model makes of it: its predictions, or `embedding`.

    Args:
        model: that scores.
        frame: the table.
        layer: whose output is the embedding; None for predictions.

    Raises:
        SchemaError: there is no such column of images, or one that would be added.
        ConfigError: there is no such layer.
    """
    from pyspark.sql import functions as sf

    from tfspark_cnn.ml.labels import check_columns, quoted

    if model.hasParam("rawPredictionCol"):
        model._set(rawPredictionCol="")  # the logarithms of the probabilities: who wants them has those
    if layer is None:
        return model.transform(frame)
    check_columns(frame, model.getFeaturesCol())
    if EMBEDDING in frame.columns:
        raise SchemaError(f"the table has a column {EMBEDDING!r} already", hint="rename it before")
    return frame.withColumn(
        EMBEDDING, model.scores(sf.col(quoted(model.getFeaturesCol())), frame.sparkSession, output=layer)
    )


def _show(rows: int, seconds: float, *, target: str, as_json: bool) -> None:
    rows_per_s = rows / seconds if seconds else 0.0
    if as_json:
        told = {"rows": rows, "seconds": round(seconds, 3), "rows_per_s": round(rows_per_s, 1), "output": target}
        print(json.dumps(told))
        return
    print(f"{rows:,} rows scored in {seconds:.1f} s ({rows_per_s:,.0f} rows/s) into {target}")
