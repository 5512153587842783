from __future__ import annotations

from functools import partial, wraps
from typing import Any

import pytest

from tfspark_cnn.cluster.map_fun_payload import likeness


def one(args: Any, ctx: Any) -> Any:
    return args


def other(args: Any, ctx: Any) -> Any:
    return [args]


def wrapped(function: Any) -> Any:
    @wraps(function)
    def call(*args: Any) -> Any:
        return function(*args)

    return call


class Fit:
    def __init__(self, rate: float) -> None:
        self.rate = rate

    def __call__(self, args: Any, ctx: Any) -> Any:
        return self.rate

    def bound(self, args: Any, ctx: Any) -> Any:
        return self.rate


class Other(Fit):
    pass


def made(value: int) -> Any:
    return lambda args, ctx: value


@pytest.mark.parametrize(
    ("first", "second"),
    [(one, one), (one, partial(one)), (partial(one, 1), partial(one, 2)), (Fit(0.1), Fit(0.2)), (made(1), made(2)),
     (Fit(0.1).bound, Fit(0.2).bound), (wrapped(one), wrapped(one)), ("a.b:c", "a.b:c")],
    ids=["the same", "partial", "partial by args", "instance", "closure", "bound", "wrapped", "name"],
)  # fmt: skip
def test_what_runs_the_same_code_is_alike(first: Any, second: Any) -> None:
    assert likeness(first) == likeness(second) is not None


@pytest.mark.parametrize(
    ("first", "second"),
    [(one, other), (Fit(0.1), Other(0.1)), (Fit(0.1), Fit(0.1).bound), ("a.b:c", "a.b:d"), (made(1), one)],
    ids=["functions", "classes", "methods", "names", "closure"],
)
def test_other_code_is_not(first: Any, second: Any) -> None:
    assert likeness(first) != likeness(second)


def test_a_function_that_is_written_anew_in_a_notebook_is_another_one() -> None:
    versions = []
    for body in ("return 1", "return 2"):
        names: dict[str, Any] = {"__name__": "__main__"}
        exec(f"def map_fun(args, ctx):\n    {body}", names)
        versions.append(likeness(names["map_fun"]))
    assert len(set(versions)) == 2


def test_of_what_has_no_code_nothing_is_known() -> None:
    assert likeness(print) is None
    assert likeness(dict) is None
