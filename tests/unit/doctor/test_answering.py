"""Asking at real ports: open, closed, silent, and held by somebody else."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import pytest

from tfspark_cnn.doctor.answering import Answering, ask
from tfspark_cnn.doctor.clocks import Exchange, clock

HERE, TOKEN = "127.0.0.1", "a secret"


def bound() -> socket.socket:
    sock = socket.socket()
    sock.bind((HERE, 0))
    return sock


@pytest.fixture
def answering() -> Iterator[Answering]:
    with Answering(bound(), TOKEN) as one:
        yield one


def test_who_knows_the_token_is_told_the_time(answering: Answering) -> None:
    answers = [ask(HERE, answering.port, token=TOKEN, timeout_s=5) for _ in range(3)]
    exchanges = [one for one in answers if isinstance(one, Exchange)]
    assert len(exchanges) == 3
    found = clock(exchanges)
    assert found is not None and abs(found.ahead_s) <= found.error_s + 0.01


def test_who_does_not_know_it_is_hung_up_on_and_others_are_still_answered(answering: Answering) -> None:
    with socket.create_connection((HERE, answering.port), timeout=5) as stranger:
        stranger.sendall(b"GET / HTTP/1.1\r\n\r\n")
        assert stranger.recv(100) == b""
    assert ask(HERE, answering.port, token="another", timeout_s=5) == "another program answered"
    assert isinstance(ask(HERE, answering.port, token=TOKEN, timeout_s=5), Exchange)


def test_after_closing_the_port_is_free_and_refuses() -> None:
    one = Answering(bound(), TOKEN)
    one.close()
    assert ask(HERE, one.port, token=TOKEN, timeout_s=5) == "connection refused"
    assert not any(thread.name == "tfspark-doctor-answers" for thread in threading.enumerate())


def test_a_port_that_is_bound_and_does_not_listen_refuses() -> None:
    with bound() as sock:
        assert ask(HERE, sock.getsockname()[1], token=TOKEN, timeout_s=5) == "connection refused"


def test_a_listener_that_says_nothing_is_told_after_the_limit() -> None:
    with socket.create_server((HERE, 0)) as silent:
        began = time.monotonic()
        assert ask(HERE, silent.getsockname()[1], token=TOKEN, timeout_s=0.2) == "no answer within 0.2 s"
        assert time.monotonic() - began < 5


def test_an_echo_is_another_program() -> None:
    with socket.create_server((HERE, 0)) as server:

        def echo() -> None:
            connection, _ = server.accept()
            with connection:
                connection.sendall(connection.recv(1000))

        thread = threading.Thread(target=echo)
        thread.start()
        assert ask(HERE, server.getsockname()[1], token=TOKEN, timeout_s=5) == "another program answered"
        thread.join()


def test_a_name_that_nobody_knows_is_told() -> None:
    assert str(ask("no-such-host.invalid", 1, token=TOKEN, timeout_s=5)).startswith("unknown host no-such-host.invalid")
