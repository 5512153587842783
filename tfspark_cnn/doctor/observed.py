"""What was seen on the driver and on a node: the values that findings are made from. Pure.

Fields have defaults, so that what another version of this package has seen can be read, too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Installed:
    """An interpreter and its packages.

    Attributes:
        python: its version, as `3.11.7`.
        executable: its path.
        packages: names and versions, as they would be imported; an empty version: it is not there.
    """

    python: str = ""
    executable: str = ""
    packages: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Host:
    """Where a process runs.

    Attributes:
        name: of the host.
        machine: tells hosts apart, also those of the same name.
        addresses: IPv4 addresses by network interface, without loopback.
        resolved: the address that the host's own name resolves to, or why it does not.
        local_ip: SPARK_LOCAL_IP, or None.
    """

    name: str = ""
    machine: str = ""
    addresses: tuple[tuple[str, str], ...] = ()
    resolved: str = ""
    local_ip: str | None = None


@dataclass(frozen=True)
class Reach:
    """One connection that was tried.

    Attributes:
        peer: the node's number; -1: the driver.
        purpose: what listens there in a run, as `TensorFlow`.
        address: `host:port`.
        problem: why there was no answer; empty: it came.
        seconds: until then.
    """

    peer: int
    purpose: str
    address: str
    problem: str = ""
    seconds: float = 0.0


@dataclass(frozen=True)
class Clock:
    """How far a node's clock is ahead of the driver's, in seconds, and by how much that may be wrong."""

    ahead_s: float
    error_s: float


@dataclass(frozen=True)
class Disk:
    """A directory for temporary files: bytes that are free, or why nothing can be written."""

    path: str
    free_bytes: int = 0
    problem: str = ""


@dataclass(frozen=True)
class Memory:
    """What a node may have, in bytes.

    Attributes:
        available_bytes: of its host now; None: unknown.
        address_space_bytes: the limit of a process (RLIMIT_AS); None: none.
    """

    available_bytes: int | None = None
    address_space_bytes: int | None = None


@dataclass(frozen=True)
class Gpus:
    """GPUs of a node.

    Attributes:
        assigned: their addresses, as Spark gave them to the task.
        devices: how many the host has, as far as its files tell.
        tensorflow: those that TensorFlow sees; None: it was not asked.
        problem: why it could not be asked; empty otherwise.
    """

    assigned: tuple[str, ...] = ()
    devices: int = 0
    tensorflow: tuple[str, ...] | None = None
    problem: str = ""


@dataclass(frozen=True)
class NodeView:
    """What one node has seen.

    Attributes:
        number: of the node.
        address: by which Spark knows its host.
        executor: its address and port, which tells executors apart.
        host: where it runs.
        installed: what it runs.
        reached: connections to other nodes.
        driver: that to the driver.
        clock: None where the driver did not answer.
        disks: for what memory has no room for.
        memory: what it may have.
        gpus: what it has.
        folder: what is wrong with `model_dir`: message and cure; None: nothing, or it was not looked at.
        cannot_listen: why it cannot listen on `address`, as the inbox of a node does; empty: it can.
    """

    number: int
    address: str
    executor: str = ""
    host: Host = Host()
    installed: Installed = Installed()
    reached: tuple[Reach, ...] = ()
    driver: Reach | None = None
    clock: Clock | None = None
    disks: tuple[Disk, ...] = ()
    memory: Memory = Memory()
    gpus: Gpus = Gpus()
    folder: tuple[str, str] | None = None
    cannot_listen: str = ""

    @property
    def name(self) -> str:
        """The node as findings call it."""
        return f"node {self.number} ({self.address})"


@dataclass(frozen=True)
class DriverView:
    """What is known on the driver.

    Attributes:
        master: Spark's.
        conf: its settings.
        address: by which executors reach the driver.
        host: where it runs.
        installed: what it runs.
    """

    master: str
    conf: Mapping[str, str]
    address: str
    host: Host = Host()
    installed: Installed = Installed()


def named(some: Sequence[NodeView], views: Sequence[NodeView]) -> str:
    """Gives the names of nodes; all of several are `every node`."""
    if len(some) == len(views) > 1:
        return "every node"
    return ", ".join(one.name for one in some)


def plural(count: int, what: str) -> str:
    """Gives a number of things.

    Example:
        >>> plural(1, "node"), plural(2, "node")
        ('1 node', '2 nodes')
    """
    return f"{count} {what}{'s' * (count != 1)}"


def gib(nbytes: float) -> str:
    """Gives bytes to read.

    Example:
        >>> gib(3 << 29)
        '1.5 GiB'
    """
    return f"{nbytes / (1 << 30):.1f} GiB"
