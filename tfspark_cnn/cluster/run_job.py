"""The Spark job of independent runs and the driver's service for it, from start to end."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tfspark_cnn.cluster.attempts import LEAVE_S, STOP_S
from tfspark_cnn.cluster.launcher import brief, cancel_jobs
from tfspark_cnn.cluster.run_coordinator import RunCoordinator
from tfspark_cnn.cluster.run_task import RunTask
from tfspark_cnn.cluster.runs import Runs
from tfspark_cnn.cluster.slots import NODES_TAG
from tfspark_cnn.cluster.tasks import run_tasks

log = logging.getLogger(__name__)


@dataclass
class RunJob:
    """One Spark job, with a task for each run. A context manager: nothing of it is left when the block is left.

    Attributes:
        spark: the session.
        task: what each of its tasks does.
        coordinator: which hands out the runs.
        profile: ResourceProfile of its tasks, or None.
        barrier: whether all tasks start together or not at all.
    """

    spark: Any
    task: RunTask
    coordinator: RunCoordinator
    profile: Any
    barrier: bool
    _thread: Any = None

    def __enter__(self) -> RunJob:
        """Submits the job."""
        from pyspark import InheritableThread

        self._thread = InheritableThread(target=self._run, session=self.spark, name=f"{self._group}-job")
        self._thread.daemon = True
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        """Ends all runs that still work, the job and the service. The first error stays the one raised."""
        try:
            self._end("the driver needs no further run" if kind is None else f"the driver met {kind.__name__}")
        except Exception:  # clean-up never replaces the first error
            log.warning("could not end the runs in good order", exc_info=True)
        finally:
            self.coordinator.close()
            if self.coordinator.refused:
                log.warning(
                    "%d calls to the coordinator of the runs came without their secret, or carried what no part of "
                    "them sends; they were refused",
                    self.coordinator.refused,
                )

    def wait(self, condition: Callable[[Runs], bool], *, timeout_s: float | None) -> bool:
        """Waits until the condition holds or Spark has ended the job, and gives whether the condition does."""
        return self.coordinator.wait(condition, timeout_s=timeout_s)

    def _end(self, reason: str) -> None:
        self.coordinator.abort(reason)
        if not self.coordinator.wait_job(timeout_s=LEAVE_S):
            cancel_jobs(self.spark, self._group)
            self.coordinator.wait_job(timeout_s=STOP_S)
        self._thread.join(STOP_S)

    @property
    def _group(self) -> str:
        return self.task.options.run_id

    def _run(self) -> None:
        failure = None
        try:
            self._collect()
        except Exception as error:  # py4j and Spark raise of many kinds; the driver wants to know of any
            failure = brief(error)
            log.debug("the job of the runs failed", exc_info=True)
        self.coordinator.end_job(failure)

    def _collect(self) -> None:
        context, count = self.spark.sparkContext, self.task.count
        context.setJobGroup(self._group, f"{count} independent TensorFlow runs", interruptOnCancel=True)
        if self.barrier:  # others wait for slots as behind any job of Spark's, but these are held to the last run's end
            context.addJobTag(NODES_TAG)
        run_tasks(context, self.task, count, barrier=self.barrier, profile=self.profile)
