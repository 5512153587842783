"""Which GPUs of this host are free, by `nvidia-smi`.

On nodes there is no need to ask: they see those that Spark assigned to them, `ctx.gpus`.

Reference: `tensorflowonspark/gpu_info.py`.
"""

from __future__ import annotations

import random
import subprocess

from tfspark_cnn import env
from tfspark_cnn.errors import ClusterError, ConfigError

MAX_RETRIES = 3
"""Kept for programs that name it. Nothing is tried again: GPUs that Spark assigned are nobody else's."""

AS_STRING = "string"
AS_LIST = "list"

_SMI_S = 30.0
"""nvidia-smi takes some seconds where the driver of the GPUs is not resident."""


def is_gpu_available() -> bool:
    """Tells whether this host has a GPU of NVIDIA's."""
    try:
        return bool(_smi("--query-gpu=uuid"))
    except ClusterError:
        return False


def get_gpus(num_gpu: int = 1, worker_index: int = -1, format: str = AS_STRING) -> str | list[str]:
    """Gives GPUs that are free, among those that this process may see.

    Args:
        num_gpu: how many.
        worker_index: of this node among those of its host, each of which takes the next ones; -1: any.
        format: `AS_STRING`, as `"0,1"`, or `AS_LIST`.

    Raises:
        ClusterError: there are not so many.
        ConfigError: there is no such format.
    """
    if format not in (AS_STRING, AS_LIST):
        raise ConfigError(f"format is {format!r}, expected AS_STRING or AS_LIST", hint="leave it out for AS_STRING")
    assigned = env.visible_gpus()
    free = free_gpus() if assigned is None else assigned
    if len(free) < num_gpu:
        raise ClusterError(
            f"expected {num_gpu} free GPUs, found {', '.join(free) or 'none'}",
            hint="let Spark assign them: spark.executor.resource.gpu.amount and spark.task.resource.gpu.amount",
        )
    taken = random.sample(free, num_gpu) if worker_index == -1 else placed(free, num_gpu, worker_index)
    return ",".join(taken) if format == AS_STRING else taken


def placed(free: list[str], num_gpu: int, worker_index: int) -> list[str]:
    """Gives the GPUs of one of the nodes of a host, which take them in turns.

    Example:
        >>> placed(["0", "1", "2", "3"], 2, 1), placed(["0", "1", "2"], 2, 1)
        (['2', '3'], ['2', '0'])
    """
    first = worker_index * num_gpu
    return [free[number % len(free)] for number in range(first, first + num_gpu)]


def free_gpus() -> list[str]:
    """Gives the indices of the GPUs of this host on which nothing computes.

    Raises:
        ClusterError: nvidia-smi is not there, or failed.
    """
    busy = set(_smi("--query-compute-apps=gpu_uuid"))
    found = (line.split(",") for line in _smi("--query-gpu=index,uuid"))
    return [index.strip() for index, uuid in found if uuid.strip() not in busy]


def _smi(query: str) -> list[str]:
    """Gives the lines that nvidia-smi answers a query with."""
    argv = ["nvidia-smi", "--format=csv,noheader,nounits", query]
    try:
        text = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=_SMI_S).stdout
    except (OSError, subprocess.SubprocessError) as error:
        raise ClusterError(
            f"nvidia-smi did not tell of the GPUs of this host: {error}", hint="install NVIDIA's driver"
        ) from error
    return [line.strip() for line in text.splitlines() if line.strip()]
