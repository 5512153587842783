"""Verb `bench`: what a cluster of one's own does in a second: rows fed, steps of a small network, bytes summed."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tfspark_cnn.cli import java, scoring
from tfspark_cnn.cli import spark as embedded
from tfspark_cnn.cli.printing import show
from tfspark_cnn.config import ClusterConfig
from tfspark_cnn.errors import ConfigError

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession
    from rich.table import Table

MAP_FUN = "tfspark_cnn.training.bench_job:run"
SIDE, CLASSES, BATCH_ROWS, EPOCHS = 28, 10, 64, 2
REDUCED_BYTES = 4 << 20  # as many weights as a network of a million has

NodesOption = Annotated[int, typer.Option("--nodes", help="Measure with 1 to so many nodes.")]
RowsOption = Annotated[int, typer.Option("--rows", help="Images of 28 x 28 bytes to feed.")]
MasterOption = Annotated[str, typer.Option("--master", help="Spark's master; local: embedded, with slots enough.")]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Show what would be measured, as JSON.")]


@dataclass(frozen=True)
class Measured:
    """What came out with so many nodes.

    Attributes:
        nodes: that trained.
        start_s: seconds until they had formed a cluster.
        fed_rows_per_s: rows that came from Spark to the nodes.
        step_ms: median of a step, of 64 rows on each node.
        rows_per_s: trained by all nodes, in such steps.
        speedup: of that, over one node.
        reduced_mb_per_s: of tensors of 4 MiB that all nodes sum; None for one node.
    """

    nodes: int
    start_s: float
    fed_rows_per_s: float
    step_ms: float
    rows_per_s: float
    speedup: float
    reduced_mb_per_s: float | None


def bench(
    nodes: NodesOption = 2,
    rows: RowsOption = 20_000,
    master: MasterOption = embedded.EMBEDDED,
    dry_run: DryRunOption = False,
    as_json: scoring.JsonOption = False,
    debug: scoring.DebugOption = False,
) -> None:
    """Measure the feed, steps and all-reduces on a cluster of your own, in a minute or two.

    Nodes that share the cores of one machine share its speed, too: a speedup is seen where each has cores of its own.

    Example: tfspark-cnn bench --nodes 2

    Example: tfspark-cnn submit --properties-file conf/spark-standalone.conf bench --nodes 3 --json
    """
    if nodes < 1 or rows < nodes * BATCH_ROWS:
        raise ConfigError(
            f"expected 1 node or more, with {BATCH_ROWS} rows each, received --nodes {nodes} --rows {rows}",
            hint=f"write --nodes 2 --rows {20_000}",
        )
    cluster = ClusterConfig(num_workers=nodes, master=master)
    if dry_run:
        plan = {"nodes": list(range(1, nodes + 1)), "rows": rows, "spark": {"master": embedded.master(cluster)}}
        print(json.dumps(plan, indent=2))
        return
    java.find()
    with scoring.on_spark(cluster, debug=debug, slots_needed=nodes + 1) as (spark, line):
        found = [_measured(spark, count, rows=rows, phase=line.phase) for count in range(1, nodes + 1)]
    _show(with_speedups(found), as_json=as_json)


def _measured(spark: SparkSession, nodes: int, *, rows: int, phase: Callable[[str], None]) -> Measured:
    from tfspark_cnn import InputMode, TFCluster

    phase(f"measuring with {nodes} node{'s' * (nodes != 1)}")
    args = {
        "side": SIDE,
        "classes": CLASSES,
        "batch_size": BATCH_ROWS,
        "epochs": EPOCHS,
        "reduced_bytes": REDUCED_BYTES,
    }
    run: Callable[..., Any] = TFCluster.run
    with run(spark, MAP_FUN, args, nodes, input_mode=InputMode.SPARK, master_node="chief") as cluster:
        cluster.train(images(spark, rows), num_epochs=EPOCHS)
        results = cluster.shutdown()
    (feed,) = cluster.feed_reports()
    return measured(results, start_s=cluster.timings()["start"], fed_rows_per_s=rows / max(feed.sent_s, 1e-9))


def measured(results: Sequence[dict[str, Any]], *, start_s: float, fed_rows_per_s: float) -> Measured:
    """Gives the figures of one cluster from what its nodes returned; all of them take the steps of the slowest."""
    step_s = max(one["step_s"] for one in results)
    reduce_s = max(one["reduce_s"] for one in results)
    return Measured(
        nodes=len(results),
        start_s=round(start_s, 2),
        fed_rows_per_s=round(fed_rows_per_s),
        step_ms=round(1000 * step_s, 2),
        rows_per_s=round(len(results) * BATCH_ROWS / step_s) if step_s else 0,
        speedup=1.0,
        reduced_mb_per_s=round(REDUCED_BYTES / reduce_s / 1e6, 1) if reduce_s else None,
    )


def with_speedups(found: Sequence[Measured]) -> list[Measured]:
    """Gives the figures with how many times as fast each is as the first."""
    first = found[0].rows_per_s
    return [Measured(**{**asdict(one), "speedup": round(one.rows_per_s / first, 2) if first else 0.0}) for one in found]


def images(spark: SparkSession, rows: int) -> DataFrame:
    """Gives rows of `image binary`, of random bytes, and `label bigint`, made on the executors."""
    from pyspark.sql import functions as sf

    # 25 digests of 32 bytes are the 784 of an image, and 16 that are cut off.
    digests = [sf.unhex(sf.sha2(sf.concat_ws("-", sf.col("id"), sf.lit(part)), 256)) for part in range(25)]
    image = sf.substring(sf.concat(*digests), 1, SIDE * SIDE)
    return spark.range(rows).select(image.alias("image"), (sf.col("id") % CLASSES).alias("label"))


def _show(found: Sequence[Measured], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps([asdict(one) for one in found]))
        return
    show(_table(found))


def _table(found: Sequence[Measured]) -> Table:
    from rich.table import Table

    table = Table(title="tfspark-cnn bench", title_justify="left")
    for heading in ("nodes", "start, s", "fed, rows/s", "step, ms", "trained, rows/s", "speedup", "all-reduce, MB/s"):
        table.add_column(heading, justify="right")
    for one in found:
        reduced = "" if one.reduced_mb_per_s is None else f"{one.reduced_mb_per_s:,.1f}"
        told = (f"{one.fed_rows_per_s:,.0f}", f"{one.step_ms:.2f}", f"{one.rows_per_s:,.0f}", f"{one.speedup:.2f}")
        table.add_row(str(one.nodes), f"{one.start_s:.1f}", *told, reduced)
    return table
