"""Wrong usage as typer finds it, in the two lines that all errors of the command line have.

Example:
    $ tfspark-cnn trian conf/digits.toml
    error: No such command 'trian'
      to do: did you mean 'train'? see tfspark-cnn --help
"""

from __future__ import annotations

import re
from typing import Any

from tfspark_cnn.errors import did_you_mean

_CHOICES = re.compile(r"^(?P<said>.*) is not one of (?P<choices>'.*')$")


def is_usage(error: BaseException) -> bool:
    """Tells whether typer refused what was typed. Which classes do so differs from one version of typer to another."""
    return hasattr(error, "format_message") and getattr(error, "exit_code", None) == 2


def asks_for_help(error: BaseException) -> bool:
    """Tells whether nothing was typed at all, where the help is what is wanted."""
    return type(error).__name__ == "NoArgsIsHelpError"


def lines(error: Any) -> tuple[str, str] | None:
    """Gives what is wrong and what to do about it; None for an error of another kind."""
    if not is_usage(error):
        return None
    said: str = " ".join(str(error.format_message()).split()).rstrip(".")
    context = getattr(error, "ctx", None)
    see: str = f"see {context.command_path} --help" if context else "see tfspark-cnn --help"
    name = getattr(error, "option_name", None)
    if name and type(error).__name__ == "NoSuchOption":
        return f"No such option {name!r}", _nearest(name, _options(context), see)
    command, question, meant = said.partition(" Did you mean ")
    if question:
        return command.rstrip("."), f"did you mean {meant} {see}"
    choices = _CHOICES.match(said)
    if choices:
        return said, _nearest(_received(said), re.findall("'([^']*)'", choices["choices"]), see)
    return said, f"{_call(context)}{see}"


def _received(said: str) -> str:
    """Gives the value that was typed: the last quoted part before what it could have been."""
    quoted: list[str] = re.findall(r"'([^']*)'", said.partition(" is not one of ")[0])
    return quoted[-1] if quoted else ""


def _nearest(name: str, known: list[str], otherwise: str) -> str:
    hint = did_you_mean(name, known, "")
    return f"{hint} {otherwise}".strip()


def _options(context: Any) -> list[str]:
    return [name for one in context.command.get_params(context) for name in one.opts] if context else []


def _call(context: Any) -> str:
    """Gives how the verb is called, without the word for it."""
    if context is None:
        return ""
    call: str = re.sub("[{}]", "", " ".join(context.command.collect_usage_pieces(context)))
    return f"write {context.command_path} {call}; "
