"""The graph of a network's layers as TensorBoard draws graphs.

Keras writes its layers as a "conceptual" graph, which TensorBoard's page shows only beside another one, and else fails
to. So they are written as if they were operations.
"""

from __future__ import annotations

import json
import logging
from typing import Any

import keras
import tensorflow as tf

log = logging.getLogger(__name__)

_KINDS = ("Sequential", "Functional")


def layer_graph(model: keras.Model) -> Any | None:
    """Gives a `GraphDef` with a node for each layer, named as it is; None for a model that is code, not layers."""
    from tensorboard.plugins.graph import keras_util

    if type(model).__name__ not in _KINDS:
        return None
    try:
        found = keras_util.keras_model_to_graph_def(json.loads(model.to_json()))
    except Exception as error:  # layers of a user's own may have any; a drawing is not worth a run
        log.info("the graph of the layers cannot be written: %s", error)
        return None
    whole = f"{model.name}/"
    for node in found.node:
        node.name = node.name.removeprefix(whole)
        node.input[:] = [name.removeprefix(whole) for name in node.input]
        node.op = node.attr["keras_class"].s.decode() or "Layer"
    return tf.compat.v1.GraphDef.FromString(found.SerializeToString())
