"""Verb `doctor`: whether driver, executors and the network between them can train, before anything is spent."""

from __future__ import annotations

import json
import logging
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tfspark_cnn import config as configuration
from tfspark_cnn import log
from tfspark_cnn.cli import java, masters
from tfspark_cnn.cli import spark as embedded
from tfspark_cnn.config import ClusterConfig
from tfspark_cnn.errors import ClusterError, ConfigError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from tfspark_cnn.doctor import Report
    from tfspark_cnn.doctor.findings import Finding

COLORS = {"ok": "green", "warning": "yellow", "failed": "red"}

ConfOption = Annotated[
    str | None, typer.Option("--conf", metavar="FILE", help="A TOML file: its tables cluster and output are used.")
]
SetOption = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override a key: --set cluster.num_ps=1.")
]
NodesOption = Annotated[
    int | None, typer.Option("--nodes", min=1, metavar="N", help="How many nodes; the configuration's, or 2.")
]
MasterOption = Annotated[str, typer.Option("--master", metavar="URL", help="Spark's master; the configuration's.")]
FolderOption = Annotated[
    str, typer.Option("--model-dir", metavar="URI", help="Where models will go, to be written to by all.")
]
ProbeOption = Annotated[bool, typer.Option("--probe/--no-probe", help="Train a small network for five steps.")]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Show what would be examined; start nothing.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")]
DebugOption = Annotated[bool, typer.Option("--debug", help="Show tracebacks and what Spark and the nodes write.")]


@dataclass(frozen=True)
class _Asked:
    cluster: ClusterConfig
    model_dir: str | None
    probe: bool
    debug: bool

    @property
    def nodes(self) -> int:
        return self.cluster.num_workers + self.cluster.num_ps

    def plan(self) -> dict[str, Any]:
        what = {"nodes": self.nodes, "model_dir": self.model_dir, "probe": self.probe}
        return what | {"spark": {"master": embedded.master(self.cluster)}}


def doctor(
    conf: ConfOption = None,
    overrides: SetOption = None,
    nodes: NodesOption = None,
    master: MasterOption = "",
    model_dir: FolderOption = "",
    probe: ProbeOption = True,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Look for what would keep a cluster from training: Java, versions, slots, GPUs, ports, model_dir.

    Exit code 0: nothing failed, though there may be warnings.

    Example: tfspark-cnn doctor --nodes 2

    Example: tfspark-cnn doctor --conf conf/digits.toml --json
    """
    config = configuration.load(conf, flags=overrides or ())
    cluster = replace(config.cluster, master=master) if master else config.cluster
    if nodes is not None:
        cluster = replace(cluster, num_workers=nodes, num_ps=0)
    folder = model_dir or (str(Path(config.output.dir).absolute() / "model") if conf else None)
    asked = _Asked(cluster, folder, probe, debug)
    if dry_run:
        print(json.dumps(asked.plan(), indent=2))
        return
    report = _examined(asked)
    _show(report, as_json=as_json)
    if not report.ok:
        raise typer.Exit(1)


def _examined(asked: _Asked) -> Report:
    """Looks at what comes before Spark, and then by Spark."""
    from tfspark_cnn.doctor.findings import Report

    began, (found, goes_on) = time.monotonic(), _before_spark(asked)
    nodes = 0
    if goes_on:
        log.to_console(sys.stderr, level=logging.DEBUG if asked.debug else logging.ERROR)
        with _told(f"examining {asked.nodes} node{'s' * (asked.nodes != 1)}"), ExitStack() as stack:
            spark = _started(asked, stack)
            if isinstance(spark, tuple):
                found += spark
            else:
                report = _by_spark(spark, asked)
                found, nodes = (*found, *report.findings), report.nodes
    return Report(found, nodes=nodes, seconds=round(time.monotonic() - began, 3))


def _by_spark(spark: SparkSession, asked: _Asked) -> Report:
    from tfspark_cnn.doctor import examine

    return examine(spark, asked.nodes, model_dir=asked.model_dir, probe=asked.probe)


def _before_spark(asked: _Asked) -> tuple[tuple[Finding, ...], bool]:
    """Gives what was found, and whether Spark can be started at all."""
    from tfspark_cnn.doctor import findings

    try:
        found = java.find()
    except ConfigError as error:
        return (findings.failed("java", error.message, cure=error.hint or java.INSTALL),), False
    well = findings.ok("java", f"Java {found.version}, {found.program}")
    try:
        masters.check(embedded.master(asked.cluster))
    except (ConfigError, ClusterError) as error:
        return (well, findings.failed("master", error.message, cure=error.hint or "")), False
    return (well,), True


def _started(asked: _Asked, stack: ExitStack) -> SparkSession | tuple[Finding]:
    from tfspark_cnn.cluster.launcher import brief
    from tfspark_cnn.doctor import job_failures

    folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="tfspark-log-"))
    written = Path(folder, "spark.log")
    try:
        return stack.enter_context(embedded.session(asked.cluster, log_file=None if asked.debug else written))
    except Exception as error:  # PySpark and py4j raise of many kinds where Spark does not start
        if asked.debug:
            raise
        said = written.read_text(errors="replace") if written.exists() else ""
        return (job_failures.not_started(f"{error}\n{said}", brief=brief(error)),)


@contextmanager
def _told(what: str) -> Iterator[None]:
    """Shows on a terminal that something goes on."""
    from rich.console import Console

    console = Console(stderr=True)
    if not console.is_terminal:
        yield
        return
    with console.status(what):
        yield


def _show(report: Report, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(report.as_dict()))
        return
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False, soft_wrap=True)
    for line in str(report).splitlines():
        word = line.partition(" ")[0]
        text = Text(line)
        text.stylize(COLORS.get(word, "default"), 0, len(word))
        console.print(text)
