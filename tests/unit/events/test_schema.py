"""Events as lines of JSON."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfspark_cnn.errors import CorruptFileError
from tfspark_cnn.events import VALUES, Event, Kind
from tfspark_cnn.events.schema import parse

NUMBERS = st.one_of(st.integers(-(2**53), 2**53), st.floats(allow_nan=False), st.booleans(), st.none())
VALUE = st.recursive(
    st.one_of(NUMBERS, st.text(max_size=5).filter(lambda text: "N" not in text and "I" not in text)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=3), inner, max_size=3)),
)


@given(
    st.sampled_from(list(Kind)), st.text(max_size=9), st.dictionaries(st.text(max_size=4), VALUE, max_size=4)
)  # fmt: skip
def test_an_event_is_one_line_of_json_and_comes_back(kind: Kind, node: str, values: dict) -> None:
    event = Event(1719824400.25, kind, node, values)
    line = event.line()
    assert "\n" not in line
    assert parse(line) == event


def test_json_has_no_nan_and_the_loss_of_a_diverged_epoch_comes_back() -> None:
    line = Event(1.0, Kind.EPOCH_END, "chief:0", {"metrics": {"loss": math.nan, "mae": math.inf}}).line()
    json.loads(line, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    metrics = parse(line).values["metrics"]
    assert math.isnan(metrics["loss"]) and metrics["mae"] == math.inf


def test_every_kind_says_what_its_values_mean() -> None:
    assert set(VALUES) == set(Kind)


@pytest.mark.parametrize(
    "line", ["", "[]", "{}", '{"time": 1, "kind": "party", "node": "x", "values": {}}', '{"time": 1, "ki']
)
def test_what_is_no_event_is_told_with_its_place(line: str) -> None:
    with pytest.raises(CorruptFileError, match="run.jsonl, line 3: expected an event"):
        parse(line, place="run.jsonl, line 3")
