"""What can be seen of the host of this process: names and addresses, room on disks and in memory, GPUs."""

from __future__ import annotations

import contextlib
import glob
import os
import re
import shutil
import socket
import struct
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

from tfspark_cnn import env
from tfspark_cnn.doctor.observed import Disk, Host, Memory

_SIOCGIFADDR = 0x8915  # of Linux' netdevice(7)
_GROUP = Path("/sys/fs/cgroup")


def host() -> Host:
    """Gives who this host is."""
    name = socket.gethostname()
    try:
        resolved = socket.gethostbyname(name)
    except OSError as error:
        resolved = f"nothing ({error.strerror})"
    return Host(name, f"{name} {_boot()}", tuple(_interfaces()), resolved, env.spark_local_ip())


def _boot() -> str:
    """Gives what tells hosts of the same name apart."""
    with contextlib.suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return f"{uuid.getnode():x}"


def _interfaces() -> Iterator[tuple[str, str]]:
    if sys.platform != "linux":
        return
    import fcntl

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        for _, name in socket.if_nameindex():
            with contextlib.suppress(OSError):  # one without an IPv4 address
                answer = fcntl.ioctl(sock.fileno(), _SIOCGIFADDR, struct.pack("256s", name.encode()[:15]))
                address = socket.inet_ntoa(answer[20:24])
                if not address.startswith("127."):
                    yield name, address


def disks() -> tuple[Disk, ...]:
    """Gives the local directories of a Spark task."""
    return tuple(map(disk, env.spark_local_dirs()))


def disk(path: str) -> Disk:
    """Gives how much is free in a directory, and whether it can be written."""
    try:
        free_bytes = shutil.disk_usage(path).free
    except OSError as error:
        return Disk(path, problem=error.strerror or str(error))
    return Disk(path, free_bytes, "" if os.access(path, os.W_OK | os.X_OK) else "no permission")


def memory() -> Memory:
    """Gives what a process started here may have."""
    import resource

    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    known = [one for one in (_of_host(), _of_group()) if one is not None]
    return Memory(min(known, default=None), None if limit == resource.RLIM_INFINITY else limit)


def _of_host() -> int | None:
    with contextlib.suppress(OSError):
        found = re.search(r"^MemAvailable:\s*(\d+) kB", Path("/proc/meminfo").read_text(), re.MULTILINE)
        return int(found[1]) << 10 if found else None
    return None


def _of_group() -> int | None:
    """Gives what the container leaves; files that the system keeps in memory could be given up."""
    with contextlib.suppress(OSError, ValueError):
        limit, used = (int((_GROUP / f"memory.{one}").read_text()) for one in ("max", "current"))
        kept = re.search(r"^inactive_file (\d+)", (_GROUP / "memory.stat").read_text(), re.MULTILINE)
        return max(limit - used + (int(kept[1]) if kept else 0), 0)
    return None


def gpu_devices() -> int:
    """Gives how many NVIDIA GPUs the host has, by their device files."""
    return len(glob.glob("/dev/nvidia[0-9]*"))
