"""Functions that tests of the fork server run on nodes."""

from __future__ import annotations

import os
import random
import sys
import time

import psutil


def told(args, ctx):
    """What a process is, how long it takes to import TensorFlow, and what it draws. Stays, if there is a folder."""
    os.environ.update(args.get("variables", {}))
    beginning = {
        "hidden": "tensorflow" not in sys.modules and "keras" not in sys.modules,
        "descriptors": sorted(filter(None, map(descriptor, os.listdir("/proc/self/fd")))),
        "parent": psutil.Process().parent().pid,
        "server": psutil.Process().parent().cmdline()[2],
        "line": " ".join(psutil.Process().cmdline()),
        "drawn": random.random(),
    }
    before = time.process_time()
    import tensorflow as tf

    took = time.process_time() - before
    import keras
    import numpy as np

    if "folder" in args:
        tell_parent(os.path.join(args["folder"], f"{ctx.executor_id}"))
        time.sleep(600)  # ended by what is killed
    return {
        **beginning,
        "import_s": took,
        "whole": tf.keras.layers.Dense is keras.layers.Dense and tf.__spec__.name == "tensorflow",
        "drawn_numpy": float(np.random.random()),
        "drawn_tensorflow": float(tf.random.uniform(())),
        "drawn_keras": float(keras.random.uniform(())),
        "product": float(tf.reduce_sum(tf.ones((64, 64)) @ tf.ones((64, 64)))),
        "onednn": os.environ.get("TF_ENABLE_ONEDNN_OPTS"),
    }


def descriptor(number):
    """What an open descriptor is, but for pipes and what libraries open for themselves."""
    try:
        name = os.readlink(f"/proc/self/fd/{number}")
    except FileNotFoundError:
        return None
    return name if "pidfd" in name or "memfd" in name else None


def parent(args, ctx):
    """Who the parent of a node is, without TensorFlow."""
    return psutil.Process().parent().cmdline()


def tell_parent(path):
    """Writes a file, whole."""
    with open(path, "w") as file:
        file.write(str(os.getppid()))
    os.rename(path, f"{path}.told")
