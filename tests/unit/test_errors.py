"""The tree of errors."""

from __future__ import annotations

import pickle

import pytest

from tfspark_cnn import errors
from tfspark_cnn.errors import NodeError, TFSparkError

ALL = [one for one in vars(errors).values() if isinstance(one, type) and issubclass(one, TFSparkError)]


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.__name__)
def test_every_error_pickles_with_all_it_says(kind: type[TFSparkError]) -> None:
    again = pickle.loads(pickle.dumps(kind("what", hint="cure", node="worker:1")))
    assert type(again) is kind
    assert (again.message, again.hint, again.node) == ("what", "cure", "worker:1")


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.__name__)
def test_every_error_is_found_by_its_name(kind: type[TFSparkError]) -> None:
    assert errors.by_name(kind.__name__) is kind


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.__name__)
def test_every_error_is_drawn_in_the_tree(kind: type[TFSparkError]) -> None:
    assert f"{kind.__name__} " in (errors.__doc__ or "").replace("\n", " ")


@pytest.mark.parametrize("name", ["ValueError", "annotations", "by_name", "nothing"])
def test_other_names_are_no_errors_of_ours(name: str) -> None:
    assert errors.by_name(name) is None


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (TFSparkError("what"), "what"),
        (TFSparkError("what", hint="cure"), "what\n  to do: cure"),
        (TFSparkError("what", hint="cure", node="ps:0"), "[ps:0] what\n  to do: cure"),
    ],
)
def test_an_error_says_where_what_and_the_cure(error: TFSparkError, text: str) -> None:
    assert str(error) == text


@pytest.mark.parametrize(
    ("name", "builtin"),
    [
        ("ConfigError", ValueError),
        ("SchemaError", ValueError),
        ("ReservationTimeout", TimeoutError),
        ("FeedTimeout", TimeoutError),
    ],
)
def test_errors_are_also_the_builtin_that_callers_catch(name: str, builtin: type[Exception]) -> None:
    kind = errors.by_name(name)
    assert kind is not None
    assert issubclass(kind, builtin)


def test_what_is_known_of_a_failed_node_survives_the_way_to_the_driver() -> None:
    error = NodeError("died", node="worker:1")
    error.signal, error.stderr_tail = "SIGKILL", ("last line",)
    again = pickle.loads(pickle.dumps(error))
    assert (again.signal, again.stderr_tail, again.exit_code) == ("SIGKILL", ("last line",), None)
