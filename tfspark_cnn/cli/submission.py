"""The line of spark-submit that runs a verb: its options, the interpreters it names, what Spark cannot do. Pure.

Example:
    >>> line = submission(Wish(arguments=("train", "conf/digits.toml"), master="local[4]"), Machine("/env/bin/python"))
    >>> line.arguments[-2:]
    ('train', 'conf/digits.toml')
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from tfspark_cnn.errors import ConfigError

IN_IMAGE = "local:///opt/tfspark/submit/main.py"
"""Where conf/Dockerfile puts the application file."""

PYTHON, DRIVER_PYTHON = "spark.pyspark.python", "spark.pyspark.driver.python"


class DeployMode(StrEnum):
    """Where the driver runs: here, or on the cluster."""

    CLIENT = "client"
    CLUSTER = "cluster"


@dataclass(frozen=True)
class Wish:
    """What the user says.

    Attributes:
        arguments: of `tfspark-cnn`: a verb and its own.
        master: Spark's; None: as the properties have it.
        deploy_mode: likewise.
        properties_file: of Spark's settings.
        properties: that are in it.
        conf: `KEY=VALUE`, which win over the properties.
        archives: as `environment.tar.gz#environment`, unpacked where each executor works.
        files: that are copied to where each executor works.
    """

    arguments: tuple[str, ...]
    master: str | None = None
    deploy_mode: DeployMode | None = None
    properties_file: str | None = None
    properties: Mapping[str, str] = field(default_factory=dict)
    conf: tuple[str, ...] = ()
    archives: str | None = None
    files: str | None = None

    @property
    def settings(self) -> Mapping[str, str]:
        """Spark's settings: those of the file, and those that win over them."""
        options = {
            "spark.master": self.master, "spark.submit.deployMode": self.deploy_mode and str(self.deploy_mode),
            "spark.archives": self.archives, "spark.files": self.files,
        }  # fmt: skip
        given = dict(_pair(one) for one in self.conf)
        return {**self.properties, **given, **{name: value for name, value in options.items() if value}}

    @property
    def in_cluster(self) -> bool:
        """Whether the driver runs on the cluster."""
        return self.settings.get("spark.submit.deployMode", DeployMode.CLIENT) == DeployMode.CLUSTER


@dataclass(frozen=True)
class Machine:
    """What is here.

    Attributes:
        python: the interpreter that has this package.
        spark_submit: the program.
        application: path of the application file.
        environment: the variables that Spark reads, as far as they are set.
    """

    python: str
    spark_submit: str = "spark-submit"
    application: str = "submit/main.py"
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Submission:
    """One line.

    Attributes:
        program: the path of spark-submit.
        arguments: all of them.
        environment: what is set for it.
    """

    program: str
    arguments: tuple[str, ...]
    environment: Mapping[str, str]

    @property
    def command(self) -> tuple[str, ...]:
        """The program and its arguments."""
        return self.program, *self.arguments

    @property
    def shown(self) -> str:
        """As somebody types it."""
        variables = [f"{name}={shlex.quote(value)}" for name, value in self.environment.items()]
        return " ".join([*variables, shlex.join(self.command)])


def submission(wish: Wish, machine: Machine) -> Submission:
    """Gives the line.

    Raises:
        ConfigError: Spark cannot do it.
    """
    _check(wish, machine)
    files, arguments = _shipped(wish)
    options = {
        "--master": wish.master, "--deploy-mode": wish.deploy_mode and str(wish.deploy_mode),
        "--properties-file": wish.properties_file, "--archives": wish.archives, "--files": files,
    }  # fmt: skip
    line = [text for name, value in options.items() if value for text in (name, value)]
    for pair in (*wish.conf, *(f"{name}={value}" for name, value in _interpreters(wish, machine).items())):
        line += ["--conf", pair]
    application = IN_IMAGE if wish.in_cluster and _on_kubernetes(wish) else machine.application
    return Submission(machine.spark_submit, (*line, application, *arguments), _variables(wish, machine))


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name.startswith("spark."):
        hint = f"pass --properties-file {text}" if text.endswith(".conf") else "write --conf spark.task.cpus=4"
        raise ConfigError(f"expected --conf spark.KEY=VALUE, received {text!r}", hint=hint)
    return name, value


def _check(wish: Wish, machine: Machine) -> None:
    master = wish.settings.get("spark.master", "")
    if wish.in_cluster and master.startswith(("spark://", "local")):
        kind = "a standalone cluster" if master.startswith("spark://") else f"the master {master}"
        raise ConfigError(
            f"--deploy-mode cluster: {kind} runs no driver of a Python program",
            hint="use client mode: leave it out, and submit from a machine of the cluster; YARN has both",
        )
    if master == "yarn" and not {"HADOOP_CONF_DIR", "YARN_CONF_DIR"} & machine.environment.keys():
        raise ConfigError(
            "expected HADOOP_CONF_DIR or YARN_CONF_DIR for the master yarn, received neither",
            hint="let HADOOP_CONF_DIR name the folder with yarn-site.xml of your cluster",
        )


def _on_kubernetes(wish: Wish) -> bool:
    return wish.settings.get("spark.master", "").startswith("k8s://")


def _shipped(wish: Wish) -> tuple[str | None, tuple[str, ...]]:
    """Gives the files to copy, and the arguments, which name a configuration as the driver on the cluster has it.

    On Kubernetes the configuration is in the image, under the path that it has here.
    """
    place = configuration_at(wish.arguments)
    if place is None or not wish.in_cluster or _on_kubernetes(wish):
        return wish.files, wish.arguments
    path = wish.arguments[place]
    if "://" in path:
        return wish.files, wish.arguments
    named = path.rpartition("/")[2]
    arguments = (*wish.arguments[:place], named, *wish.arguments[place + 1 :])
    return ",".join(one for one in (wish.files, path) if one), arguments


def configuration_at(arguments: Sequence[str]) -> int | None:
    """Gives which of the arguments is the TOML file; None if none is.

    Example:
        >>> configuration_at(("train", "--json", "conf/digits.toml"))
        2
    """
    return next((place for place, one in enumerate(arguments) if place and one.endswith(".toml")), None)


def _interpreters(wish: Wish, machine: Machine) -> dict[str, str]:
    """Gives settings for interpreters that are named nowhere: the driver's is ours, executors' is in the archive."""
    given, found = wish.settings, {}
    # With spark.pyspark.python alone, the driver would take that one, which is for executors.
    if not wish.in_cluster and DRIVER_PYTHON not in given and "PYSPARK_DRIVER_PYTHON" not in machine.environment:
        found[DRIVER_PYTHON] = machine.python
    _, _, folder = given.get("spark.archives", "").split(",")[0].partition("#")
    if folder and PYTHON not in given:
        found[PYTHON] = f"./{folder}/bin/python"
    return found


def _variables(wish: Wish, machine: Machine) -> dict[str, str]:
    """Gives PYSPARK_PYTHON: as a variable, since Spark takes it last, after what spark-defaults.conf says."""
    named = PYTHON in wish.settings or "spark.archives" in wish.settings or "PYSPARK_PYTHON" in machine.environment
    return {} if named or wish.in_cluster else {"PYSPARK_PYTHON": machine.python}
