"""Where the driver's services listen: at a port of TFOS_SERVER_PORT, or any free one."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import pyarrow as pa

from tfspark_cnn import env
from tfspark_cnn.errors import ClusterError

T = TypeVar("T")


def listening(make: Callable[[int], T], *, bind: str) -> T:
    """Makes a service at the first of the ports at which it can be.

    Args:
        make: gives the service, listening at a port; 0: any free one.
        bind: the address it listens on, for errors.

    Raises:
        ClusterError: it cannot listen, or all ports that it may have are in use.
    """
    wanted = env.server_ports()
    refused: Exception | None = None
    for port in wanted or (0,):
        try:
            return make(port)
        except (OSError, pa.ArrowException) as error:  # the latter is Flight's for a port that is in use
            refused = error
    if not wanted:
        raise ClusterError(
            f"the coordinator cannot listen on {bind}: {refused}", hint="set spark.driver.bindAddress"
        ) from refused
    raise ClusterError(
        f"the coordinator cannot listen on {bind} at TFOS_SERVER_PORT, {wanted[0]} to {wanted[-1]}: {refused}",
        hint="each cluster of a host needs a port of its own: name more, as TFOS_SERVER_PORT=9997-9999",
    ) from refused
