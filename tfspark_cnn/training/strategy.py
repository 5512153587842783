"""The synchronous strategy of a node: made once, checked, and with Keras ready for it."""

from __future__ import annotations

import logging
from typing import Any

import keras
import tensorflow as tf

from tfspark_cnn import env
from tfspark_cnn.cluster.strategy_options import StrategyOptions
from tfspark_cnn.errors import ClusterError, ReplicaCountError, UnsupportedVersionError
from tfspark_cnn.training import keras_fit, keras_gradients
from tfspark_cnn.training.keras_gradients import is_multi_worker
from tfspark_cnn.training.pace import Line, Pace, pace_of

log = logging.getLogger(__name__)

_SYNCHRONOUS = ("chief", "worker")
_DEFAULTS = StrategyOptions()


def multi_worker_mirrored(
    *, num_workers: int, local_gpus: int, node: str, options: StrategyOptions = _DEFAULTS, line: Line | None = None
) -> Any:
    """Makes the MultiWorkerMirroredStrategy that TF_CONFIG describes, and makes `model.fit` work under it.

    It must be the first thing that a process does with TensorFlow. Call it once and keep what it returns: another call
    makes another strategy, which refuses the models of the first. It returns when all workers have called it.

    Args:
        num_workers: chief and workers of the topology.
        local_gpus: GPUs of each node, 0 for CPU.
        node: this node, as `worker:1`, for errors.
        options: precision, and how gradients travel; the same on all nodes.
        line: to the coordinator, which is told how far this node is; None: nobody is.

    Returns:
        A `tf.distribute.MultiWorkerMirroredStrategy` with `num_workers * max(1, local_gpus)` replicas.

    Raises:
        ReplicaCountError: TF_CONFIG is missing or has other workers, or the GPUs are others.
        ClusterError: TensorFlow was used before, or the workers did not find each other.

    With another Keras than `keras_fit.install` knows, loops over `strategy.run` work, `model.fit` is refused when it is
    called, and a warning says so here.

    Example:
        >>> strategy = multi_worker_mirrored(num_workers=2, local_gpus=0, node="worker:1")
        >>> with strategy.scope():
        ...     model = keras.Sequential([...])
    """
    refusal = _install(node)
    # Before the strategy: with workers missing from TF_CONFIG each would train a model of its own, with too many it
    # would wait for those that never come.
    _check_workers(num_workers, node)
    strategy = _make(options, node)
    expected = num_workers * max(1, local_gpus)
    if strategy.num_replicas_in_sync != expected:
        raise ReplicaCountError(
            f"expected {expected} replicas ({num_workers} workers with {local_gpus} GPUs each), "
            f"received {strategy.num_replicas_in_sync}",
            hint="every node must see the same number of GPUs: check CUDA_VISIBLE_DEVICES and gpus_per_node",
            node=node,
        )
    keras_gradients.send_gradients_as(strategy, options.gradients)
    _deal_shares(strategy)
    if options.precision is not None:
        tf.keras.mixed_precision.set_global_policy(str(options.precision))  # of the Keras that tf.keras is
    if is_multi_worker(strategy):
        if refusal is not None and not env.legacy_keras():
            keras_fit.refuse(refusal)
        if line is not None:
            Pace.attach(strategy, line)
    return strategy


def mend_keras(node: str) -> None:
    """Makes Keras 3's `fit` work under a strategy of several workers that map_fun makes by itself, or refuse.

    Args:
        node: this node, as `worker:1`, for the log.
    """
    if keras.backend.backend() != "tensorflow" or env.legacy_keras():
        return
    refusal = _install(node)
    if refusal is not None:
        keras_fit.refuse(refusal)


def rest(strategy: Any) -> None:
    """Tells the coordinator how far this node is, before it does nothing for others."""
    pace = pace_of(strategy)
    if pace is not None:
        pace.rest()


def _install(node: str) -> UnsupportedVersionError | None:
    """Makes `model.fit` work, or gives why it will not."""
    try:
        keras_fit.install()
    except UnsupportedVersionError as error:
        log.warning("[%s] model.fit of Keras 3 will be refused on several nodes: %s", node, error)
        return error
    return None


def _deal_shares(strategy: Any) -> None:
    """Has the strategy give a node's own share as it is, to Keras 2 and to loops of one's own as to Keras 3.

    Its own way divides each batch by the number of workers, which would make other, smaller steps.
    """
    distribute = strategy.experimental_distribute_dataset

    def deal(dataset: Any, options: Any = None) -> Any:
        return keras_fit.dealt(dataset, strategy) if keras_fit.is_own_share(dataset) else distribute(dataset, options)

    strategy.experimental_distribute_dataset = deal


def _check_workers(num_workers: int, node: str) -> None:
    jobs = tf.distribute.cluster_resolver.TFConfigClusterResolver().cluster_spec().as_dict()
    found = sum(len(jobs.get(role, ())) for role in _SYNCHRONOUS)
    if found == num_workers or (num_workers == 1 and not jobs):
        return
    roles = ", ".join(f"{len(addresses)} {role}" for role, addresses in jobs.items()) or "no cluster (is it set?)"
    raise ReplicaCountError(
        f"expected {num_workers} workers (the chief counts) in TF_CONFIG, received {roles}",
        hint="do not change TF_CONFIG in map_fun; each node would train a model of its own",
        node=node,
    )


def _make(options: StrategyOptions, node: str) -> Any:
    communication = tf.distribute.experimental.CommunicationOptions(
        bytes_per_pack=options.pack_bytes,
        implementation=tf.distribute.experimental.CommunicationImplementation(options.communication.upper()),
    )
    try:
        for gpu in tf.config.list_physical_devices("GPU"):
            tf.config.experimental.set_memory_growth(gpu, True)
        return tf.distribute.MultiWorkerMirroredStrategy(communication_options=communication)
    except RuntimeError as error:
        # "Collective ops must be configured at program startup", or GPUs that were initialised before.
        raise ClusterError(
            f"expected the strategy to be the first use of TensorFlow in its process, received: {error}",
            hint="call ctx.strategy() before any tensor, variable, dataset or model is made; keep what it returns",
            node=node,
        ) from error
    except tf.errors.OpError as error:
        raise ClusterError(
            f"expected all workers of TF_CONFIG to come up, received: {error.message}",
            hint="look for the first error on the other nodes, and let the nodes reach each other's ports",
            node=node,
        ) from error
