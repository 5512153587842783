"""Functions that tests of `run_parallel` run. Executors import this module by PYTHONPATH."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from pathlib import Path

from tfspark_cnn.errors import TFSparkError

WAIT_S = 30.0


def describe(args, ctx):
    """What a run knows of itself."""
    return {
        "args": args,
        "name": (ctx.job_name, ctx.task_index, ctx.executor_id, ctx.worker_num),
        "num_workers": ctx.num_workers,
        "is_chief": ctx.is_chief,
        "attempt": ctx.attempt,
        "spec": ctx.cluster_spec,
        "gpus": ctx.gpus,
        "tf_config": os.environ.get("TF_CONFIG"),
        "cuda": os.environ["CUDA_VISIBLE_DEVICES"],
        "extra": os.environ.get("TFSPARK_TEST"),
        "folders": (ctx.model_dir, ctx.log_dir),
        "tensorflow": "tensorflow" in sys.modules,
        "pid": os.getpid(),
    }


def meet(folder, ctx):
    """Comes back when all runs are here at the same time; gives its GPUs."""
    mark(folder, ctx)
    until(lambda: len(list(Path(folder).iterdir())) == ctx.num_workers)
    return list(ctx.gpus), os.environ["CUDA_VISIBLE_DEVICES"]


def fail_one(args, ctx):
    """Run 1 ends as it is told, when the others have begun; these wait for ever, or return."""
    mark(args["folder"], ctx)
    if ctx.task_index != 1:
        if args.get("wait"):
            time.sleep(600)  # until it is ended, which is what is tried
        return ctx.task_index
    until(lambda: len(list(Path(args["folder"]).iterdir())) == ctx.num_workers)
    print("last words", file=sys.stderr)
    if args["how"] == "raise":
        raise ZeroDivisionError("the lens is dirty")
    if args["how"] == "unpicklable":
        return threading.Lock()
    if args["how"] == "exit":
        os._exit(9)
    os.kill(os.getpid(), signal.SIGKILL)


def count_begins(args, ctx):
    """Notes that it has begun, and ends as it is told, the first time or each time."""
    with open(Path(args["folder"]) / f"{ctx.task_index}", "a") as file:
        file.write("x")
    if args["how"] == "raise":
        raise ValueError("by itself")
    if ctx.attempt == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return ctx.attempt


def wait_for_loss(folder, ctx):
    """The first time it waits for its executor to be killed."""
    if ctx.attempt == 1:
        mark(folder, ctx)
        time.sleep(600)  # until its executor is killed, which is what is tried
    return ctx.attempt


def slow_until(folder, ctx):
    """Run 0 notes that it has begun, and waits for another try of its task to be held back."""
    if ctx.task_index == 0:
        with open(Path(folder) / "0", "a") as file:
            file.write("x")
        until((Path(folder) / "waits").exists)
    return ctx.task_index


def refused(args, ctx):
    """What each method says that needs rows or others."""
    calls = {
        "num_epochs": lambda: ctx.num_epochs,
        "dataset": lambda: ctx.dataset("image", batch_size=1),
        "stream": lambda: ctx.stream("image", batch_size=1),
        "get_data_feed": ctx.get_data_feed,
        "barrier": ctx.barrier,
        "parameter_servers": lambda: ctx.parameter_servers(print),
        "evaluate_checkpoints": lambda: ctx.evaluate_checkpoints(None, None),
    }
    said = {}
    for name, call in calls.items():
        try:
            call()
        except TFSparkError as error:
            said[name] = (type(error).__name__, str(error))
    ctx.release_port()  # there is none, which is no error
    ctx.report(step=ctx.task_index)
    return said


def return_large(args, ctx):
    return bytes(20 << 20)


class OnlyThere:
    """What cannot be unpickled on the driver."""

    def __reduce__(self):
        return _raise_on_driver, (os.getpid(),)


def _raise_on_driver(pid):
    raise ImportError(f"made in process {pid}")


def return_only_there(args, ctx):
    return OnlyThere()


def trial(args, ctx):
    """A tiny network under the strategy of one node, with checkpoints and event files of its own."""
    import keras
    import numpy as np

    with ctx.strategy().scope():
        model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(args["units"])])
        model.compile(keras.optimizers.SGD(args["rate"]), "mse")
    x = np.linspace(0, 1, 32, dtype="float32").reshape(8, 4)
    history = model.fit(x, x[:, :1], batch_size=4, epochs=2, callbacks=ctx.callbacks(), verbose=0).history
    return {"weights": model.count_params(), "loss": history["loss"], "replicas": ctx.strategy().num_replicas_in_sync}


def mark(folder, ctx):
    """Says, in a file that appears with its content, that this run is here."""
    path = Path(folder) / f"{ctx.task_index}"
    draft = path.parent.parent / f"{path.parent.name}-{ctx.task_index}.draft"
    draft.write_text(str(os.getpid()))
    draft.rename(path)


def until(condition):
    """Files have no event to wait for."""
    deadline_s = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline_s, "did not happen in time"
        time.sleep(0.02)
