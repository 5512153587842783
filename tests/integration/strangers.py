"""What strangers send to a port of ours: bytes of other protocols, and calls that nobody of ours makes."""

from __future__ import annotations

import os
import socket
from urllib.parse import urlsplit

import pyarrow as pa
import pytest
from pyarrow import flight

from tfspark_cnn.cluster import messages
from tfspark_cnn.cluster.messages import Exited, Report
from tfspark_cnn.feed import exchange, transport
from tfspark_cnn.feed.inbox import COMMIT, Mark, descriptor

SCHEMA = pa.schema({"x": pa.int64()})
ONE_ROW = pa.record_batch([[1]], schema=SCHEMA)
HTTP2 = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
SOON_S = 10.0


def send_bytes(location: str) -> None:
    """Sends what is no call at all: gRPC hangs up."""
    address = urlsplit(location)
    for body in (os.urandom(100_000), b"GET / HTTP/1.1\r\n\r\n", HTTP2 + os.urandom(100_000), b"\x16\x03\x01" * 99):
        with socket.create_connection((address.hostname, address.port), SOON_S) as stranger:
            try:
                stranger.sendall(body)
                while stranger.recv(65536):
                    pass
            except ConnectionError:
                pass


def at_both(location: str) -> int:
    """Knocks without the secret, with a wrong one, and with one that is too long; gives how many calls that were."""
    send_bytes(location)
    for secret in ("", "wrong", "x" * 7000):
        with transport.connect(location, secret) as client, pytest.raises(flight.FlightUnauthenticatedError):
            list(client.do_action(flight.Action("event", b"{}")))
    with flight.FlightClient(location) as client:
        with pytest.raises(flight.FlightUnauthenticatedError):
            list(client.list_flights())
        headers = [(b"authorization", b"Bearer " + b"x" * 100_000)]
        with pytest.raises(pa.ArrowException):  # gRPC's limit, whatever the secret
            list(client.do_action(flight.Action("event", b"{}"), flight.FlightCallOptions(headers=headers)))
    return 4


def at_coordinator(location: str, secret: str) -> int:
    """Also sends messages that cannot be, with the right secret; gives how many calls are to be refused."""
    knocks = at_both(location)
    oversized = messages.encode(Report(0, {})) + b" " * messages.MAX_MESSAGE_BYTES
    bodies = [b"no json", oversized, messages.encode(Exited(99))]
    with transport.connect(location, secret) as client:
        for body in bodies:
            with pytest.raises(flight.FlightServerError):
                list(client.do_action(flight.Action("event", body)))
        with pytest.raises(flight.FlightServerError, match="unknown action"):
            list(client.do_action(flight.Action("pickle", b"")))
        with pytest.raises(flight.FlightServerError, match="is not of this cluster"):
            client.do_get(flight.Ticket(b"\xff")).read_all()
    return knocks + len(bodies) + 2


def at_inbox(location: str, secret: str) -> int:
    """Also sends streams that cannot be, with the right secret; gives how many calls are to be refused."""
    knocks = at_both(location)
    with flight.FlightClient(location) as client, pytest.raises(flight.FlightUnauthenticatedError):
        _put(client, descriptor("input-1", 0), lambda writer: writer.write_batch(ONE_ROW))
    commit = Mark(COMMIT, 5).pack()
    puts = [
        (flight.FlightDescriptor.for_command(b"\x80garbage"), lambda writer: None),
        (descriptor("input-1", 0), lambda writer: writer.write_batch(ONE_ROW)),
        (descriptor("input-1", 0), lambda writer: writer.write_with_metadata(ONE_ROW, b"?" * len(commit))),
        (descriptor("input-1", 9), lambda writer: writer.write_metadata(commit)),
    ]
    with transport.connect(location, secret) as client:
        for named, send in puts:
            with pytest.raises(flight.FlightServerError):
                _put(client, named, send)
        with pytest.raises(flight.FlightServerError, match="expected one block"):
            writer, reader = client.do_exchange(exchange.descriptor("output", 0))
            writer.begin(SCHEMA)
            writer.write_batch(ONE_ROW)
            writer.done_writing()
            reader.read_chunk()
    return knocks + 1 + len(puts) + 1


def _put(client, named, send) -> None:
    writer, reader = client.do_put(named, SCHEMA)
    try:
        send(writer)
        writer.done_writing()
        while reader.read() is not None:
            pass
    finally:
        writer.close()
