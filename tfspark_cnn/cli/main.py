"""The entry point of `tfspark-cnn`: finds the verb, turns errors into two lines and an exit code.

Exit codes: 0 done, 1 failed, 2 wrong usage or configuration, 130 interrupted (Ctrl-C). Starting it imports neither
Spark nor TensorFlow.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Sequence

import typer

from tfspark_cnn.cli.data import data
from tfspark_cnn.cli.doctor import doctor
from tfspark_cnn.cli.evaluate import evaluate
from tfspark_cnn.cli.export import export
from tfspark_cnn.cli.predict import predict
from tfspark_cnn.cli.tensorboard import tensorboard
from tfspark_cnn.cli.train import train
from tfspark_cnn.cli.version import version
from tfspark_cnn.errors import ConfigError, TFSparkError

FAILED, USAGE, INTERRUPTED = 1, 2, 130

app = typer.Typer(
    help="Trains convolutional networks with TensorFlow on the executors of a Spark cluster.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("train")(train)
app.command("export")(export)
app.command("evaluate")(evaluate)
app.command("predict")(predict)
app.command("data")(data)
app.command("doctor")(doctor)
app.command("tensorboard")(tensorboard)
app.command("version")(version)


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command line and exits.

    Args:
        arguments: without the program's name; None takes those of the process.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        app(args=given, prog_name="tfspark-cnn")
    except KeyboardInterrupt:
        sys.exit(_told_interrupted())
    except SystemExit as ended:  # as typer ends what was interrupted within a verb
        sys.exit(_told_interrupted() if ended.code == INTERRUPTED else ended.code)
    except Exception as error:  # the outermost edge: whatever it is, the user gets two lines
        sys.exit(_told(error, debug="--debug" in given))


def _told_interrupted() -> int:
    print("interrupted", file=sys.stderr)
    return INTERRUPTED


def _told(error: Exception, *, debug: bool) -> int:
    if debug:
        traceback.print_exception(error)
    else:
        message, cure = _lines(error)
        print(f"error: {message}\n  to do: {cure}", file=sys.stderr)
    return USAGE if isinstance(error, ConfigError) else FAILED


def _lines(error: Exception) -> tuple[str, str]:
    if isinstance(error, TFSparkError):
        where = f"[{error.node}] " if error.node else ""
        # What a node wrote, with its traceback, stands below the first line; it is for --debug.
        return where + error.message.splitlines()[0], error.hint or "run it again with --debug for the traceback"
    first = (str(error).strip() or "no message").splitlines()[0]
    return f"{type(error).__name__}: {first}", "run it again with --debug for the traceback"
