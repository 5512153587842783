"""A process that tells which GPUs TensorFlow sees: `python -m tfspark_cnn.training.devices`, started on a node."""

from __future__ import annotations

import os
import pickle

from tfspark_cnn import env


def main() -> None:
    """Writes the names of the GPUs, pickled, to the descriptor in TFSPARK_CNN_RESULT_FD."""
    import tensorflow as tf

    names = tuple(device.name for device in tf.config.list_physical_devices("GPU"))
    with os.fdopen(int(env.get("TFSPARK_CNN_RESULT_FD") or "1"), "wb") as results:
        pickle.dump(names, results)


if __name__ == "__main__":
    main()
