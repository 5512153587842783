"""How many slots Spark has, and whether they are enough. Asked before anything starts."""

from __future__ import annotations

import logging
import math
import re
import time
from dataclasses import dataclass
from typing import Any

from tfspark_cnn.errors import SlotsError

log = logging.getLogger(__name__)

REGISTER_POLL_S = 0.05
"""Executors of a fresh application register one by one, and Spark tells Python of no such event."""

RELEASE_S = 2.0
"""Given to slots that other clusters hold to come free, once all executors are there: Spark tells late of jobs that
have ended."""

LAUNCH_S = 5.0
"""Given to executors that have registered to take tasks too. Until they do Spark puts all nodes on the others."""

NODES_TAG = "tfspark_cnn-nodes"
"""Job tag of the jobs that hold nodes, so that clusters see each other's slots."""


@dataclass(frozen=True)
class Slots:
    """Slots of an application: how many there are, and how many other clusters' nodes hold."""

    total: int
    held: int

    @property
    def free(self) -> int:
        """What a new cluster and its feeders can have."""
        return self.total - self.held


def shortage(
    slots: Slots, *, nodes: int, feeders: int, master: str, task_cpus: int, what: str = "node"
) -> SlotsError | None:
    """Gives the error if the slots do not do, or None.

    Example:
        >>> print(shortage(Slots(2, 0), nodes=2, feeders=1, master="local[2]", task_cpus=1))
        Spark has 2 slots, expected at least 3: 2 nodes and 1 feeder
          to do: use master local[3] or more
    """
    need = nodes + feeders
    if slots.free >= need:
        return None
    parts = f"{nodes} {what}{'s' * (nodes != 1)}" + (f" and {feeders} feeder" if feeders else "")
    held = f" ({slots.held} of them held by other clusters)" if slots.held else ""
    return SlotsError(
        f"Spark has {slots.total} slots{held}, expected at least {need + slots.held}: {parts}",
        hint=_setting(master, need + slots.held, task_cpus),
    )


def _setting(master: str, need: int, task_cpus: int) -> str:
    if master.startswith("local-cluster"):
        return f"use a local-cluster[workers,cores,memory] with workers x cores of {need * task_cpus} or more"
    if master.startswith("local"):
        return f"use master local[{need * task_cpus}] or more"
    return (
        f"raise spark.executor.instances or spark.executor.cores (spark.cores.max on standalone) until "
        f"executors x cores / spark.task.cpus={task_cpus} is {need} or more; GPUs asked for per task count too"
    )


def expected_total(conf: dict[str, str], master: str) -> int | None:
    """Gives how many slots the settings promise, or None where they leave it open."""
    task_cpus = int(conf.get("spark.task.cpus", "1"))
    local_cluster = re.fullmatch(r"local-cluster\[\s*(\d+)\s*,\s*(\d+)\s*,.*\]", master)
    if local_cluster:
        return int(local_cluster[1]) * (int(local_cluster[2]) // task_cpus)
    if "spark.executor.instances" in conf and "spark.executor.cores" in conf:
        return int(conf["spark.executor.instances"]) * (int(conf["spark.executor.cores"]) // task_cpus)
    return None


def check_static(conf: dict[str, str]) -> None:
    """Refuses dynamic allocation: Spark does not run barrier stages with it (SPARK-24942).

    Raises:
        SlotsError: it is on.
    """
    if not is_static(conf):
        raise SlotsError(
            "spark.dynamicAllocation.enabled is true, expected false: nodes keep their executors for life",
            hint="set spark.dynamicAllocation.enabled=false and a fixed spark.executor.instances",
        )


def is_static(conf: dict[str, str]) -> bool:
    """Tells whether the application keeps its executors."""
    return conf.get("spark.dynamicAllocation.enabled", "false").lower() != "true"


def now(sc: Any, profile: Any = None) -> Slots:
    """Gives the slots of the executors that have registered so far."""
    return Slots(_concurrent_tasks(sc, profile), _held(sc))


def check(
    sc: Any, *, nodes: int, feeders: int, profile: Any, patience_s: float | None = None, what: str = "node"
) -> Slots:
    """Makes sure that the nodes and a feeder fit, waiting for executors that are still registering.

    Those that have registered are waited for until they take tasks, so that Spark deals the nodes to all of them.

    Args:
        sc: the SparkContext.
        nodes: slots the nodes will hold.
        feeders: slots that must be left over.
        profile: ResourceProfile of the nodes, or None.
        patience_s: how long slots are waited for; None: as long as Spark would for executors that are missing, and for
            a moment where all are there and other clusters hold them.
        what: what the error calls a node.

    Raises:
        SlotsError: they do not fit.
    """
    conf = dict(sc.getConf().getAll())
    check_static(conf)
    if profile is not None:
        register(sc, profile)
    promised = expected_total(conf, sc.master) if profile is None else None
    slots = now(sc, profile)
    final = _is_one_process(sc.master)
    task_cpus = int(conf.get("spark.task.cpus", "1"))
    if promised is not None and promised < nodes + feeders:
        slots, final = Slots(promised, slots.held), True
    began = time.monotonic()
    while True:
        error = shortage(slots, nodes=nodes, feeders=feeders, master=sc.master, task_cpus=task_cpus, what=what)
        if error is None:
            _await_launched(sc, slots, task_cpus)
            return slots
        complete = final or (promised is not None and slots.total >= promised)
        enough_s = (RELEASE_S if complete else _patience_s(conf)) if patience_s is None else patience_s
        too_few_ever = final and slots.total < nodes + feeders
        if too_few_ever or time.monotonic() - began > enough_s:
            raise error
        time.sleep(REGISTER_POLL_S)
        slots = now(sc, profile)


def _is_one_process(master: str) -> bool:
    return master == "local" or master.startswith("local[")


def _await_launched(sc: Any, slots: Slots, task_cpus: int) -> None:
    """Waits until the slots take tasks, or have some. Spark counts those of an executor from when it registers on."""
    if _is_one_process(sc.master):
        return
    until = time.monotonic() + LAUNCH_S
    while _ready(sc, task_cpus) < slots.total:
        if time.monotonic() > until:
            log.info("Spark has %d slots, of which some take no tasks yet: nodes may crowd on the others", slots.total)
            return
        time.sleep(REGISTER_POLL_S)


def _ready(sc: Any, task_cpus: int) -> float:
    """Gives how many slots take tasks or have some; infinity where the master does not tell."""
    from py4j.protocol import Py4JError

    context = sc._jsc.sc()
    backend, infos = context.schedulerBackend(), context.statusTracker().getExecutorInfos()
    try:
        found = [backend.getExecutorAvailableCpus(one) for one in backend.getExecutorIds().mkString(" ").split()]
    except Py4JError:
        return math.inf
    running = sum(int(info.numRunningTasks()) for info in infos)
    return running + sum(int(free.get()) // task_cpus for free in found if free.isDefined())


def _patience_s(conf: dict[str, str]) -> float:
    """Spark's own patience for executors to register, 30 s unless set."""
    found = re.fullmatch(r"(\d+)(ms|s|m|min)?", conf.get("spark.scheduler.maxRegisteredResourcesWaitingTime", "30s"))
    return int(found[1]) * {"ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, None: 0.001}[found[2]] if found else 30.0


def _concurrent_tasks(sc: Any, profile: Any) -> int:
    """What Spark's own check of barrier stages asks: how many tasks can run at once on the executors there are."""
    context = sc._jsc.sc()
    profiles = context.resourceProfileManager()
    wanted = profile._java_resource_profile if profile is not None else profiles.defaultResourceProfile()
    return int(context.maxNumConcurrentTasks(wanted))


def register(sc: Any, profile: Any) -> None:
    """Makes a resource profile known to Spark, which would otherwise know it only once a stage uses it.

    Raises:
        SlotsError: Spark does not do stage-level scheduling on this master.
    """
    from py4j.protocol import Py4JJavaError

    try:
        sc._jsc.sc().resourceProfileManager().addResourceProfile(profile._java_resource_profile)
    except Py4JJavaError as error:
        raise SlotsError(
            f"Spark refuses the resource profile on master {sc.master}: {error.java_exception.getMessage()}",
            hint="use standalone, YARN or Kubernetes; without dynamic allocation a profile has task requests only",
        ) from error


def _held(sc: Any) -> int:
    tracker = sc.statusTracker()
    jobs = sc._jsc.sc().statusTracker().getJobIdsForTag(NODES_TAG)
    held = 0
    for job in jobs:
        info = tracker.getJobInfo(job)
        stages = [tracker.getStageInfo(stage) for stage in info.stageIds] if info and info.status == "RUNNING" else []
        held += sum(stage.numTasks for stage in stages if stage is not None)
    return held
