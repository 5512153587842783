"""What a node's process uses of its host: memory and GPUs, told to the driver by a thread, whatever map_fun does."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Sequence

from tfspark_cnn.cluster.link import Link
from tfspark_cnn.cluster.messages import Vitals

EVERY_S = 2.0
"""Memory grows by steps and epochs; reading it takes 0.1 ms and a message about as much as a small batch."""

GPU_TIMEOUT_S = 10.0
_STATM = "/proc/self/statm"


def tell(link: Link, *, gpus: Sequence[str] = ()) -> threading.Thread:
    """Begins to tell the driver, until the process ends.

    Args:
        link: of the node.
        gpus: addresses of its GPUs.
    """
    thread = threading.Thread(target=_tell, args=(link, tuple(gpus)), name="tfspark-vitals", daemon=True)
    thread.start()
    return thread


def _tell(link: Link, gpus: tuple[str, ...]) -> None:
    pause = threading.Event()
    while True:  # ends with the process
        percent, used_bytes = gpu_use(gpus) if gpus else (None, None)
        gpus = gpus if percent is not None else ()  # who cannot be asked once is not asked again
        link.send_latest("vitals", Vitals(link.node, memory_bytes(), percent, used_bytes))
        pause.wait(EVERY_S)


def memory_bytes() -> int | None:
    """Gives the resident memory of this process; None where the system does not say it as Linux does."""
    try:
        with open(_STATM, encoding="ascii") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return None


def gpu_use(gpus: Sequence[str]) -> tuple[float | None, int | None]:
    """Gives how busy some GPUs are on average, in percent, and the bytes in use on all of them, as nvidia-smi says."""
    argv = ["nvidia-smi", "--query-gpu=utilization.gpu,memory.used", "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(
            [*argv, f"--id={','.join(gpus)}"], capture_output=True, text=True, timeout=GPU_TIMEOUT_S, check=True
        )
        return parsed(done.stdout)
    except (OSError, subprocess.SubprocessError, ValueError):
        return None, None


def parsed(text: str) -> tuple[float, int]:
    """Reads what nvidia-smi says: a line of percent and MiB for each GPU.

    Raises:
        ValueError: it says something else, as `[N/A]`.

    Example:
        >>> parsed("90, 1024\\n50, 512\\n")
        (70.0, 1610612736)
    """
    rows = [line.split(",") for line in text.splitlines() if line.strip()]
    if not rows:
        raise ValueError("no GPU")
    return sum(float(row[0]) for row in rows) / len(rows), sum(int(row[1]) for row in rows) << 20
