"""Arrow Flight with a secret: what the coordinator, the inboxes and their clients share.

Every call carries the secret of its cluster in the `authorization` header and is refused without, before anything of it
is read. https://arrow.apache.org/docs/format/Flight.html
"""

from __future__ import annotations

import hmac
import json
import logging
import threading
from typing import Any

import pyarrow as pa
from pyarrow import flight

from tfspark_cnn.errors import AuthenticationError, ClusterError, ProtocolError

AUTHORIZATION = "authorization"
log = logging.getLogger(__name__)

CLOSE_S = 2.0
"""How long a server that is closed waits for calls that are under way."""

QUIET_S = 0.2
"""A server without calls under way closes in some milliseconds."""

CONNECT_TIMEOUT_S = 30.0
"""For calls that only move a small message; streams have no limit, they end with their peer."""

MAX_NAME_BYTES = 1 << 16
"""Limit of what names a stream: a queue and some numbers."""


class SecretGate(flight.ServerMiddlewareFactory):  # type: ignore[misc]
    """Lets calls with the secret in, and counts those it refused."""

    def __init__(self, secret: str) -> None:
        super().__init__()
        self._expected = f"Bearer {secret}".encode()
        self._lock = threading.Lock()
        self.refused = 0

    def start_call(self, info: Any, headers: dict[str, list[str | bytes]]) -> None:
        """Refuses a call whose header is missing or wrong, in constant time."""
        given = headers.get(AUTHORIZATION, [""])[0]
        given = given.encode() if isinstance(given, str) else given
        if not hmac.compare_digest(given, self._expected):
            self.count()
            raise flight.FlightUnauthenticatedError("the secret of this cluster is missing or wrong")

    def count(self) -> None:
        """Counts a refusal."""
        with self._lock:
            self.refused += 1


class _Bearer(flight.ClientMiddleware):  # type: ignore[misc]
    def __init__(self, secret: str) -> None:
        super().__init__()
        self._header = {AUTHORIZATION: f"Bearer {secret}"}

    def sending_headers(self) -> dict[str, str]:
        return self._header


class _BearerFactory(flight.ClientMiddlewareFactory):  # type: ignore[misc]
    def __init__(self, secret: str) -> None:
        super().__init__()
        self._secret = secret

    def start_call(self, info: Any) -> _Bearer:
        return _Bearer(self._secret)


def named(descriptor: flight.FlightDescriptor, key: str) -> tuple[str, int]:
    """Gives what the JSON object of a descriptor names: a feed or a queue, and a partition.

    Raises:
        ProtocolError: it does not, or at too great length.
    """
    command = descriptor.command or b""
    if len(command) > MAX_NAME_BYTES:
        raise ProtocolError(f"a stream is named by {len(command)} bytes, expected at most {MAX_NAME_BYTES}")
    try:
        found = json.loads(command)
        name, partition = found[key], found["partition"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ProtocolError(f"a stream does not name its {key} and partition: {type(error).__name__}") from error
    if type(name) is not str or type(partition) is not int:
        raise ProtocolError(f"a stream names its {key} and partition by other things than a text and a number")
    return name, partition


def endpoint(host: str, port: int) -> str:
    """Gives the location of a Flight server; IPv6 addresses are put into brackets."""
    return f"grpc://[{host}]:{port}" if ":" in host else f"grpc://{host}:{port}"


def connect(location: str, secret: str) -> flight.FlightClient:
    """Gives a client whose every call carries the secret. It connects at its first call."""
    # gRPC would share one connection between clients of the same address and options: a stream per feeder and node is
    # wanted, each with a flow-control window of its own.
    options = [("grpc.use_local_subchannel_pool", 1)]
    return flight.FlightClient(location, middleware=[_BearerFactory(secret)], generic_options=options)


def call(
    client: flight.FlightClient, action: str, body: bytes, *, timeout_s: float | None = CONNECT_TIMEOUT_S
) -> bytes:
    """Sends one small message and gives the answer; with a `timeout_s` of None it waits for as long as both are there.

    Raises:
        AuthenticationError: the server refused the secret.
        ClusterError: the server is gone, too slow, or refused the message.
    """
    options = flight.FlightCallOptions(timeout=timeout_s)
    try:
        results = list(client.do_action(flight.Action(action, body), options))
    except flight.FlightUnauthenticatedError as error:
        raise AuthenticationError(f"{action} was refused: {error}") from error
    except (pa.ArrowException, OSError) as error:
        raise ClusterError(f"{action} was not answered: {error}") from error
    return results[0].body.to_pybytes() if results else b""


class Service(flight.FlightServerBase):  # type: ignore[misc]
    """A Flight server on an address of our choice, behind a `SecretGate`. It serves from the moment it exists."""

    def __init__(self, host: str, secret: str, *, port: int = 0) -> None:
        self._gate = SecretGate(secret)
        super().__init__(endpoint(host, port), middleware={"secret": self._gate})

    @property
    def refused(self) -> int:
        """How many calls came without the secret, or with what nobody of ours sends.

        Bytes that are not even HTTP/2 are not among them: gRPC hangs up on those before they become a call.
        """
        return self._gate.refused

    def refuse(self, message: str) -> flight.FlightServerError:
        """Counts a call that carries what nobody of ours sends, and gives the error to raise for it."""
        self._gate.count()
        return flight.FlightServerError(message)

    def close(self) -> bool:
        """Stops serving. Streams should have been told to end before: this waits for them, but not for ever.

        Gives whether none was under way. Otherwise the process must not end in Python's orderly way: the threads of
        gRPC that are still at such a call, or have just left it, crash in an interpreter that is being taken down.

        A call whose client neither sends nor hangs up cannot be ended from here (Flight has no deadline for it in
        Python); it ends with its client, or with this process.
        """
        closing = threading.Thread(target=self.shutdown, name="tfspark-close", daemon=True)
        closing.start()
        closing.join(QUIET_S)
        quiet = not closing.is_alive()
        closing.join(CLOSE_S)
        if closing.is_alive():
            log.warning("a call on port %d has not ended %g s after its server was closed", self.port, CLOSE_S)
        return quiet
