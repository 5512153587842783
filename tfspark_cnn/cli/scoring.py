"""What `predict` and `evaluate` share: their options, the Spark they run on, and its errors in our words."""

from __future__ import annotations

import logging
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tfspark_cnn import log
from tfspark_cnn.cli import java
from tfspark_cnn.cli import spark as embedded
from tfspark_cnn.cli.progress import progress
from tfspark_cnn.cli.saved_model import IMAGE, Wanted
from tfspark_cnn.cli.tables import TableFormat
from tfspark_cnn.cli.translation import translated
from tfspark_cnn.cluster import slots
from tfspark_cnn.config import ClusterConfig
from tfspark_cnn.display.display import Display
from tfspark_cnn.errors import ConfigError
from tfspark_cnn.feed.columns import Column, Encoding, Resize

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

MASTER = "local[*]"  # a task, and in it a thread of TensorFlow, for each core

ModelArgument = Annotated[
    str, typer.Argument(metavar="MODEL", help="What model.save(path) wrote, or a .keras file of a classifier.")
]
InputArgument = Annotated[str, typer.Argument(metavar="INPUT", help="The table: any path that Spark reads.")]
FormatOption = Annotated[TableFormat, typer.Option("--format", help="What INPUT is.")]
FeaturesOption = Annotated[
    str | None, typer.Option("--features-col", metavar="COLUMN", help="The images; else the model's, or image.")
]
LabelOption = Annotated[
    str, typer.Option("--label-col", metavar="COLUMN", help="The labels; in CSV all other columns are pixels.")
]
ScaleOption = Annotated[
    float | None, typer.Option("--scale", help="What values are multiplied with, as 0.00392157; else the model's.")
]
EncodingOption = Annotated[Encoding | None, typer.Option("--encoding", help="What the bytes of images are.")]
ResizeOption = Annotated[Resize | None, typer.Option("--resize", help="Bring images to the size of the network's.")]
ShapeOption = Annotated[
    str, typer.Option("--input-shape", metavar="H,W,C", help="Where the network does not tell, as 224,224,3.")
]
MasterOption = Annotated[str, typer.Option("--master", help="Spark's master.")]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Check what can be checked, show the plan.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
DebugOption = Annotated[bool, typer.Option("--debug", help="Show tracebacks and what Spark writes.")]


def wanted(
    kind: TableFormat,
    features: str | None,
    *,
    shape: str = "",
    encoding: str | None = None,
    resize: str | None = None,
    scale: float | None = None,
) -> Wanted:
    """Gives how images are to be read, from what was typed.

    Args:
        kind: of the table: files of images are jpeg or png, which TensorFlow tells by itself.
        features: the column of images.
        shape: as `224,224,3`, or empty.
        encoding: of the column.
        resize: how images of another size come to the shape.
        scale: what values are multiplied with.

    Raises:
        ConfigError: a shape is none, or the options contradict each other.
    """
    if kind in (TableFormat.IMAGES, TableFormat.CSV):
        features = features or IMAGE
    if kind == TableFormat.IMAGES:
        encoding = encoding or Encoding.JPEG
    sides = parsed_shape(shape)
    if sides is not None:
        Column(features or IMAGE, shape=sides, encoding=encoding or "raw", resize=resize, scale=scale)
    return Wanted(features, sides, encoding and str(encoding), resize and str(resize), scale)


def parsed_shape(text: str) -> tuple[int, ...] | None:
    """Gives the shape of an image as it was typed; None where nothing was.

    Raises:
        ConfigError: it is none.

    Example:
        >>> parsed_shape("224,224,3")
        (224, 224, 3)
    """
    if not text:
        return None
    sides = tuple(int(side) if side.strip().isdigit() else 0 for side in text.split(","))
    if len(sides) != 3 or 0 in sides:
        raise ConfigError(f"expected --input-shape HEIGHT,WIDTH,CHANNELS, received {text!r}", hint="write 224,224,3")
    return sides


@contextmanager
def scoring(master: str, *, debug: bool) -> Iterator[tuple[SparkSession, Display]]:
    """Starts Spark to score on, and stops it at the end: `on_spark` with a slot."""
    with on_spark(ClusterConfig(master=master), debug=debug, slots_needed=1) as started:
        yield started


@contextmanager
def on_spark(cluster: ClusterConfig, *, debug: bool, slots_needed: int) -> Iterator[tuple[SparkSession, Display]]:
    """Starts Spark, and stops it at the end.

    Args:
        cluster: how many slots, and whose master.
        debug: whether what Spark writes stays on the terminal.
        slots_needed: so many tasks must be able to run at once.

    Raises:
        ConfigError: there is no Java, or no such master.
        SlotsError: no executor came.
        TFSparkError: Spark failed.
    """

    java.find()
    log.to_console(sys.stderr, level=logging.DEBUG if debug else logging.WARNING)
    with tempfile.TemporaryDirectory(prefix="tfspark-log-") as folder:
        with progress() as line, translated():
            line.phase("starting Spark")
            log_file = None if debug else Path(folder, "spark.log")
            with embedded.session(cluster, log_file=log_file) as spark:
                slots.check(spark.sparkContext, nodes=slots_needed, feeders=0, profile=None, what="task")
                yield spark, line
