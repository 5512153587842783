"""What `TFCluster.run` may be called with, as far as it is known before Spark is asked."""

from __future__ import annotations

import importlib.util
import logging

from tfspark_cnn.cluster.node_plan import Cache
from tfspark_cnn.cluster.topology import Node, Role, Topology
from tfspark_cnn.errors import ConfigError

log = logging.getLogger(__name__)


def cache_of(cache: str, cache_bytes: int | None) -> Cache:
    """Gives where nodes keep rows.

    Raises:
        ConfigError: there is no such place, or `cache_bytes` is no size.
    """
    if cache not in list(Cache):
        raise ConfigError(f"cache is {cache!r}, expected {' or '.join(map(repr, map(str, Cache)))}")
    if cache_bytes is not None and (isinstance(cache_bytes, bool) or not cache_bytes >= 0):
        raise ConfigError(f"cache_bytes is {cache_bytes!r}, expected 0 or more", hint="leave it out for a default")
    return Cache(cache)


def on_driver(plan: Topology) -> tuple[Node, ...]:
    """Gives the nodes that `driver_ps_nodes` means.

    Raises:
        ConfigError: there are none.
    """
    found = tuple(node for node in plan if node.role is Role.PS)
    if not found:
        raise ConfigError("driver_ps_nodes=True expected parameter servers, and num_ps is 0", hint="pass num_ps=1")
    return found


def check(*, reservation_timeout: float, tensorboard: object, log_dir: str | None) -> None:
    """Refuses a time limit that is none, and a TensorBoard of nothing.

    Raises:
        ConfigError: one of them was given.
    """
    if not reservation_timeout > 0:
        raise ConfigError(f"reservation_timeout is {reservation_timeout!r} s, expected more than 0", hint="pass 600")
    if tensorboard and not log_dir:
        raise ConfigError("TensorBoard needs to know where event files go", hint="pass log_dir='...'")
    if tensorboard and importlib.util.find_spec("tensorboard") is None:
        raise ConfigError("the driver has no package tensorboard", hint="pip install tensorboard")


def check_restarts(max_restarts: object, model_dir: str | None) -> None:
    """Refuses a number of restarts that is none, and warns of restarts without checkpoints.

    Raises:
        ConfigError: it is none.
    """
    if isinstance(max_restarts, bool) or not isinstance(max_restarts, int) or max_restarts < 0:
        raise ConfigError(f"max_restarts is {max_restarts!r}, expected 0 or more", hint="pass max_restarts=3")
    if max_restarts and not model_dir:
        log.warning("without model_dir there are no checkpoints: after a failure training begins from the first step")
