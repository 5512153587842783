"""Verb `train`: a network trained as a TOML file says, on an embedded Spark or on the master it names."""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tfspark_cnn import augmentation, log
from tfspark_cnn import config as configuration
from tfspark_cnn.cli import java, masters
from tfspark_cnn.cli import spark as embedded
from tfspark_cnn.cli.printing import show, show_json
from tfspark_cnn.cli.progress import progress
from tfspark_cnn.cli.report import RunReport, summarize
from tfspark_cnn.cli.saved_model import is_local, local
from tfspark_cnn.cli.spark_install import machine
from tfspark_cnn.cli.submission import Wish, submission
from tfspark_cnn.cli.translation import translated
from tfspark_cnn.cluster import slots, topology
from tfspark_cnn.cluster.tensorboard_options import TensorBoardLink, TensorBoardOptions
from tfspark_cnn.config import Config, OutputConfig
from tfspark_cnn.data import Source, source, storage
from tfspark_cnn.errors import ConfigError

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from tfspark_cnn.data.task import ClassificationTask
    from tfspark_cnn.display.display import Display

# By name, since importing it would import TensorFlow.
MAP_FUN = "tfspark_cnn.training.job:run"

ConfArgument = Annotated[str, typer.Argument(metavar="CONF", help="A TOML file, as conf/digits.toml.")]
SetOption = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override a key: --set train.epochs=3.")
]
DryRunOption = Annotated[
    bool,
    typer.Option(
        "--dry-run", help="Check and show nodes, configuration and spark-submit's line, as JSON; start nothing."
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
DebugOption = Annotated[bool, typer.Option("--debug", help="Show tracebacks and what Spark and the nodes write.")]


@dataclass(frozen=True)
class _RunFolders:
    """Where one run writes.

    Attributes:
        root: the folder of the configuration.
        model: for the saved network; the next run replaces it.
        logs: for event files; each run has its own, so that TensorBoard shows them side by side.
        spark_log: what Spark and the nodes of an embedded Spark write.
    """

    root: Path
    model: Path
    logs: Path
    spark_log: Path


def train(
    conf: ConfArgument,
    overrides: SetOption = None,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Train a network as CONF says, and print its accuracy, speed and files.

    Keys come from --set, the environment (TFSPARK_CNN_TRAIN__EPOCHS=3) and CONF, in this order. A run that was
    interrupted goes on at its last checkpoint when the same command is given again.

    Example: tfspark-cnn train conf/digits.toml --set train.epochs=30 --set cluster.num_workers=3

    Example: tfspark-cnn train conf/cifar10.toml --set data.dir=/data/cifar10 --dry-run
    """
    config = configuration.load(conf, flags=overrides or ())
    rows = source(config.data.source).sized(config.data.image_size)
    rows.place(config.data.dir)  # refused before Spark starts
    _check_files(config.data.dir, rows)
    augmentation.check(augmentation.parse(config.train.augmentation), rows.image_shape)
    if dry_run:
        _show_plan(config, conf, overrides or ())
        return
    java.find()
    folders = _folders(config)
    report = _run(config, rows, folders, debug=debug)
    _show(report, as_json=as_json)
    if not report.images:
        print(report.why_nothing_was_trained(config.train.epochs, folder=folders.root), file=sys.stderr)


def _show_plan(config: Config, conf: str, overrides: Sequence[str]) -> None:
    nodes = topology.plan(_nodes(config), num_ps=config.cluster.num_ps, master_node="chief")
    line = ("train", conf, *(text for one in overrides for text in ("--set", one)))
    master = embedded.master(config.cluster)
    masters.endpoints(master)  # refused if it is no URL of one; nobody is asked
    plan = {
        **config.as_dict(),
        "nodes": [{"number": node.number, "role": node.role, "index": node.index} for node in nodes],
        "spark": {
            "master": master,
            "slots": len(nodes) + embedded.FEEDERS,
            "submit": submission(Wish(line, master=master), machine()).shown,
        },
    }
    print(json.dumps(plan, indent=2))


def _show(report: RunReport, *, as_json: bool) -> None:
    if as_json:
        show_json(report.as_dict())
        return
    show(report.as_table())


def _run(config: Config, rows: Source, folders: _RunFolders, *, debug: bool) -> RunReport:
    with progress() as display, translated():
        log.to_console(sys.stderr, level=logging.DEBUG if debug else logging.WARNING)  # above what is redrawn
        display.phase("starting Spark")
        with embedded.session(config.cluster, log_file=None if debug else folders.spark_log) as spark:
            slots.check(spark.sparkContext, nodes=_nodes(config), feeders=1, profile=None)  # what follows waits for one
            training_rows, task = _loaded(spark, config, rows)
            with _saying_how_to_go_on(folders):
                results, figures = _trained(spark, training_rows, task, folders=folders, display=display)
    return summarize(results, images=display.view.images, log_dir=folders.logs, **figures)


def _check_files(folder: str, rows: Source) -> None:
    """Refuses a local folder that is not there; of files of images Hadoop knows, for which `/data` may be elsewhere."""
    if rows.encoding == "raw" and folder and is_local(folder) and not local(folder).exists():
        raise ConfigError(
            f"data.dir: expected the files of {rows.name} in {folder}, received nothing",
            hint=f"`tfspark-cnn data {rows.name} {folder}` downloads them, or set data.dir to where they are",
        )


def _nodes(config: Config) -> int:
    return config.cluster.num_workers + config.cluster.num_ps


@contextmanager
def _saying_how_to_go_on(folders: _RunFolders) -> Iterator[None]:
    """Tells who interrupts a training that nothing of it is lost."""
    try:
        yield
    except KeyboardInterrupt:
        if any((folders.model / "checkpoints").glob("*")):
            print("the same command goes on at the last checkpoint", file=sys.stderr)
        raise


def _folders(config: Config) -> _RunFolders:
    root = Path(config.output.dir).absolute()
    storage.make_folder(root, setting="output.dir")
    logs = root / "logs" / time.strftime("%Y%m%d-%H%M%S")
    return _RunFolders(root=root, model=root / "model", logs=logs, spark_log=root / "spark.log")


def _tensorboard(output: OutputConfig) -> TensorBoardOptions | bool:
    if not output.tensorboard:
        return False
    return TensorBoardOptions(host=output.tensorboard_host or None, port=output.tensorboard_port)


def _tell_tensorboard(url: TensorBoardLink | None) -> None:
    if url is not None:
        from rich.console import Console

        Console(stderr=True, highlight=False, soft_wrap=True).print("TensorBoard:", url)


def _loaded(spark: SparkSession, config: Config, rows: Source) -> tuple[DataFrame, ClassificationTask]:
    import numpy as np

    from tfspark_cnn.data.image_folder import classes_in
    from tfspark_cnn.data.task import ClassificationTask

    training, held_out = rows.load()(
        spark,
        test_fraction=config.data.test_fraction,
        seed=config.train.seed,
        partitions=config.data.partitions,
        **rows.place(config.data.dir),
    )
    table = held_out.toArrow()
    images = _values(table, rows) if rows.encoding == "raw" else table["image"].to_pylist()
    labels = np.asarray(table["label"], dtype=np.int64)
    steps = config.steps(training.count()) if config.train.scheduled else None
    classes = rows.classes or len(classes_in(training))
    return training, ClassificationTask(config, rows.image_shape, classes, images, labels, steps, rows.encoding)


def _values(table: Any, rows: Source) -> Any:
    import numpy as np

    return np.asarray(table["image"].combine_chunks().values, dtype=np.float32).reshape(-1, *rows.image_shape)


def _trained(
    spark: SparkSession, training_rows: DataFrame, task: ClassificationTask, *, folders: _RunFolders, display: Display
) -> tuple[list[Any], dict[str, Any]]:
    """Gives what the nodes returned, and the figures of the cluster that `summarize` takes."""
    from tfspark_cnn import InputMode, TFCluster

    config = task.config
    nodes = _nodes(config)
    run: Callable[..., Any] = TFCluster.run
    with run(
        spark,
        MAP_FUN,
        task,
        nodes,
        num_ps=config.cluster.num_ps,
        tensorboard=_tensorboard(config.output),
        input_mode=InputMode.SPARK,
        log_dir=str(folders.logs),
        master_node="chief",
        reservation_timeout=config.cluster.reservation_timeout,
        max_restarts=config.cluster.max_restarts,
        model_dir=str(folders.model),
        seed=config.train.seed,
        progress=display,
    ) as cluster:
        _tell_tensorboard(cluster.tensorboard_url())
        cluster.train(training_rows, num_epochs=config.train.epochs)
        results = cluster.shutdown()
    figures = {"timings": cluster.timings(), "feed": cluster.feed_reports(), "attempts": cluster.attempts()}
    return results, figures | {"steps": cluster.step_report(), "verdict": cluster.history().verdict()}
