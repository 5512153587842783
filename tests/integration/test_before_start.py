"""What is refused before anything starts: in words that name what there is, what is needed, and the setting."""

from __future__ import annotations

import threading

import map_funs
import programs
import pytest

from tfspark_cnn import InputMode, TFCluster
from tfspark_cnn.errors import ConfigError, MapFunError, SlotsError, TopologyError

pytestmark = [pytest.mark.timeout(180), pytest.mark.beside]


@pytest.mark.parametrize(
    ("arguments", "options", "kind", "words"),
    [
        ((0,), {}, TopologyError, "num_executors is 0"),
        ((2, -1), {}, TopologyError, "num_ps is -1"),
        ((2, 2), {}, TopologyError, "num_executors=2 does not add up: 2 ps"),
        ((2, 1), {"master_node": "chief", "eval_node": True}, TopologyError, "does not add up"),
        ((2,), {"master_node": "cheif"}, TopologyError, "unknown role.*did you mean 'chief'"),
        ((2,), {"gpus_per_node": -1}, TopologyError, "gpus_per_node is -1"),
        ((2,), {"gpus_per_node": {"wroker": 1}}, TopologyError, "unknown role 'wroker'"),
        ((2,), {"reservation_timeout": 0}, ConfigError, "reservation_timeout is 0"),
        ((2,), {"input_mode": 7}, ConfigError, "input_mode is 7"),
        ((2,), {"tensorboard": True}, ConfigError, "log_dir"),
        ((2,), {"driver_ps_nodes": True}, ConfigError, "driver_ps_nodes=True expected parameter servers"),
        ((7,), {}, SlotsError, r"Spark has 6 slots, expected at least 7: 7 nodes\n.*local-cluster"),
        ((6,), {"input_mode": InputMode.SPARK}, SlotsError, "expected at least 7: 6 nodes and 1 feeder"),
    ],
)
def test_arguments_that_cannot_be_are_refused(spark, arguments, options, kind, words):
    with pytest.raises(kind, match=words):
        TFCluster.run(spark, map_funs.describe, None, *arguments, **options)
    assert not spark.sparkContext.statusTracker().getActiveJobsIds()


@pytest.mark.parametrize(
    ("map_fun", "args", "words"),
    [
        (map_funs.describe, threading.Lock(), "cannot be pickled.*lock"),
        (lambda: None, None, r"cannot be called as map_fun\(args, ctx\)"),
        (42, None, "map_fun is a int"),
        ("map_funs.describe", None, "expected 'package.module:function'"),
    ],
)
def test_map_funs_that_cannot_be_are_refused(spark, map_fun, args, words):
    with pytest.raises(MapFunError, match=words):
        TFCluster.run(spark, map_fun, args, 2)


def test_something_else_than_spark_is_refused():
    with pytest.raises(ConfigError, match="sc is a str, expected a SparkContext or a SparkSession"):
        TFCluster.run("local[4]", map_funs.describe, None, 2)


def test_slots_that_another_cluster_holds_are_not_counted(spark):
    with pytest.raises(SlotsError, match=r"6 slots \(4 of them held by other clusters\), expected at least 7"):
        with TFCluster.run(spark, map_funs.wait_long, None, 4):
            TFCluster.run(spark, map_funs.describe, None, 3)


def test_a_local_master_with_too_few_slots_and_dynamic_allocation_are_refused(tmp_path):
    out = programs.run(
        tmp_path,
        """
        spark = session("local[2]")
        try:
            TFCluster.run(spark, map_funs.describe, None, 2, input_mode=InputMode.SPARK)
        except errors.SlotsError as error:
            print("REFUSED", error)
        with TFCluster.run(spark, map_funs.describe, None, 2) as cluster:
            print("STILL", len(cluster.shutdown()))
        spark.stop()
        spark = session("local[4]", spark__dynamicAllocation__enabled="true")
        try:
            TFCluster.run(spark, map_funs.describe, None, 2)
        except errors.SlotsError as error:
            print("REFUSED", error)
        """,
    )
    assert "REFUSED Spark has 2 slots, expected at least 3: 2 nodes and 1 feeder" in out
    assert "use master local[3] or more" in out
    assert "STILL 2" in out
    assert "REFUSED spark.dynamicAllocation.enabled is true" in out


def test_nodes_of_a_fresh_application_do_not_crowd_on_the_executor_that_launched_first(tmp_path):
    out = programs.run(
        tmp_path,
        """
        for _ in range(3):
            spark = session("local-cluster[2,2,1024]")
            with TFCluster.run(spark, map_funs.working_directory, None, 2, input_mode=InputMode.SPARK) as cluster:
                print("EXECUTORS", len(set(cluster.shutdown())))
            spark.stop()
        """,
    )
    assert out.count("EXECUTORS 2") == 3, "the later ones come while slots are known that take no tasks yet"


SPECS = (2, {"worker": 2, "chief": 2, "evaluator": 1})


@pytest.fixture(scope="module")
def gpus(tmp_path_factory):
    """What nodes see of eight GPUs, two for each task, by what gpus_per_node is."""
    folder = tmp_path_factory.mktemp("gpus")
    finder = folder / "gpus.sh"
    finder.write_text("""#!/bin/sh\necho '{"name": "gpu", "addresses": ["0", "1", "2", "3", "4", "5", "6", "7"]}'\n""")
    finder.chmod(0o755)
    out = programs.run(
        folder,
        f"""
        conf = {{"spark__executor__resource__gpu__amount": "8", "spark__task__resource__gpu__amount": "2",
                "spark__executor__resource__gpu__discoveryScript": "{finder}",
                "spark__worker__resource__gpu__amount": "8",
                "spark__worker__resource__gpu__discoveryScript": "{finder}"}}
        spark = session("local-cluster[1,4,1024]", **conf)
        for spec in {SPECS!r}:
            with TFCluster.run(spark, map_funs.gpus_of, None, 4, 1, master_node="chief", eval_node=True,
                               gpus_per_node=spec) as cluster:
                print("GPUS", cluster.shutdown())
        print("GPUS", spark.sparkContext.parallelize([0, 1], 2).mapPartitions(map_funs.gpus_of_scoring).collect())
        """,
    )
    found = [eval(line.removeprefix("GPUS ")) for line in out.splitlines() if line.startswith("GPUS ")]
    return dict(zip([*map(str, SPECS), "scoring"], found, strict=True))


def test_a_python_worker_that_scores_sees_the_gpus_of_its_task_and_leaves_memory_to_others(gpus):
    visible, growth = zip(*gpus["scoring"], strict=True)
    assert sorted(len(one.split(",")) for one in visible) == [2, 2] and set(growth) == {"true"}


@pytest.mark.parametrize("spec", SPECS)
def test_gpus_that_spark_assigned_become_visible_devices(gpus, spec):
    ps, chief, evaluator, worker = gpus[str(spec)]
    taken = [int(gpu) for _, gpus, _ in (chief, evaluator, worker) for gpu in gpus]
    assert ps is None, "a ps serves, and map_fun is not called on it"
    assert len(chief[1]) == 2 and len(worker[1]) == 2
    assert chief[2] == ",".join(chief[1]) and worker[2] == ",".join(worker[1])
    assert len(set(taken)) == len(taken), "no GPU is given twice"
    if spec == 2:
        assert evaluator[1:] == ([], "-1"), "an evaluator gets none unless asked"
    else:
        assert len(evaluator[1]) == 1


def test_a_resource_profile_gives_nodes_gpus_where_other_tasks_take_none(tmp_path):
    finder = tmp_path / "gpus.sh"
    finder.write_text("""#!/bin/sh\necho '{"name": "gpu", "addresses": ["0", "1"]}'\n""")
    finder.chmod(0o755)
    out = programs.run(
        tmp_path,
        f"""
        from pyspark.resource import ResourceProfileBuilder, TaskResourceRequests

        conf = {{"spark__executor__resource__gpu__amount": "2", "spark__worker__resource__gpu__amount": "2",
                "spark__executor__resource__gpu__discoveryScript": "{finder}",
                "spark__worker__resource__gpu__discoveryScript": "{finder}",
                "spark__task__resource__gpu__amount": "0.25",
                "spark__scheduler__maxRegisteredResourcesWaitingTime": "1s"}}
        spark = session("local-cluster[1,4,1024]", **conf)
        profile = ResourceProfileBuilder().require(TaskResourceRequests().cpus(1).resource("gpu", 1)).build
        with TFCluster.run(spark, map_funs.gpus_of, None, 2, resource_profile=profile) as cluster:
            print("GPUS", cluster.shutdown())
        with TFCluster.run(spark, map_funs.gpus_of, None, 1, gpus_per_node=2) as cluster:
            print("BOTH", cluster.shutdown())
        try:
            TFCluster.run(spark, map_funs.gpus_of, None, 3, resource_profile=profile)
        except errors.SlotsError as error:
            print("REFUSED", error)
        """,
    )
    nodes = eval(out.partition("GPUS ")[2].splitlines()[0])
    assert sorted(gpu for _, gpus, _ in nodes for gpu in gpus) == ["0", "1"]
    assert eval(out.partition("BOTH ")[2].splitlines()[0])[0][1] == ["0", "1"]
    assert "REFUSED Spark has 2 slots, expected at least 3: 3 nodes" in out
