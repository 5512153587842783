"""Asks and answers over plain TCP: whether a port can be reached, by whom it is held, and what time it is there."""

from __future__ import annotations

import contextlib
import hashlib
import socket
import threading
import time

from tfspark_cnn.doctor.clocks import Exchange
from tfspark_cnn.doctor.reachability import REFUSED, SILENT, STRANGER, UNKNOWN_HOST

PATIENCE_S = 1.0
"""Given to who has connected to send a line that is one packet."""

MAX_LINE_BYTES = 256
_BACKLOG = 128


class Answering:
    """Answers at a socket, which it owns from then on. A context manager.

    Args:
        sock: bound; it begins to listen.
        token: known to those who may ask. Who does not know it is hung up on.
    """

    def __init__(self, sock: socket.socket, token: str) -> None:
        self._sock, self._token = sock, token
        sock.listen(_BACKLOG)
        self.port: int = sock.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, name="tfspark-doctor-answers", daemon=True)
        self._thread.start()

    def __enter__(self) -> Answering:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Stops answering, and gives up the port."""
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)  # wakes up who accepts
        self._thread.join(2 * PATIENCE_S)
        self._sock.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._sock.accept()
            except OSError:  # closed
                return
            with connection, contextlib.suppress(OSError):
                connection.settimeout(PATIENCE_S)
                if _line(connection) == _question(self._token):
                    connection.sendall(_answer(self._token) + b" %r\n" % time.time())


def ask(host: str, port: int, *, token: str, timeout_s: float) -> Exchange | str:
    """Asks, and gives the exchange of times, or why there was no answer.

    Args:
        host: name or address.
        port: of `Answering`.
        token: that it knows.
        timeout_s: for connecting, and for the answer.
    """
    try:
        with socket.create_connection((host, port), timeout=timeout_s) as connection:
            sent_s = time.time()
            connection.sendall(_question(token) + b"\n")
            answer, _, told = _line(connection).partition(b" ")
            received_s = time.time()
    except socket.gaierror as error:
        return f"{UNKNOWN_HOST} {host} ({error.strerror})"
    except TimeoutError:
        return f"{SILENT} within {timeout_s:g} s"
    except ConnectionRefusedError:
        return f"connection {REFUSED}"
    except OSError as error:
        return error.strerror or str(error)
    return Exchange(sent_s, float(told), received_s) if answer == _answer(token) else STRANGER


def _question(token: str) -> bytes:
    return b"tfspark-doctor " + token.encode()


def _answer(token: str) -> bytes:
    """What only somebody who knows the token answers; an echo is none."""
    return hashlib.sha256(token.encode()).hexdigest().encode()


def _line(connection: socket.socket) -> bytes:
    """Reads a line, without its end; or less, where the other side says no more or too much."""
    found = b""
    while not found.endswith(b"\n") and len(found) < MAX_LINE_BYTES:
        part = connection.recv(MAX_LINE_BYTES)
        if not part:
            break
        found += part
    return found.rstrip(b"\n")
