from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from pyarrow import flight

from tfspark_cnn.errors import AuthenticationError, ClusterError
from tfspark_cnn.feed.transport import Service, call, connect, endpoint


class Echo(Service):
    """Gives back what it is sent."""

    def do_action(self, context: Any, action: flight.Action) -> list[flight.Result]:
        if action.type == "fail":
            raise flight.FlightServerError("it does not like it")
        return [] if action.type == "silent" else [flight.Result(action.body)]


@pytest.fixture
def echo() -> Iterator[Echo]:
    service = Echo("127.0.0.1", "secret")
    yield service
    service.close()


def location(service: Service) -> str:
    return endpoint("127.0.0.1", service.port)


@pytest.mark.parametrize(
    ("host", "text"),
    [("10.0.0.1", "grpc://10.0.0.1:5"), ("node-1", "grpc://node-1:5"), ("::1", "grpc://[::1]:5")],
)
def test_an_address_becomes_a_location(host: str, text: str) -> None:
    assert endpoint(host, 5) == text


@pytest.mark.parametrize(("action", "answer"), [("echo", b"hello"), ("silent", b"")])
def test_a_call_gives_the_answer(echo: Echo, action: str, answer: bytes) -> None:
    with connect(location(echo), "secret") as client:
        assert call(client, action, b"hello") == answer
    assert echo.refused == 0


def test_a_call_without_the_secret_is_refused_and_counted(echo: Echo) -> None:
    for count in (1, 2, 3):
        with connect(location(echo), "guessed") as client:
            with pytest.raises(AuthenticationError, match="event was refused: .*the secret of this cluster is missing"):
                call(client, "event", b"")
        assert echo.refused == count


def test_the_secret_stands_in_no_message_of_a_refusal(echo: Echo) -> None:
    with connect(location(echo), "guessed") as client, pytest.raises(AuthenticationError) as caught:
        call(client, "event", b"")
    words = str(caught.value).replace("the secret of this cluster", "")
    assert "guessed" not in words and "secret" not in words


def test_a_refusal_of_the_service_is_told_in_its_words(echo: Echo) -> None:
    with connect(location(echo), "secret") as client:
        with pytest.raises(ClusterError, match="fail was not answered: it does not like it"):
            call(client, "fail", b"")


def test_a_service_that_is_gone_is_a_cluster_error() -> None:
    service = Echo("127.0.0.1", "secret")
    where = location(service)
    service.close()
    with connect(where, "secret") as client, pytest.raises(ClusterError, match="event was not answered: "):
        call(client, "event", b"", timeout_s=5)


def test_services_listen_where_they_are_told(echo: Echo) -> None:
    other = Echo("127.0.0.1", "secret")
    try:
        assert other.port != echo.port
    finally:
        other.close()
