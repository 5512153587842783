"""The examination of a Spark application: what the driver knows, what nodes see, and a probe training."""

from __future__ import annotations

import secrets
import socket
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from tfspark_cnn.cluster import application, server_port, slots, topology
from tfspark_cnn.cluster.attempts import driver_address
from tfspark_cnn.doctor import (
    addresses,
    clocks,
    disks,
    folders,
    gpus,
    host,
    memory,
    node_job,
    probing,
    reachability,
    shared_folder,
    spark_versions,
    versions,
)
from tfspark_cnn.doctor.answering import Answering
from tfspark_cnn.doctor.findings import Finding, Report, failed, ok, warning
from tfspark_cnn.doctor.folders import Problem
from tfspark_cnn.doctor.installed import installed
from tfspark_cnn.doctor.limited import Overdue, Within
from tfspark_cnn.doctor.node_examination import FOLDER_S, TENSORFLOW_S, NodeExamination
from tfspark_cnn.doctor.observed import DriverView, NodeView, plural
from tfspark_cnn.errors import ClusterError, SlotsError

NODES_S = 60.0 + TENSORFLOW_S
"""For the tasks of all nodes: executors start Python, nodes ask each other, and perhaps TensorFlow."""

WAIT_S = 3.0
"""For one connection: a packet that is lost is sent again after one second, and after three."""

NO_PROBE_AFTER = ("spark", "slots", "nodes", "python", "packages", "gpus", "ports", "coordinator", "addresses")
"""With one of them failed, a probe would fail by it too, and take long to."""


def examine(
    spark: Any,
    num_nodes: int = 2,
    *,
    model_dir: str | None = None,
    gpus_per_node: int | None = None,
    resource_profile: Any = None,
    probe: bool = True,
) -> Report:
    """Looks at all that training needs, from the driver and from as many nodes as will train.

    Nothing is left behind, and nothing that is found is raised. Where there are too few slots, fewer nodes look.

    Args:
        spark: a SparkSession or SparkContext.
        num_nodes: how many nodes training will have, of every role.
        model_dir: where models and checkpoints will go; None: not looked at.
        gpus_per_node: as in `TFCluster.run`.
        resource_profile: as in `TFCluster.run`.
        probe: whether to train a small network for five steps, unless something failed that it needs.

    Returns:
        The findings; `report.ok` tells whether nothing failed, and `print(report)` shows them with their cures.

    Raises:
        ConfigError: `spark` is none or was stopped, or `num_nodes` is no number of nodes.

    Example:
        >>> report = examine(spark, 4, model_dir="hdfs://namenode/run")   # doctest: +SKIP
        >>> [finding.cure for finding in report.failed]                   # doctest: +SKIP
        ['set SPARK_LOCAL_IP in conf/spark-env.sh of these hosts, or mend their names in /etc/hosts']
    """
    began = time.monotonic()
    session = application.of_this_python(spark)
    topology.plan(num_nodes)
    counts = topology.gpu_counts(gpus_per_node) if gpus_per_node is not None else {}
    profile = resource_profile or application.gpu_profile(session, counts)
    one = Examination(session, num_nodes, profile=profile, gpus=gpus_per_node, model_dir=model_dir)
    findings, views = one.run()
    if probe:
        findings.append(one.probe(findings))
    return Report(tuple(findings), nodes=len(views), seconds=round(time.monotonic() - began, 3))


@dataclass(frozen=True)
class Examination:
    """One examination.

    Attributes:
        spark: the session.
        nodes: how many there will be.
        feeders: slots that must be left over.
        profile: ResourceProfile of the nodes, or None.
        gpus: how many a node may use; None: all that Spark assigned.
        model_dir: to be looked at, or None.
        patience_s: how long slots are waited for; None: as long as Spark would.
        limit_s: for the tasks of the nodes.
        wait_s: for one connection.
        ask_tensorflow: whether nodes may ask TensorFlow for GPUs.
        on_nodes: whether nodes look at all, or the driver alone.
    """

    spark: Any
    nodes: int
    feeders: int = 1
    profile: Any = None
    gpus: int | None = None
    model_dir: str | None = None
    patience_s: float | None = None
    limit_s: float = NODES_S
    wait_s: float = WAIT_S
    ask_tensorflow: bool = True
    on_nodes: bool = True

    def run(self) -> tuple[list[Finding], list[NodeView]]:
        """Looks, and gives what was found, and what nodes saw; these are none where there is no slot."""
        try:
            driver, findings, fitting = Within(self._on_driver, session=self.spark).result(self.limit_s)
        except Overdue:
            return [_silent_driver(self.limit_s)], []
        if not fitting:
            return findings, []
        views, on_driver = self._on_nodes(fitting)
        if isinstance(views, Finding):
            return [*findings, views], []
        return [*findings, *self._judged(driver, views, on_driver)], views

    def probe(self, findings: Sequence[Finding]) -> Finding:
        """Trains, unless what was found says that it would be in vain."""
        causes = sorted({one.name for one in Report(tuple(findings)).failed if one.name in NO_PROBE_AFTER})
        if causes:
            told = f"no step was tried, since {' and '.join(causes)} failed"
            return warning("probe", told, cure="mend what failed first")
        return probing.probe(self.spark, self.nodes, gpus_per_node=self.gpus, profile=self.profile)

    def _on_driver(self) -> tuple[DriverView, list[Finding], int]:
        """Gives what the driver knows, what is to be said of it, and how many nodes fit."""
        context = self.spark.sparkContext
        driver = DriverView(
            context.master,
            dict(context.getConf().getAll()),
            driver_address(self.spark)[0],
            host=host.host(),
            installed=installed(),
        )
        finding, fitting = self._slots(context)
        deserted = [] if fitting or slots.now(context).total else addresses.without_nodes(driver)
        return driver, [_spark(self.spark), finding, *deserted], fitting if self.on_nodes else 0

    def _slots(self, context: Any) -> tuple[Finding, int]:
        what = f"{plural(self.nodes, 'node')}{' and 1 feeder' * bool(self.feeders)}"
        try:
            found = slots.check(
                context, nodes=self.nodes, feeders=self.feeders, profile=self.profile, patience_s=self.patience_s
            )
        except SlotsError as error:
            free = 0 if self.profile is not None else slots.now(context).free
            may = slots.is_static(dict(context.getConf().getAll()))
            return failed("slots", error.message, cure=error.hint or ""), min(self.nodes, free) if may else 0
        held = f", {found.held} of them held" if found.held else ""
        return ok("slots", f"{plural(found.total, 'slot')}{held}; {what} need {self.nodes + self.feeders}"), self.nodes

    def _on_nodes(self, fitting: int) -> tuple[list[NodeView] | Finding, Problem | None]:
        token = secrets.token_hex(16)
        public, bind = driver_address(self.spark)
        with ExitStack() as stack:
            try:
                answering = server_port.listening(lambda port: Answering(_bound(bind, port), token), bind=bind)
            except ClusterError as error:
                return failed("coordinator", error.message, cure=error.hint or ""), None
            stack.enter_context(answering)
            problem = self._mark(stack, token)
            look = NodeExamination(
                (public, answering.port),
                token,
                self.wait_s,
                folder=None if problem else self.model_dir,
                gpus=self.gpus,
                ask_tensorflow=self.ask_tensorflow,
            )
            views = node_job.views(self.spark, look, fitting, profile=self.profile, limit_s=self.limit_s)
        return views, problem

    def _mark(self, stack: ExitStack, token: str) -> Problem | None:
        folder = self.model_dir
        if folder is None:
            return None
        mark = Within(lambda: stack.enter_context(shared_folder.marked(folder, token)))
        try:
            return mark.result(FOLDER_S)
        except Overdue:
            return f"had no answer from {folder} within {FOLDER_S:g} s", "see that it is reached, with credentials"

    def _judged(self, driver: DriverView, views: list[NodeView], on_driver: Problem | None) -> list[Finding]:
        clock = clocks.clocks(views)
        folder = self.model_dir
        return [
            versions.python(driver, views),
            *versions.packages(driver, views),
            *addresses.addresses(driver, views),
            reachability.ports(views),
            reachability.coordinator(views),
            *([clock] if clock else []),
            *gpus.gpus(driver, views),
            *memory.memory(driver, views),
            disks.disks(views),
            *([folders.model_dir(folder, on_driver, views)] if folder is not None else []),
        ]


def _spark(spark: Any) -> Finding:
    import pyspark

    java = spark.sparkContext._jvm.java.lang.System.getProperty("java.version")
    return spark_versions.spark(pyspark.__version__, spark.version, java=java, master=spark.sparkContext.master)


def _silent_driver(limit_s: float) -> Finding:
    return failed(
        "spark",
        f"Spark's JVM on the driver did not answer within {limit_s:g} s",
        cure="see whether it collects garbage all the time, and raise spark.driver.memory",
    )


def _bound(host: str, port: int) -> socket.socket:
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    try:
        sock.bind((host, port))
    except OSError:
        sock.close()
        raise
    return sock
