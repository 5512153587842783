"""The line of spark-submit: its options, its interpreters, and what Spark cannot do."""

from __future__ import annotations

from typing import Any

import pytest

from tfspark_cnn.cli.submission import IN_IMAGE, DeployMode, Machine, Wish, submission
from tfspark_cnn.errors import ConfigError

TRAIN = ("train", "conf/digits.toml", "--set", "train.epochs=3")
HERE = Machine("/env/bin/python", "/spark/bin/spark-submit", "/env/main.py", {})
CLUSTER = DeployMode.CLUSTER
HADOOP = Machine("/env/bin/python", "spark-submit", "/env/main.py", {"HADOOP_CONF_DIR": "/etc/hadoop"})


def wish(**more: Any) -> Wish:
    return Wish(**{"arguments": TRAIN} | more)


def test_the_line_names_the_interpreter_of_the_driver_and_by_a_variable_that_of_executors() -> None:
    line = submission(wish(master="spark://h:7077", conf=("spark.task.cpus=2",)), HERE)
    assert line.command == (
        "/spark/bin/spark-submit", "--master", "spark://h:7077", "--conf", "spark.task.cpus=2",
        "--conf", "spark.pyspark.driver.python=/env/bin/python", "/env/main.py", *TRAIN,
    )  # fmt: skip
    assert line.environment == {"PYSPARK_PYTHON": "/env/bin/python"}
    assert line.shown.startswith("PYSPARK_PYTHON=/env/bin/python /spark/bin/spark-submit --master spark://h:7077 ")


def test_an_archive_brings_the_interpreter_of_executors() -> None:
    line = submission(wish(archives="environment.tar.gz#env"), HERE)
    assert "spark.pyspark.python=./env/bin/python" in line.arguments
    assert "spark.pyspark.driver.python=/env/bin/python" in line.arguments, "here nothing is unpacked"
    assert line.environment == {}


@pytest.mark.parametrize(
    "named",
    [
        wish(conf=("spark.pyspark.python=/other/python", "spark.pyspark.driver.python=/mine/python")),
        wish(
            properties={"spark.pyspark.python": "/other", "spark.pyspark.driver.python": "/mine"}, properties_file="f"
        ),
    ],
)
def test_interpreters_that_are_named_stay(named: Wish) -> None:
    line = submission(named, HERE)
    assert line.environment == {}
    assert "spark.pyspark.driver.python=/env/bin/python" not in line.arguments


def test_variables_that_are_set_stay() -> None:
    both = {"PYSPARK_PYTHON": "/other", "PYSPARK_DRIVER_PYTHON": "/mine"}
    line = submission(wish(), Machine("/env/bin/python", environment=both))
    assert (line.environment, line.arguments) == ({}, ("submit/main.py", *TRAIN))


def test_on_yarn_the_configuration_travels_with_the_driver() -> None:
    asked = wish(master="yarn", deploy_mode=CLUSTER, archives="e.tgz#e", files="more.txt")
    line = submission(asked, HADOOP)
    assert line.arguments == (
        "--master", "yarn", "--deploy-mode", "cluster", "--archives", "e.tgz#e", "--files", "more.txt,conf/digits.toml",
        "--conf", "spark.pyspark.python=./e/bin/python", "/env/main.py", "train", "digits.toml", *TRAIN[2:],
    )  # fmt: skip
    assert line.environment == {}


def test_in_an_image_of_kubernetes_everything_is_there() -> None:
    properties = {"spark.master": "k8s://https://api:6443", "spark.submit.deployMode": "cluster"}
    line = submission(wish(properties=properties, properties_file="k.conf"), HERE)
    assert line.arguments == ("--properties-file", "k.conf", IN_IMAGE, *TRAIN)


@pytest.mark.parametrize(
    ("asked", "error", "cure"),
    [
        (wish(master="spark://h:7077", deploy_mode=CLUSTER), "a standalone cluster runs no driver", "leave it out"),
        (wish(master="local[4]", deploy_mode=CLUSTER), r"the master local\[4\] runs no driver", "leave it out"),
        (wish(conf=("spark.master=spark://h:1", "spark.submit.deployMode=cluster")), "a standalone cluster", "YARN"),
        (wish(master="yarn"), "expected HADOOP_CONF_DIR or YARN_CONF_DIR", "yarn-site.xml"),
        (wish(conf=("conf/spark-yarn.conf",)), "expected --conf spark.KEY=VALUE", "--properties-file conf/spark-"),
        (wish(conf=("task.cpus=4",)), "received 'task.cpus=4'", "spark.task.cpus=4"),
    ],
)  # fmt: skip
def test_what_spark_cannot_do_is_told_before_it_starts(asked: Wish, error: str, cure: str) -> None:
    with pytest.raises(ConfigError, match=f"{error}.*\n  to do: .*{cure}"):
        submission(asked, HERE)
