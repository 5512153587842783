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

START_S = 60.0
"""TensorBoard imports for several seconds before it serves."""

_SERVES = re.compile(rb"(http://\S+)")


@dataclass
class TensorBoard:
    """A running TensorBoard.

    Attributes:
        url: where it serves, for the driver's browser.
    """

    url: str
    _process: subprocess.Popen[bytes]
    _reader: threading.Thread

    def stop(self) -> None:
        """Ends it."""
        self._process.terminate()
        self._process.wait()
        self._reader.join()


def start(log_dir: str, *, host: str) -> TensorBoard:
    """Starts TensorBoard at `TENSORBOARD_PORT` of `host`, or at any free port, and returns when it serves.

    Raises:
        ClusterError: it did not come up, with the last lines it wrote.
    """
    argv = [sys.executable, "-m", "tensorboard.main", "--logdir", log_dir, "--host", host]
    argv += ["--port", str(env.tensorboard_port())]
    process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert process.stderr
    lines: deque[bytes] = deque(maxlen=20)
    found, urls = threading.Event(), list[str]()
    reader = threading.Thread(target=_read, args=(process.stderr, lines, found, urls), daemon=True)
    reader.start()
    if not (found.wait(START_S) and urls):
        process.kill()
        process.wait()
        tail = b"".join(lines).decode(errors="replace")
        raise ClusterError(
            f"TensorBoard did not come up:\n{tail}",
            hint="is the tensorboard package installed, and TENSORBOARD_PORT free if it is set?",
        )
    return TensorBoard(urls[0], process, reader)


def _read(stream: IO[bytes], lines: deque[bytes], found: threading.Event, urls: list[str]) -> None:
    with stream:
        for line in stream:
            lines.append(line)
            match = _SERVES.search(line)
            if match and not urls:
                urls.append(match.group(1).decode())
                found.set()
    found.set()
