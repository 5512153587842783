from __future__ import annotations

from typing import Any

import pytest

from tfspark_cnn.cluster.run_arguments import OnError, args_of_runs, check
from tfspark_cnn.errors import ConfigError

GOOD: dict[str, Any] = {"on_error": "raise", "retries": 0, "timeout_s": None, "barrier": False, "gpus_per_run": None}


@pytest.mark.parametrize(
    ("args", "num", "each", "given"),
    [
        ("a", 3, None, ["a", "a", "a"]),
        (None, 1, None, [None]),
        (None, None, [1, 2], [1, 2]),
        (None, 2, (1, 2), [1, 2]),
    ],
)
def test_each_run_gets_its_args(args: Any, num: Any, each: Any, given: list[Any]) -> None:
    assert args_of_runs(args, num, each) == given


@pytest.mark.parametrize(
    ("args", "num", "each", "message"),
    [
        (None, None, None, "num is None, expected 1 or more runs"),
        (None, 0, None, "num is 0, expected 1 or more"),
        (None, True, None, "num is True"),
        (None, 2.0, None, r"num is 2\.0"),
        (None, None, [], "num is 0, expected 1 or more"),
        (None, 3, [1, 2], "each has 2 args, expected 3, one for each run"),
        (None, 1, [1, 2], "each has 2 args, expected 1"),
        (None, "2", [1, 2], "num is '2'"),
        ("a", None, [1, 2], "received args and each, expected one of them"),
        (None, None, {"a": 1}, "each is a dict, expected a list of args"),
        (None, None, "ab", "each is a str, expected a list"),
        (None, None, 3, "each is a int, expected a list"),
        (None, None, iter([1]), "each is a list_iterator, expected a list"),
    ],
)
def test_numbers_that_do_not_fit_are_refused(args: Any, num: Any, each: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        args_of_runs(args, num, each)


def test_good_arguments_say_what_happens_when_a_run_fails() -> None:
    assert check(**GOOD) is OnError.RAISE
    assert check(**{**GOOD, "on_error": "return", "retries": 2, "timeout_s": 0.5, "gpus_per_run": 1}) is OnError.RETURN
    assert check(**{**GOOD, "barrier": True}) is OnError.RAISE


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"on_error": "returns"}, "on_error is 'returns', expected 'raise' or 'return'\n.*did you mean 'return'"),
        ({"on_error": 3}, "on_error is 3.*\n.*return lets them go on"),
        ({"retries": -1}, "retries is -1, expected 0 or more"),
        ({"retries": True}, "retries is True"),
        ({"retries": "1"}, "retries is '1'"),
        ({"gpus_per_run": -2}, "gpus_per_run is -2"),
        ({"timeout_s": 0}, "timeout_s is 0 s, expected more than 0"),
        ({"timeout_s": float("nan")}, "timeout_s is nan s"),
        ({"barrier": True, "retries": 1}, "barrier=True does not go with retries=1"),
    ],
)
def test_arguments_that_cannot_be_are_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        check(**{**GOOD, **wrong})
