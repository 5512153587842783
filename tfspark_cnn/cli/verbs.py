"""The verbs of the command line: a table of where each is, so that a start imports none but the one that is called.

Example:
    >>> VERBS["train"].command().name
    'train'
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup


@dataclass(frozen=True)
class Verb:
    """One verb.

    Attributes:
        name: as it is typed; its function has that name, too.
        module: where the function is.
        summary: the first line of its docstring, for the list of verbs.
        options: whether what stands behind the first argument belongs to it; False hands it on as it is.
    """

    name: str
    module: str
    summary: str
    options: bool = True

    def function(self) -> Callable[..., None]:
        """Gives what the verb calls; its module is imported only now."""
        found: Callable[..., None] = getattr(importlib.import_module(self.module), self.name)
        return found

    def command(self) -> Any:
        """Gives the verb with its options, as typer has commands."""
        alone = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
        settings = {"allow_interspersed_args": self.options}
        alone.command(self.name, context_settings=settings)(self.function())
        return typer.main.get_command(alone)


_ALL = (
    Verb("train", "tfspark_cnn.cli.train", "Train a network as CONF says, and print its accuracy, speed and files."),
    Verb(
        "evaluate",
        "tfspark_cnn.cli.evaluate",
        "Score the labelled table INPUT with MODEL, and tell its accuracy and the counts of each class.",
    ),
    Verb(
        "predict",
        "tfspark_cnn.cli.predict",
        "Score the table INPUT with MODEL, and write it with columns prediction and probability to OUTPUT.",
    ),
    Verb(
        "export",
        "tfspark_cnn.cli.export",
        "Write a network for others than Spark: a SavedModel, ONNX, or a .keras file.",
    ),
    Verb("data", "tfspark_cnn.cli.data", "Download the files of a data source, and check their sums."),
    Verb(
        "doctor",
        "tfspark_cnn.cli.doctor",
        "Look for what would keep a cluster from training: Java, versions, slots, GPUs, ports, model_dir.",
    ),
    Verb(
        "tensorboard",
        "tfspark_cnn.cli.tensorboard",
        "Serve the TensorBoard of a run until Ctrl-C.",
    ),
    Verb(
        "bench",
        "tfspark_cnn.cli.bench",
        "Measure the feed, steps and all-reduces on a cluster of your own, in a minute or two.",
    ),
    Verb("submit", "tfspark_cnn.cli.submit", "Run a verb on a cluster, by spark-submit.", options=False),
    Verb("version", "tfspark_cnn.cli.version", "Print the versions of this package and of what it stands on."),
)
VERBS = {one.name: one for one in _ALL}


class Verbs(TyperGroup):
    """Lists and completes verbs from the table, and imports the one that is called."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        listed = {name: TyperCommand(name, short_help=verb.summary) for name, verb in VERBS.items()}
        self.commands = {**listed, **self.commands}

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """Gives the verb that is called, with its options."""
        name, found, rest = super().resolve_command(ctx, args)
        return name, VERBS[name].command() if name in VERBS else found, rest
