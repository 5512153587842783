"""Functions that tests run on nodes. Executors import this module by PYTHONPATH."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import threading
import time

from tfspark_cnn import Column
from tfspark_cnn.feed.reader import ReaderOptions
from tfspark_cnn.feed.source import Feeder


def describe(args, ctx):
    """What a node knows of itself."""
    return {
        "args": args,
        "job_name": ctx.job_name,
        "task_index": ctx.task_index,
        "executor_id": ctx.executor_id,
        "worker_num": ctx.worker_num,
        "num_workers": ctx.num_workers,
        "cluster_spec": ctx.cluster_spec,
        "is_chief": ctx.is_chief,
        "attempt": ctx.attempt,
        "gpus": ctx.gpus,
        "tf_config": os.environ["TF_CONFIG"],
        "cuda": os.environ["CUDA_VISIBLE_DEVICES"],
        "reuse_port": os.environ["TF_GRPC_REUSE_PORT"],
        "extra": os.environ.get("TFSPARK_TEST"),
        "pid": os.getpid(),
        "tensorflow": "tensorflow" in sys.modules,
        "paths": [ctx.absolute_path(p) for p in ("hdfs://x/y", "/a", "b")],
    }


def working_directory(args, ctx):
    """The directory of the executor that the node is of."""
    return os.getcwd()


def read_epochs(args, ctx):
    """Reads the feed without TensorFlow: per epoch the `id` of each row of each batch, and what was there at start."""
    if "disk_bytes" in args:  # what a full disk does, without filling one
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (args["disk_bytes"], args["disk_bytes"]))
    columns = (Column("x"), Column("id"))
    batch = args["by_node"][ctx.executor_id] if "by_node" in args else args.get("batch", 32)
    options = ReaderOptions(columns, batch, shuffle=args.get("shuffle", True), seed=ctx.seed)
    reader = ctx._feeds.reader("train", options)
    return [[_ids(batch, args) for batch in reader.epoch()] for _ in range(ctx.num_epochs or args["epochs"])]


def _ids(batch, args):
    if args.get("slow"):
        time.sleep(0.002)  # the load: a network that takes longer than the feed
    return batch[1].tolist()


def watch_store(args, ctx):
    """Reads slowly without shuffling; gives how much the store held at most."""
    reader = ctx._feeds.reader("train", ReaderOptions((Column("x"), Column("id")), args["batch"], shuffle=False))
    store = reader._feed.store
    rows = most = 0
    for batch in reader.epoch():
        time.sleep(0.002)  # the load
        rows += len(batch[1])
        most = max(most, store._flow.ordered_bytes + store._flow.parked_bytes)
    return {"rows": rows, "most_bytes": most, "held_s": store.held_s, "written_bytes": store._spill.written_bytes}


def leave_early(args, ctx):
    """Takes one batch of two epochs, and all of the third."""
    reader = ctx._feeds.reader("train", ReaderOptions((Column("id"),), 10, shuffle=False))
    taken = []
    for number in range(3):
        epoch = reader.epoch()
        if number < 2:
            next(epoch)
            taken.append(1)
        else:
            taken.append(sum(len(batch[0]) for batch in epoch))
    return taken


def take_rows(args, ctx):
    """Takes all rows as Python objects; gives their ids."""
    feed, ids = ctx.get_data_feed(), []
    while not feed.should_stop():
        ids += [row[1] for row in feed.next_batch(30)]
    return ids


def read_with_validation(args, ctx):
    """Reads three epochs, and the validation rows after each; gives how many rows that were."""
    training = ctx._feeds.reader("train", ReaderOptions((Column("id"),), 20))
    validation = ctx._feeds.reader("validation", ReaderOptions((Column("id"),), 7))
    return [[sum(len(batch[0]) for batch in reader.epoch()) for reader in (training, validation)] for _ in range(3)]


def two_datasets(args, ctx):
    """Asks for two datasets over rows that can be read once."""
    for _ in range(2):
        ctx._feeds.reader("train", ReaderOptions((Column("id"),), 10))


def hold_first_batch(args, ctx):
    """Takes one batch, says so, and waits for its end."""
    reader = ctx._feeds.reader("train", ReaderOptions((Column("id"),), 10, shuffle=False))
    batches = reader.epoch()
    next(batches)
    ctx.report(taken=1)
    time.sleep(600)


def read_and_meet(args, ctx):
    """As `read_epochs`, and meets the other nodes after each epoch."""
    options = ReaderOptions((Column("id"),), 16, seed=ctx.seed)
    reader, epochs = ctx._feeds.reader("train", options), []
    for _ in range(ctx.num_epochs):
        epochs.append([batch[0].tolist() for batch in reader.epoch()])
        ctx.barrier()
    return epochs


def raise_on(args, ctx):
    """Raises on the node that args names; the others wait."""
    if (ctx.job_name, ctx.task_index) == tuple(args["node"]):
        print("about to fail", file=sys.stderr)
        raise ZeroDivisionError("the lens is dirty")
    time.sleep(600)


def end_on(args, ctx):
    """Ends the process of the node that args names in the way it says; the others wait."""
    if (ctx.job_name, ctx.task_index) == tuple(args["node"]):
        print("last words", file=sys.stderr)
        how = args["how"]
        if isinstance(how, int):
            os._exit(how)
        if how == "exit":
            sys.exit(3)
        if how == "thread-exit":
            threading.Thread(target=os._exit, args=(0,)).start()
        else:
            os.kill(os.getpid(), getattr(signal, how))
    time.sleep(600)


def leave_children(args, ctx):
    """Starts a process that would outlive the node, if it could."""
    child = subprocess.Popen(["sleep", "600"])
    return child.pid


def wait_long(args, ctx):
    """Waits until it is ended."""
    ctx.report(pid=os.getpid())
    time.sleep(600)


def report_and_wait(args, ctx):
    """Reports a figure, meets the others, and returns how often it did."""
    for step in range(3):
        ctx.report(step=step, loss=1.0 / (step + 1))
        ctx.barrier()
    return 3


def return_unpicklable(args, ctx):
    return threading.Lock()


def return_large(args, ctx):
    return bytes(40 << 20)


def strategy_with_too_few(args, ctx):
    """Makes the strategy in an environment that names this node alone."""
    import json

    alone = {"cluster": {"worker": ["127.0.0.1:0"]}, "task": {"type": "worker", "index": 0}}
    os.environ["TF_CONFIG"] = json.dumps(alone)
    ctx.strategy()


def dataset_only(args, ctx):
    """Asks for columns, and takes one epoch."""
    dataset = ctx.dataset(*args["columns"], batch_size=8)
    return sum(1 for _ in dataset)


class SlowOnSecond:
    """A map_fun whose unpickling blocks on worker 1."""

    def __reduce__(self):
        return _block_on_second, ()

    def __call__(self, args, ctx):
        return None


def _block_on_second():
    if '"index": 1' in os.environ.get("TF_CONFIG", ""):
        time.sleep(600)
    return SlowOnSecond()


def pause(args, ctx):
    """Reads nothing, so that the feed has nobody to feed."""
    time.sleep(600)


def small_network():
    """A network of a few hundred weights, the same whenever it is made."""
    import keras

    keras.utils.set_random_seed(7)
    return keras.Sequential(
        [
            keras.layers.Input((4, 4, 1)),
            keras.layers.Conv2D(4, 3, activation="relu", kernel_regularizer="l2"),
            keras.layers.Flatten(),
            keras.layers.Dense(3, activation="softmax"),
        ]
    )


def compile_small(model):
    import keras

    schedule = keras.optimizers.schedules.ExponentialDecay(0.01, decay_steps=2, decay_rate=0.9)
    optimizer = keras.optimizers.Adam(schedule, global_clipnorm=0.5)
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])


def fit_small(args, ctx):
    """Fits the small network from the feed; gives history, weights and the number of steps."""
    import numpy as np

    with ctx.strategy().scope():
        model = small_network()
        compile_small(model)
    dataset = ctx.dataset(Column("x", shape=(4, 4, 1)), "y", batch_size=args["batch"], shuffle=args["shuffle"])
    history = model.fit(dataset, epochs=ctx.num_epochs, verbose=0, callbacks=ctx.callbacks())
    return {
        "history": history.history,
        "weights": [np.asarray(weight) for weight in model.get_weights()],
        "steps": int(model.optimizer.iterations.numpy()),
    }


def fit_alone(epochs):
    """In one process without a strategy: fits the same network on given global batches, `[epoch][step] -> (x, y)`."""
    import numpy as np
    import tensorflow as tf

    model = small_network()
    compile_small(model)
    history = {}
    for batches in epochs:
        spec = (tf.TensorSpec((None, 4, 4, 1), tf.float32), tf.TensorSpec((None,), tf.int64))
        dataset = tf.data.Dataset.from_generator(lambda batches=batches: iter(batches), output_signature=spec)
        # Of a dataset of unknown length Keras counts one more step per epoch than there are.
        dataset = dataset.apply(tf.data.experimental.assert_cardinality(len(batches)))
        for name, values in model.fit(dataset, epochs=1, verbose=0).history.items():
            history.setdefault(name, []).extend(values)
    return {"history": history, "weights": [np.asarray(weight) for weight in model.get_weights()]}


def fit_outside_scope(args, ctx):
    """Makes the model before the scope, as programs for one machine do."""
    import keras

    ctx.strategy()
    model = keras.Sequential([keras.layers.Input((2,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    model.fit(ctx.dataset("x", "id", batch_size=16), epochs=1, verbose=0)


def fit_epochs(args, ctx):
    """Fits `args["epochs"]` epochs, more or fewer than fed."""
    import keras

    with ctx.strategy().scope():
        model = keras.Sequential([keras.layers.Input((2,)), keras.layers.Dense(1)])
        model.compile("sgd", "mse")
    history = model.fit(ctx.dataset("x", "id", batch_size=16), epochs=args["epochs"], verbose=0)
    return len(history.history["loss"])


def gpus_of_scoring(rows):
    """In a Spark task: what TensorFlow would see of the GPUs."""
    from tfspark_cnn.cluster import worker_tensorflow

    worker_tensorflow.prepare()
    return [(os.environ["CUDA_VISIBLE_DEVICES"], os.environ["TF_FORCE_GPU_ALLOW_GROWTH"])]


def gpus_of(args, ctx):
    return ctx.job_name, list(ctx.gpus), os.environ["CUDA_VISIBLE_DEVICES"]


# --- functions of Spark's own tasks ---


def slowly(row):
    time.sleep(0.002)
    return row


def divide(row):
    """Fails at row 500."""
    return row.x, 1 // (row.id - 500)


class Late:
    """Lets the row with one id come 3 s late."""

    def __init__(self, first):
        self.first = first

    def __call__(self, row):
        if row.id == self.first:
            time.sleep(3)
        return row


class AwaitTwin:
    """Holds partition 3 after its first batch until another try of it is that far too; both then go on at once."""

    def __init__(self, marks):
        self.marks = marks

    def __call__(self, batches):
        from pyspark import TaskContext

        context = TaskContext.get()
        for number, batch in enumerate(batches):
            yield batch
            if number == 0 and context.partitionId() == 3:
                open(os.path.join(self.marks, str(context.taskAttemptId())), "w").close()
                deadline = time.monotonic() + 60
                while len(os.listdir(self.marks)) < 2 and time.monotonic() < deadline:
                    time.sleep(0.02)


class KilledFeeder(Feeder):
    """A feeder whose process is killed after a few record batches, in all but the last try of each partition."""

    last_batch = 2

    def __call__(self, batches):
        return super().__call__(self._until_killed(batches))

    def _until_killed(self, batches):
        from pyspark import TaskContext

        context = TaskContext.get()
        for number, batch in enumerate(batches):
            yield batch
            if number == self.last_batch + context.partitionId() % 3 and context.attemptNumber() < 3:
                os.kill(os.getpid(), signal.SIGKILL)


class LateKilledFeeder(KilledFeeder):
    """Killed so late that the nodes have some of the rows, however busy the machine is."""

    last_batch = 12


def change(row):
    """Gives another row in each try."""
    from pyspark import TaskContext

    return [row.x[0], row.x[1] + TaskContext.get().attemptNumber()], row.id


def train_and_validate(args, ctx):
    """Fits with validation data beside the training data, and twice on one cluster."""
    import keras

    with ctx.strategy().scope():
        keras.utils.set_random_seed(3)
        model = keras.Sequential([keras.layers.Input((2,)), keras.layers.Dense(1)])
        model.compile(keras.optimizers.SGD(1e-6), "mse")
    train = ctx.dataset("x", "id", batch_size=16)
    validation = ctx.dataset("x", "id", batch_size=16, name="validation", shuffle=False)
    first = model.fit(train, epochs=2, validation_data=validation, verbose=0).history
    second = model.fit(train, epochs=1, verbose=0).history
    return {"first": first, "second": second, "steps": int(model.optimizer.iterations.numpy())}


def return_early(args, ctx):
    """Returns at once on a worker; the chief does what needs both."""
    if ctx.is_chief:
        match args:
            case "barrier":
                ctx.barrier()
            case "strategy":
                ctx.strategy()
            case "dataset":
                ctx._feeds.reader("train", ReaderOptions((Column("id"),), 10)).epoch().__next__()


def fit_images(args, ctx):
    """Fits the small network on png files, after a pass that keeps what each step has if asked for; gives both."""
    import numpy as np

    with ctx.strategy().scope():
        model = small_network()
        compile_small(model)
    image = Column("image", shape=(4, 4, 1), encoding="png", scale=1 / 255)
    label = Column("y", classes=3)
    options = {"batch_size": 8, "shuffle": False, "on_bad_image": args["on_bad_image"]}
    dataset = ctx.dataset(image, label, **options)
    batches = list(dataset.as_numpy_iterator()) if args["look_first"] else []
    epochs = ctx.num_epochs - bool(args["look_first"])
    model.fit(dataset, epochs=epochs, verbose=0, callbacks=ctx.callbacks())
    return {
        "batches": batches,
        "weights": [np.asarray(weight) for weight in model.get_weights()],
        "steps": int(model.optimizer.iterations.numpy()),
    }
