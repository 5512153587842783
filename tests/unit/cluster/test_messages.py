from __future__ import annotations

import contextlib
import dataclasses
import json
import types
import typing
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfspark_cnn.cluster import messages
from tfspark_cnn.cluster.messages import (
    MAX_MESSAGE_BYTES,
    MAX_MESSAGE_CHARS,
    MAX_TEXT_CHARS,
    Alive,
    FeedComplete,
    Message,
    Report,
    Reserved,
    cut,
    cut_end,
    decode,
    encode,
)
from tfspark_cnn.errors import ClusterError

KINDS = sorted(messages._KINDS.values(), key=lambda kind: kind.__name__)

scalars = st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats(allow_nan=False) | st.text(max_size=20)
json_values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
)


def values_of(kind: type[Message]) -> st.SearchStrategy[Message]:
    """Any message of a kind, field by field as it is declared."""
    hints = typing.get_type_hints(kind)
    return st.builds(kind, **{field.name: values_of_type(hints[field.name]) for field in dataclasses.fields(kind)})


def values_of_type(hint: Any) -> st.SearchStrategy[Any]:
    if hint == dict[str, Any]:
        return st.dictionaries(st.text(max_size=8), json_values, max_size=4)
    if hint == dict[str, float]:
        return st.dictionaries(st.text(max_size=8), st.floats(allow_nan=False), max_size=4)
    if typing.get_origin(hint) is types.UnionType:
        return st.one_of(*(values_of_type(one) for one in typing.get_args(hint)))
    if hint is float:
        return st.floats(allow_nan=False)
    return st.from_type(hint)


def body(**fields: object) -> bytes:
    return json.dumps(fields).encode()


@given(st.sampled_from(KINDS).flatmap(values_of))
def test_every_message_arrives_as_it_was_sent(message: Message) -> None:
    assert decode(encode(message)) == message


def test_every_kind_in_the_module_can_be_read() -> None:
    declared = {kind for kind in vars(messages).values() if isinstance(kind, type) and issubclass(kind, Message)}
    assert set(KINDS) == declared - {Message}


def test_a_message_travels_as_json_with_its_kind() -> None:
    sent = json.loads(encode(FeedComplete(2, "input-1", [3, 4], 5)))
    assert sent == {"kind": "FeedComplete", "node": 2, "feed": "input-1", "totals": [3, 4], "partitions": 5}


@pytest.mark.parametrize(
    ("received", "reason"),
    [
        (b"", "JSONDecodeError"),
        (b"{", "JSONDecodeError"),
        (b"\xff\xfe\xff", "UnicodeDecodeError"),
        (b"[]", "TypeError"),
        (b"3", "AttributeError"),
        (b"null", "AttributeError"),
        (body(node=0), "KeyError"),
        (body(kind="Shutdown", node=0), "KeyError"),
        (body(kind="Message", node=0), "KeyError"),
        (body(kind=["Alive"], node=0), "TypeError"),
        (body(kind=None, node=0), "KeyError"),
        (body(kind="Alive"), "TypeError"),
        (body(kind="Alive", node=0, colour="red"), "TypeError"),
        (body(kind="Reserved", node=0, host="a"), "TypeError"),
        (b'{"kind": "Alive", "node": ' + b"1" * 5000 + b"}", "ValueError"),
    ],
)
def test_what_is_no_message_is_refused_with_the_reason(received: bytes, reason: str) -> None:
    with pytest.raises(ClusterError, match=rf"a message of {len(received)} bytes cannot be read: {reason}"):
        decode(received)


@given(st.binary(max_size=200))
def test_no_bytes_make_anything_but_a_message_or_a_cluster_error(received: bytes) -> None:
    with contextlib.suppress(ClusterError):
        assert isinstance(decode(received), Message)


def test_json_that_is_nested_too_deeply_is_refused() -> None:
    with pytest.raises(ClusterError, match="cannot be read"):
        decode(b"[" * 200_000)


@pytest.mark.parametrize("node", ["0", None, 1.0, [0], {}])
def test_a_node_that_is_no_number_is_refused(node: object) -> None:
    with pytest.raises(ClusterError, match="a Alive names the node .*, expected its number"):
        decode(body(kind="Alive", node=node))


def test_a_node_that_is_true_is_refused() -> None:
    with pytest.raises(ClusterError, match="names the node True, expected its number"):
        decode(b'{"kind": "Alive", "node": true}')


def test_a_body_over_the_limit_is_not_even_parsed() -> None:
    with pytest.raises(ClusterError, match=rf"a message of {MAX_MESSAGE_BYTES + 1} bytes is over the limit"):
        decode(b" " * (MAX_MESSAGE_BYTES + 1))


def test_a_body_at_the_limit_is_read() -> None:
    plain = encode(Alive(0))
    assert decode(plain + b" " * (MAX_MESSAGE_BYTES - len(plain))) == Alive(0)


def test_a_message_over_the_limit_does_not_leave() -> None:
    with pytest.raises(ClusterError, match=rf"Report of \d+ bytes is over the limit of {MAX_MESSAGE_BYTES}") as caught:
        encode(Report(0, {"text": "x" * MAX_MESSAGE_BYTES}))
    assert "report less" in (caught.value.hint or "")


@pytest.mark.parametrize("value", [object(), {1, 2}, b"bytes", {(1, 2): 3}])
def test_what_json_cannot_hold_is_refused_by_its_kind(value: object) -> None:
    with pytest.raises(ClusterError, match="a Report holds what JSON cannot: ") as caught:
        encode(Report(0, {"value": value}))
    assert "numbers, strings" in (caught.value.hint or "")


def test_messages_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Reserved(0, "a", "a:1", "1").host = "b"  # type: ignore[misc]


@given(st.integers(0, 3 * MAX_MESSAGE_CHARS))
def test_an_error_keeps_its_beginning(length: int) -> None:
    text = ("0123456789" * (length // 10 + 1))[:length]
    kept = cut_end(text)
    assert kept == text if length <= MAX_MESSAGE_CHARS else kept == text[:MAX_MESSAGE_CHARS] + " ..."


@given(st.integers(0, 3 * MAX_TEXT_CHARS))
def test_a_text_is_cut_to_its_end(length: int) -> None:
    text = ("0123456789" * (length // 10 + 1))[:length]
    kept = cut(text)
    assert kept == text if length <= MAX_TEXT_CHARS else kept == "... " + text[-MAX_TEXT_CHARS:]
