"""What differs between versions of TensorFlow, for code that runs on nodes.

Reference: `tensorflowonspark/compat.py`.
"""

from __future__ import annotations

import tempfile
from typing import Any


def export_saved_model(model: Any, export_dir: str, is_chief: bool = False) -> None:
    """Saves a model as a SavedModel, for serving. All nodes that train it call this.

    Nodes but the chief save into a folder that is removed again: variables under a strategy are read by all of them.

    Args:
        model: of Keras, or any `tf.Module`.
        export_dir: where the chief saves.
        is_chief: whether this node is the chief; `ctx.is_chief`.
    """
    if is_chief:
        _export(model, export_dir)
        return
    with tempfile.TemporaryDirectory(prefix="tfspark-export-") as elsewhere:
        _export(model, elsewhere)


def _export(model: Any, folder: str) -> None:
    if hasattr(model, "export"):  # Keras; its `save` has no format of TensorFlow's any more
        model.export(folder)
        return
    import tensorflow as tf

    tf.saved_model.save(model, folder)


def disable_auto_shard(options: Any) -> None:
    """Has a strategy give each node the dataset as it is, and not a part of it.

    Args:
        options: a `tf.data.Options`, for `dataset.with_options(options)`.
    """
    import tensorflow as tf

    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF


def is_gpu_available() -> bool:
    """Tells whether TensorFlow sees a GPU in this process."""
    import tensorflow as tf

    return bool(tf.config.list_physical_devices("GPU"))
