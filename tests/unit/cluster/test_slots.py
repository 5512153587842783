from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from py4j.protocol import Py4JError, Py4JJavaError

from tfspark_cnn.cluster import slots
from tfspark_cnn.cluster.slots import Slots, check, check_static, expected_total, shortage
from tfspark_cnn.errors import ConfigError, SlotsError


@pytest.mark.parametrize(
    ("found", "nodes", "feeders", "master", "task_cpus", "message", "hint"),
    [
        (Slots(2, 0), 2, 1, "local[2]", 1, "Spark has 2 slots, expected at least 3: 2 nodes and 1 feeder", "local[3]"),
        (Slots(0, 0), 1, 0, "local[1]", 1, "Spark has 0 slots, expected at least 1: 1 node", "local[1]"),
        (Slots(1, 0), 1, 1, "local[1]", 2, "expected at least 2: 1 node and 1 feeder", "local[4]"),
        (
            Slots(4, 2), 2, 1, "local[4]", 1,
            "Spark has 4 slots (2 of them held by other clusters), expected at least 5: 2 nodes and 1 feeder",
            "local[5]",
        ),
        (Slots(6, 0), 8, 0, "local-cluster[2,3,1024]", 1, "expected at least 8: 8 nodes", "workers x cores of 8"),
        (Slots(3, 0), 4, 1, "local-cluster[2,3,1024]", 2, "expected at least 5", "workers x cores of 10"),
        (Slots(3, 0), 4, 1, "spark://m:7077", 1, "4 nodes and 1 feeder", "spark.cores.max on standalone"),
        (Slots(3, 0), 4, 1, "yarn", 2, "4 nodes and 1 feeder", "spark.task.cpus=2 is 5 or more"),
    ],
)  # fmt: skip
def test_a_shortage_says_how_many_there_are_how_many_are_needed_and_what_to_set(
    found: Slots, nodes: int, feeders: int, master: str, task_cpus: int, message: str, hint: str
) -> None:
    error = shortage(found, nodes=nodes, feeders=feeders, master=master, task_cpus=task_cpus)
    assert isinstance(error, SlotsError) and isinstance(error, ConfigError)
    assert error.message.endswith(message) if message.startswith("Spark") else message in error.message
    assert hint in (error.hint or "")


@given(st.integers(0, 50), st.integers(0, 50), st.integers(1, 30), st.integers(0, 2))
def test_there_is_a_shortage_exactly_if_the_free_slots_do_not_do(
    total: int, held: int, nodes: int, feeders: int
) -> None:
    error = shortage(Slots(total, held), nodes=nodes, feeders=feeders, master="yarn", task_cpus=1)
    assert (error is None) == (total - held >= nodes + feeders)
    if error is not None:
        enough = Slots(int(error.message.partition("at least ")[2].partition(":")[0]), held)
        assert shortage(enough, nodes=nodes, feeders=feeders, master="yarn", task_cpus=1) is None


@pytest.mark.parametrize(
    ("conf", "master", "total"),
    [
        ({}, "local-cluster[2,3,1024]", 6),
        ({}, "local-cluster[ 2 , 3 , 1024 ]", 6),
        ({"spark.task.cpus": "2"}, "local-cluster[2,3,1024]", 2),
        ({"spark.task.cpus": "4"}, "local-cluster[2,3,1024]", 0),
        ({"spark.executor.instances": "3", "spark.executor.cores": "4"}, "yarn", 12),
        ({"spark.executor.instances": "3", "spark.executor.cores": "4", "spark.task.cpus": "3"}, "k8s://x", 3),
        ({"spark.executor.instances": "3"}, "yarn", None),
        ({"spark.executor.cores": "3"}, "spark://m:7077", None),
        ({}, "local[4]", None),
        ({}, "local[*]", None),
    ],
)
def test_settings_promise_a_number_of_slots_or_leave_it_open(
    conf: dict[str, str], master: str, total: int | None
) -> None:
    assert expected_total(conf, master) == total


@pytest.mark.parametrize("value", ["true", "True", "TRUE"])
def test_dynamic_allocation_is_refused(value: str) -> None:
    with pytest.raises(SlotsError, match=r"spark\.dynamicAllocation\.enabled is true, expected false") as caught:
        check_static({"spark.dynamicAllocation.enabled": value})
    assert "spark.executor.instances" in (caught.value.hint or "")


@pytest.mark.parametrize("conf", [{}, {"spark.dynamicAllocation.enabled": "false"}])
def test_fixed_executors_are_fine(conf: dict[str, str]) -> None:
    check_static(conf)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [(None, 30), ("45s", 45), ("200ms", 0.2), ("2m", 120), ("2min", 120), ("500", 0.5), ("for ever", 30)],
)
def test_executors_are_waited_for_as_long_as_spark_does(value: str | None, seconds: float) -> None:
    conf = {} if value is None else {"spark.scheduler.maxRegisteredResourcesWaitingTime": value}
    assert slots._patience_s(conf) == pytest.approx(seconds)


# --- check, on a context that answers as Spark's does ----------------------------------------------------------------


@dataclass
class Stage:
    numTasks: int


@dataclass
class Job:
    status: str
    stageIds: list[int]


@dataclass
class Option:
    """As Scala's, of what Spark knows of an executor; that it has gone meanwhile is -1 here."""

    value: int

    def isDefined(self) -> bool:
        return self.value >= 0

    def get(self) -> int:
        assert self.isDefined()
        return self.value


@dataclass
class FakeContext:
    """The few answers of a SparkContext that `check` asks for; `tasks` and `free` are given one after another.

    `free` are the free cores of its executors; None: its master does not tell.
    """

    master: str
    tasks: list[int]
    conf: dict[str, str] = field(default_factory=dict)
    jobs: dict[int, Job] = field(default_factory=dict)
    stages: dict[int, Stage | None] = field(default_factory=dict)
    profiles: list[Any] = field(default_factory=list)
    free: list[list[int]] | None = None
    busy: int = 0

    @property
    def _jsc(self) -> FakeContext:
        return self

    def sc(self) -> FakeContext:
        return self

    def getConf(self) -> FakeContext:
        return self

    def getAll(self) -> list[tuple[str, str]]:
        return list(self.conf.items())

    def resourceProfileManager(self) -> FakeContext:
        return self

    def defaultResourceProfile(self) -> str:
        return "default"

    def addResourceProfile(self, profile: Any) -> None:
        if isinstance(profile, Exception):
            raise profile
        self.profiles.append(f"registered {profile}")

    def maxNumConcurrentTasks(self, profile: Any) -> int:
        self.profiles.append(profile)
        return self.tasks.pop(0) if len(self.tasks) > 1 else self.tasks[0]

    def statusTracker(self) -> FakeContext:
        return self

    def schedulerBackend(self) -> FakeContext:
        return self

    def getExecutorIds(self) -> FakeContext:
        if self.free is None:
            raise Py4JError("Method getExecutorIds([]) does not exist")
        return self

    def mkString(self, between: str) -> str:
        return between.join(map(str, range(len(self.free[0]))))

    def getExecutorAvailableCpus(self, executor: str) -> Option:
        cores = Option(self.free[0][int(executor)])
        if int(executor) == len(self.free[0]) - 1 and len(self.free) > 1:
            self.free.pop(0)
        return cores

    def getExecutorInfos(self) -> list[FakeContext]:
        return [self]

    def numRunningTasks(self) -> int:
        return self.busy

    def getJobIdsForTag(self, tag: str) -> list[int]:
        assert tag == slots.NODES_TAG
        return list(self.jobs)

    def getJobInfo(self, job: int) -> Job | None:
        return self.jobs[job]

    def getStageInfo(self, stage: int) -> Stage | None:
        return self.stages[stage]


def test_slots_that_do_are_given_back() -> None:
    assert check(FakeContext("local[4]", [4]), nodes=3, feeders=1, profile=None) == Slots(4, 0)


def test_a_local_master_is_not_waited_for() -> None:
    sc = FakeContext("local[2]", [2, 9])
    with pytest.raises(SlotsError, match="Spark has 2 slots, expected at least 3"):
        check(sc, nodes=2, feeders=1, profile=None)
    assert sc.tasks == [9], "asked once"


def test_settings_that_promise_too_few_are_not_waited_for() -> None:
    with pytest.raises(SlotsError, match="Spark has 6 slots, expected at least 8: 7 nodes and 1 feeder"):
        check(FakeContext("local-cluster[2,3,1024]", [0]), nodes=7, feeders=1, profile=None)


def test_executors_that_are_still_registering_are_waited_for() -> None:
    sc = FakeContext("local-cluster[2,3,1024]", [0, 3, 6])
    assert check(sc, nodes=5, feeders=1, profile=None) == Slots(6, 0)


def test_executors_that_never_register_are_given_up() -> None:
    sc = FakeContext("yarn", [1], {"spark.scheduler.maxRegisteredResourcesWaitingTime": "1ms"})
    with pytest.raises(SlotsError, match="Spark has 1 slots, expected at least 2"):
        check(sc, nodes=2, feeders=0, profile=None)


@dataclass
class Clock:
    now_s: float = 0.0

    def monotonic(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds


def test_slots_that_nodes_of_other_clusters_hold_are_not_free(monkeypatch) -> None:
    monkeypatch.setattr(slots, "time", Clock())
    jobs = {1: Job("RUNNING", [10, 11]), 2: Job("SUCCEEDED", [12])}
    sc = FakeContext("local[6]", [6], jobs=jobs, stages={10: Stage(3), 11: None, 12: Stage(2)})
    assert check(sc, nodes=2, feeders=1, profile=None) == Slots(6, 3)
    with pytest.raises(SlotsError, match=r"6 slots \(3 of them held by other clusters\), expected at least 7"):
        check(sc, nodes=3, feeders=1, profile=None)


@pytest.mark.parametrize(
    ("there", "patience_s", "waited_s"),
    [(6, None, slots.RELEASE_S), (5, None, 30.0), (6, 9.0, 9.0)],
    ids=["all executors are there", "some are missing", "patience"],
)
def test_slots_that_others_hold_are_waited_for_a_moment_once_all_executors_are_there(
    monkeypatch, there: int, patience_s: float | None, waited_s: float
) -> None:
    clock = Clock()
    monkeypatch.setattr(slots, "time", clock)
    sc = FakeContext("local-cluster[2,3,1024]", [there], jobs={1: Job("RUNNING", [10])}, stages={10: Stage(4)})
    with pytest.raises(SlotsError, match=rf"{there} slots \(4 of them held by other clusters\), expected at least 7"):
        check(sc, nodes=3, feeders=0, profile=None, patience_s=patience_s)
    assert clock.now_s == pytest.approx(waited_s, abs=2 * slots.REGISTER_POLL_S)


@pytest.mark.parametrize(
    ("free", "busy", "waited_s"),
    [
        ([[3, 3]], 0, 0.0),
        ([[3, 0], [3, 0], [3, 3]], 0, 2 * slots.REGISTER_POLL_S),
        ([[0, 0], [3, 0], [0, 3]], 3, 1 * slots.REGISTER_POLL_S),
        ([[1, 0]], 5, 0.0),
        ([[3, 0]], 0, slots.LAUNCH_S),
        ([[3, -1]], 0, slots.LAUNCH_S),
        (None, 0, 0.0),
    ],
    ids=["ready", "one launches", "some are busy", "most are busy", "one hangs", "one has gone", "does not tell"],
)
def test_executors_that_have_registered_are_waited_for_until_they_take_tasks(
    monkeypatch, free: list[list[int]] | None, busy: int, waited_s: float
) -> None:
    clock = Clock()
    monkeypatch.setattr(slots, "time", clock)
    sc = FakeContext("spark://host:7077", [6], free=free, busy=busy)
    assert check(sc, nodes=2, feeders=1, profile=None) == Slots(6, 0)
    assert clock.now_s == pytest.approx(waited_s, abs=1.5 * slots.REGISTER_POLL_S if waited_s > 1 else 1e-9)


@dataclass
class Profile:
    _java_resource_profile: Any


@dataclass
class JavaException:
    """What py4j gives of an exception of the JVM."""

    text: str
    _target_id: str = "o1"

    def getMessage(self) -> str:
        return self.text


def test_a_profile_is_registered_before_its_slots_are_counted() -> None:
    sc = FakeContext("local-cluster[1,1,1024]", [4])
    assert check(sc, nodes=3, feeders=1, profile=Profile("with GPUs")) == Slots(4, 0)
    assert sc.profiles == ["registered with GPUs", "with GPUs"]


def test_a_profile_that_spark_refuses_is_an_error_with_its_words() -> None:
    refusal = Py4JJavaError("An error occurred", JavaException("only supported on YARN"))
    with pytest.raises(SlotsError, match="refuses the resource profile on master local.2.: only supported on YARN"):
        check(FakeContext("local[2]", [2]), nodes=1, feeders=0, profile=Profile(refusal))
