"""Verb `submit`: another verb by spark-submit, on the cluster that its options and files name."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from tfspark_cnn import config as configuration
from tfspark_cnn import env
from tfspark_cnn.cli import java, masters, spark_properties
from tfspark_cnn.cli.spark_install import machine, spark_home
from tfspark_cnn.cli.submission import DeployMode, Submission, Wish, configuration_at, submission
from tfspark_cnn.errors import ConfigError, did_you_mean

VERBS = ("train", "evaluate", "predict", "bench", "doctor")
"""What runs on Spark."""

LineArgument = Annotated[list[str], typer.Argument(metavar="VERB ARGS", help="As behind `tfspark-cnn`.")]
MasterOption = Annotated[str | None, typer.Option("--master", help="Spark's master, as spark://HOST:7077 or yarn.")]
ModeOption = Annotated[DeployMode | None, typer.Option("--deploy-mode", help="Where the driver runs.")]
PropertiesOption = Annotated[
    str | None, typer.Option("--properties-file", metavar="FILE", help="Spark's settings: conf/spark-standalone.conf.")
]
ConfOption = Annotated[
    list[str] | None,
    typer.Option("--conf", metavar="KEY=VALUE", help="A setting of Spark, which all its options have."),
]
ArchivesOption = Annotated[
    str | None,
    typer.Option(
        "--archives", metavar="FILE#NAME", help="An environment for executors: environment.tar.gz#environment."
    ),
]
FilesOption = Annotated[
    str | None, typer.Option("--files", metavar="FILES", help="Files for all executors, by commas.")
]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Print the line of spark-submit; run nothing.")]
DebugOption = Annotated[bool, typer.Option("--debug", help="Show tracebacks.")]


def submit(
    line: LineArgument,
    master: MasterOption = None,
    deploy_mode: ModeOption = None,
    properties_file: PropertiesOption = None,
    conf: ConfOption = None,
    archives: ArchivesOption = None,
    files: FilesOption = None,
    dry_run: DryRunOption = False,
    debug: DebugOption = False,
) -> None:
    """Run a verb on a cluster, by spark-submit.

    Its own options stand before the verb, those of the verb behind it. The exit code is that of the verb.

    Example: tfspark-cnn submit --properties-file conf/spark-standalone.conf train conf/digits.toml

    Example: tfspark-cnn submit --master yarn --deploy-mode cluster --archives env.tar.gz#env train conf/digits.toml
    """
    properties = spark_properties.read(properties_file) if properties_file else {}
    wish = Wish(
        tuple(line), master, deploy_mode, properties_file, properties, tuple(conf or ()), archives, files
    )  # fmt: skip
    made = submission(wish, machine())
    _check(wish)
    if dry_run:
        print(made.shown)
        return
    java.find()
    masters.check(wish.settings.get("spark.master", "local[*]"))
    _become(made)


def _check(wish: Wish) -> None:
    """Refuses what the driver would refuse, before Spark starts for it."""
    verb, *rest = wish.arguments
    if verb not in VERBS:
        raise ConfigError(
            f"expected a verb that runs on Spark, received {verb!r}",
            hint=did_you_mean(verb, VERBS, f"one of {', '.join(VERBS)}; options of submit stand before it"),
        )
    place = configuration_at(wish.arguments)
    if place is not None and "://" not in wish.arguments[place]:
        flags = [value for option, value in zip(rest, rest[1:], strict=False) if option == "--set"]
        configuration.load(wish.arguments[place], flags=flags)


def _become(made: Submission) -> None:
    """Runs the line in the place of this process, which so has its exit code, and gets its signals."""
    sys.stdout.flush()
    variables = {**made.environment, "SPARK_HOME": str(spark_home())}
    os.execve(made.program, list(made.command), env.child_environment(variables))
