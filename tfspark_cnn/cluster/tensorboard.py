"""TensorBoard beside a cluster: a process on the driver that ends with it."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
from collections import deque
from dataclasses import dataclass
from typing import IO

from tfspark_cnn import env
from tfspark_cnn.errors import ClusterError

START_S = 120.0
"""TensorBoard imports TensorFlow before it serves: several seconds, and over 40 where twenty others want each core."""

_SERVES = re.compile(rb"(http://\S+)")


@dataclass
class TensorBoard:
    """A TensorBoard that is starting, or runs. Made by `begin`."""

    _process: subprocess.Popen[bytes]
    _reader: threading.Thread
    _lines: deque[bytes]
    _found: threading.Event
    _urls: list[str]

    @property
    def url(self) -> str | None:
        """Where it serves, for the driver's browser; None before it does."""
        return self._urls[0] if self._urls else None

    def await_url(self) -> None:
        """Returns when it serves.

        Raises:
            ClusterError: it did not come up, with the last lines it wrote. It is ended.
        """
        if self._found.wait(START_S) and self._urls:
            return
        self.stop()
        tail = b"".join(self._lines).decode(errors="replace")
        raise ClusterError(
            f"TensorBoard did not come up:\n{tail}",
            hint="is the tensorboard package installed, and TENSORBOARD_PORT free if it is set?",
        )

    def stop(self) -> None:
        """Ends it. Harmless if it has ended."""
        self._process.terminate()
        self._process.wait()
        self._reader.join()


def begin(log_dir: str, *, host: str) -> TensorBoard:
    """Starts TensorBoard at `TENSORBOARD_PORT` of `host`, or at any free port, and does not wait until it serves.

    Raises:
        ConfigError: `TENSORBOARD_PORT` is no port.
    """
    argv = [sys.executable, "-m", "tensorboard.main", "--logdir", log_dir, "--host", host]
    argv += ["--port", str(env.tensorboard_port())]
    process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert process.stderr
    lines: deque[bytes] = deque(maxlen=20)
    found, urls = threading.Event(), list[str]()
    reader = threading.Thread(target=_read, args=(process.stderr, lines, found, urls), daemon=True)
    reader.start()
    return TensorBoard(process, reader, lines, found, urls)


def _read(stream: IO[bytes], lines: deque[bytes], found: threading.Event, urls: list[str]) -> None:
    with stream:
        for line in stream:
            lines.append(line)
            match = _SERVES.search(line)
            if match and not urls:
                urls.append(match.group(1).decode())
                found.set()
    found.set()
