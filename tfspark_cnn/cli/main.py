"""The entry point of `tfspark-cnn`: finds the verb, turns errors into two lines and an exit code.

Exit codes: 0 done, 1 failed, 2 wrong usage or configuration, 130 interrupted (Ctrl-C). Starting it imports neither
Spark nor TensorFlow, and no verb but the one that is called: `cli/verbs.py` says where each is.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Sequence

import typer

from tfspark_cnn.cli import usage
from tfspark_cnn.cli.verbs import Verbs
from tfspark_cnn.errors import ConfigError, TFSparkError

FAILED, USAGE, INTERRUPTED = 1, 2, 130

app = typer.Typer(
    cls=Verbs,
    help="Trains convolutional networks with TensorFlow on the executors of a Spark cluster.",
    epilog="Example: tfspark-cnn train conf/digits.toml --set train.epochs=3",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


@app.callback()
def _verbs() -> None:
    """Makes typer see a group, whose verbs are in the table."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command line and exits.

    Args:
        arguments: without the program's name; None takes those of the process.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        code = app(args=given, prog_name="tfspark-cnn", standalone_mode=False)
    except (KeyboardInterrupt, typer.Abort):
        code = INTERRUPTED
    except Exception as error:  # the outermost edge: whatever it is, the user gets two lines
        sys.exit(_told(error, debug="--debug" in given))
    if code == INTERRUPTED:  # also as typer ends what was interrupted within a verb
        print("interrupted", file=sys.stderr)
    sys.exit(code or 0)


def _told(error: Exception, *, debug: bool) -> int:
    if usage.asks_for_help(error):
        print(error)
        return USAGE
    if debug and not usage.is_usage(error):
        traceback.print_exception(error)
    else:
        message, cure = usage.lines(error) or _lines(error)
        print(f"error: {message}\n  to do: {cure}", file=sys.stderr)
    return USAGE if isinstance(error, ConfigError) or usage.is_usage(error) else FAILED


def _lines(error: Exception) -> tuple[str, str]:
    if isinstance(error, TFSparkError):
        where = f"[{error.node}] " if error.node else ""
        # What a node wrote, with its traceback, stands below the first line; it is for --debug.
        return where + error.message.splitlines()[0], error.hint or "run it again with --debug for the traceback"
    first = (str(error).strip() or "no message").splitlines()[0]
    return f"{type(error).__name__}: {first}", "run it again with --debug for the traceback"
