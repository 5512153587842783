"""What `run_parallel` is asked for: which args each run gets, and what happens when one fails."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any

from tfspark_cnn.errors import ConfigError, did_you_mean


class OnError(StrEnum):
    """What becomes of the other runs when one fails."""

    RAISE = "raise"  # they are ended, and the error is raised
    RETURN = "return"  # they go on, and the error stands in the place of the result


def args_of_runs(args: Any, num: int | None, each: Sequence[Any] | None) -> list[Any]:
    """Gives the args of each run.

    Raises:
        ConfigError: the numbers do not fit together.

    Example:
        >>> args_of_runs("same", 2, None), args_of_runs(None, None, ["a", "b"])
        (['same', 'same'], ['a', 'b'])
    """
    if each is None:
        return [args] * _counted(num)
    if isinstance(each, str | bytes | Mapping) or not isinstance(each, Sequence):
        raise ConfigError(f"each is a {type(each).__name__}, expected a list of args", hint="pass each=[...]")
    if args is not None:
        raise ConfigError(
            "run_parallel received args and each, expected one of them",
            hint="put what is common to all into each: [{**args, **one} for one in trials]",
        )
    if len(each) != _counted(len(each) if num is None else num):
        raise ConfigError(
            f"each has {len(each)} args, expected {num}, one for each run", hint="leave out num, or make each as long"
        )
    return list(each)


def _counted(num: object) -> int:
    if isinstance(num, bool) or not isinstance(num, int) or num < 1:
        raise ConfigError(f"num is {num!r}, expected 1 or more runs", hint="pass num=4, or each=[...] with their args")
    return num


def check(*, on_error: str, retries: object, timeout_s: float | None, barrier: object, gpus_per_run: object) -> OnError:
    """Gives what is to happen when a run fails.

    Raises:
        ConfigError: an argument cannot be.
    """
    if on_error not in list(OnError):
        otherwise = "raise ends the other runs, return lets them go on"
        hint = did_you_mean(str(on_error), list(OnError), otherwise)
        raise ConfigError(f"on_error is {on_error!r}, expected 'raise' or 'return'", hint=hint)
    for name, value in (("retries", retries), ("gpus_per_run", gpus_per_run or 0)):
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            raise ConfigError(f"{name} is {value!r}, expected 0 or more", hint=f"pass {name}=1, or leave it out")
    if timeout_s is not None and not timeout_s > 0:
        raise ConfigError(f"timeout_s is {timeout_s!r} s, expected more than 0", hint="leave it out for no limit")
    if barrier and retries:
        raise ConfigError(
            f"barrier=True does not go with retries={retries}: Spark gives up a barrier job that loses an executor",
            hint="leave out one of them",
        )
    return OnError(on_error)
