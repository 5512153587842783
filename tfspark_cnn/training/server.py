"""TensorFlow's server of a ps or a worker. Without Keras, whose import a ps can do without."""

from __future__ import annotations

from typing import Any

import tensorflow as tf


def serve() -> Any:
    """Starts TensorFlow's server at the address that TF_CONFIG gives this node, and gives it.

    It serves until the process ends: TensorFlow has no way to stop it.
    https://www.tensorflow.org/api_docs/python/tf/distribute/Server
    """
    resolver = tf.distribute.cluster_resolver.TFConfigClusterResolver()
    return tf.distribute.Server(
        resolver.cluster_spec(), job_name=resolver.task_type, task_index=resolver.task_id, protocol="grpc", start=True
    )
