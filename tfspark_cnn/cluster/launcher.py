"""Runs the barrier job that holds the nodes, in a thread of its own."""

from __future__ import annotations

import itertools
import logging
import pickle
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tfspark_cnn.cluster import policy
from tfspark_cnn.cluster.driver_nodes import DriverNodes
from tfspark_cnn.cluster.node_task import NodeTask
from tfspark_cnn.cluster.slots import NODES_TAG
from tfspark_cnn.cluster.tasks import run_tasks
from tfspark_cnn.errors import TFSparkError, by_name

log = logging.getLogger(__name__)

_OWN_ERROR = re.compile(r"tfspark_cnn\.errors\.(?P<kind>\w+): (?P<message>.*)")
_PYTHON_ERROR = re.compile(
    r"(?!org\.|java\.|scala\.|pyspark\.)[A-Za-z_][\w.]*(Error|Exception|Interrupt|Exit|Timeout)(: |$)"
)

_CALLING = "An error occurred while calling "
"""What py4j puts before what Java says."""


@dataclass
class Launch:
    """One barrier job.

    Attributes:
        spark: the session.
        task: what each of its tasks does.
        profile: ResourceProfile of its tasks, or None.
        ended: called once, from the job's thread, with the failure as text or None.
        beside: the nodes that run on the driver.
        results: pickled results of map_fun by node number, once it has ended.
    """

    spark: Any
    task: NodeTask
    profile: Any
    ended: Callable[[str | None], None]
    beside: DriverNodes
    results: dict[int, bytes] = field(default_factory=dict)
    _thread: Any = None

    @property
    def group(self) -> str:
        """The job group, by which it is cancelled."""
        options = self.task.options
        return options.run_id if options.attempt == 1 else f"{options.run_id}-{options.attempt}"

    def start(self) -> None:
        """Submits the job and returns."""
        from pyspark import InheritableThread

        self._thread = InheritableThread(target=self._run, session=self.spark, name=f"{self.group}-job")
        self._thread.daemon = True
        self._thread.start()
        self.beside.start()

    @property
    def started(self) -> bool:
        """Whether the job was submitted."""
        return self._thread is not None

    def cancel(self) -> None:
        """Asks Spark to end the job."""
        cancel_jobs(self.spark, self.group)

    def join(self, timeout_s: float) -> bool:
        """Waits for the job's thread, and gives whether it has ended; ends what is left beside it."""
        if self.started:
            self._thread.join(timeout_s)
        self.beside.close()
        return not (self.started and self._thread.is_alive())

    def _run(self) -> None:
        failure = None
        try:
            self._collect()
        except Exception as error:  # py4j and Spark raise of many kinds; the coordinator wants to know of any
            failure = brief(error)
            log.debug("the job of the nodes failed", exc_info=True)
        self.ended(failure)

    def _collect(self) -> None:
        context = self.spark.sparkContext
        nodes = len(self.task.nodes)
        context.setJobGroup(self.group, f"TensorFlow cluster of {nodes} nodes", interruptOnCancel=True)
        context.addJobTag(NODES_TAG)
        parts = run_tasks(context, self.task, nodes, barrier=True, profile=self.profile)
        for node, body in itertools.groupby(parts, key=lambda part: part.node):
            self.results[node] = b"".join(part.body for part in body)

    def result(self, number: int) -> Any:
        """Gives what map_fun returned on a node."""
        body = self.results.get(number)
        return pickle.loads(body) if body else None  # noqa: S301  Spark's channel, from our own process


def cancel_jobs(spark: Any, group: str) -> None:
    """Ends the jobs of a group, also those that a thread is about to submit; a group's name is never used again.

    What PySpark offers ends those alone that Spark has already: a job that is still being planned would run.
    """
    spark.sparkContext._jsc.sc().cancelJobGroupAndFutureJobs(group)


def own_error(error: BaseException) -> TFSparkError | None:
    """Gives the error of our own tree that a Spark task raised, from the text in which Spark brings it, or None."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    for number, line in reversed(list(enumerate(lines))):  # the last of a chain says most
        found = _OWN_ERROR.fullmatch(line)
        kind = by_name(found["kind"]) if found else None
        if found and kind:
            after = lines[number + 1] if number + 1 < len(lines) else ""
            return kind(found["message"], hint=after.removeprefix("to do: ") if after.startswith("to do: ") else None)
    return None


def brief(error: BaseException) -> str:
    """Gives the line of a Spark error that says what went wrong, without the stacks of the JVM."""
    lines = [line.strip().removeprefix(": ") for line in str(error).splitlines() if line.strip()]
    lines = [line for line in lines if not line.startswith(_CALLING)] or lines
    python = [line for line in lines if _PYTHON_ERROR.match(line)]
    lost = [line for line in lines if policy.EXECUTOR_LOST in line]
    return (lost or python[::-1] or lines or [type(error).__name__])[0][:2000]
