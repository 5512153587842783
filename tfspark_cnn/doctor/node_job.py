"""The Spark job in which nodes look: its views, or the finding of why there are none."""

from __future__ import annotations

import secrets
import threading
from typing import Any

from tfspark_cnn.cluster.launcher import brief, cancel_jobs, own_error
from tfspark_cnn.cluster.tasks import run_tasks
from tfspark_cnn.doctor import job_failures
from tfspark_cnn.doctor.findings import Finding, failed
from tfspark_cnn.doctor.limited import Overdue, Within
from tfspark_cnn.doctor.node_examination import NodeExamination
from tfspark_cnn.doctor.observed import NodeView


def views(
    spark: Any, examination: NodeExamination, nodes: int, *, profile: Any, limit_s: float
) -> list[NodeView] | Finding:
    """Runs as many tasks at once as there are nodes, and gives what they saw, by their numbers.

    Args:
        spark: the session.
        examination: what each does.
        nodes: how many.
        profile: ResourceProfile of the tasks, or None.
        limit_s: after which the job is given up.
    """
    group = f"tfspark-doctor-{secrets.token_hex(4)}"

    def collect() -> list[NodeView]:
        spark.sparkContext.setJobGroup(group, f"doctor: {nodes} nodes", interruptOnCancel=True)
        return run_tasks(spark.sparkContext, examination, nodes, barrier=True, profile=profile)

    try:
        found = Within(collect, session=spark, name=f"{group}-job").result(limit_s)
    except Overdue:
        _cancel(spark, group)
        return job_failures.late(nodes, limit_s)
    except Exception as error:  # py4j and Spark raise of many kinds
        return _failed(error)
    except BaseException:  # an interrupt
        _cancel(spark, group)
        raise
    return sorted(found, key=lambda view: view.number)


def _failed(error: Exception) -> Finding:
    own = own_error(error)
    if own is not None:
        return failed("nodes", own.message, cure=own.hint or "look at the executors' logs")
    return job_failures.explained(str(error), brief=brief(error))


def _cancel(spark: Any, group: str) -> None:
    """Ends the job, without waiting for a driver's JVM that may not answer."""
    threading.Thread(target=cancel_jobs, args=(spark, group), name=f"{group}-cancel", daemon=True).start()
