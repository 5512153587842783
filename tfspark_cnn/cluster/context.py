"""`ctx`: what map_fun gets to know of the cluster, and what it can ask of it.

The one place where the cluster's code calls training code: inside methods, on nodes, so that TensorFlow is imported
when map_fun asks for it and never on the driver.
"""

from __future__ import annotations

import getpass
import itertools
import socket
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tfspark_cnn.checkpoints.options import Checkpoints
from tfspark_cnn.checkpoints.store import CheckpointStore
from tfspark_cnn.cluster.event_options import EventOptions
from tfspark_cnn.cluster.link import Link
from tfspark_cnn.cluster.messages import Arrived, BarrierPassed, Dismissed, Joining, Report, TrainingEnded
from tfspark_cnn.cluster.node_checkpoints import NodeCheckpoints
from tfspark_cnn.cluster.node_events import NodeEvents
from tfspark_cnn.cluster.node_feeds import NodeFeeds
from tfspark_cnn.cluster.node_plan import NodePlan
from tfspark_cnn.cluster.ports import HeldPort
from tfspark_cnn.cluster.strategy_options import PACK_BYTES, Communication, GradientFormat, StrategyOptions
from tfspark_cnn.cluster.topology import DATA_ROLES
from tfspark_cnn.errors import ConfigError
from tfspark_cnn.feed.columns import OnBadImage, chosen
from tfspark_cnn.feed.data_feed import DataFeed
from tfspark_cnn.feed.reader import ReaderOptions
from tfspark_cnn.feed.schema import Column

if TYPE_CHECKING:
    from tfspark_cnn.training.parameter_server import ParameterServers
    from tfspark_cnn.training.sample_images import FirstBatch

_CHECKPOINTS = Checkpoints()

_FILE_SYSTEMS = frozenset(
    ["hdfs", "viewfs", "file", "s3", "s3a", "s3n", "gs", "abfs", "abfss", "wasb", "wasbs", "adl", "oss", "dbfs", "cosn"]
)
"""Schemes of paths that are complete as they are."""


class NodeContext:
    """What map_fun is called with, as `map_fun(args, ctx)`.

    Attributes:
        executor_id: number of this node in the cluster (TensorFlowOnSpark's name; also `worker_num`).
        job_name: its role: `chief`, `worker`, `ps` or `evaluator`.
        task_index: its index among the nodes of that role.
        cluster_spec: `{role: ["host:port", ...]}`.
        num_workers: how many nodes train: chief and workers.
        defaultFS: Hadoop's default file system, as `hdfs://namenode:8020`.
        working_dir: of the Spark task.
        is_chief: whether this node writes checkpoints and logs.
        attempt: which life of the cluster this is, from 1.
        gpus: addresses of the GPUs this node may use, as Spark assigned them.
        log_dir: where event files go, or None.
        model_dir: where models and checkpoints go, or None.
        seed: of shuffling.
    """

    def __init__(self, plan: NodePlan, *, link: Link, feeds: NodeFeeds, held_port: HeldPort | None) -> None:
        self.executor_id = self.worker_num = plan.node.number
        self.job_name = plan.node.role.value
        self.task_index = plan.node.index
        self.cluster_spec = plan.spec
        self.num_workers = len(plan.topology.trainers)
        self.defaultFS = plan.options.default_fs
        self.working_dir = plan.working_dir
        self.is_chief = plan.node.number == plan.topology.chief.number
        self.attempt = plan.options.attempt
        self.gpus = plan.gpus
        self.log_dir = plan.options.log_dir
        self.model_dir = plan.options.model_dir
        self.seed = plan.options.seed
        self._release_port = plan.options.release_port
        self._link, self._feeds, self._port = link, feeds, held_port
        self._strategy: Any = None
        self._strategy_options = StrategyOptions()
        self._barrier = _Barrier(link)
        self._checkpoints = NodeCheckpoints(plan, link, feeds)
        self._plan = plan
        self._first: FirstBatch | None = None
        self._events = NodeEvents(self.log_dir)
        self._dismissed = threading.Event()
        link.on(Dismissed, lambda _: self._dismissed.set())

    @property
    def num_epochs(self) -> int:
        """`num_epochs` of `cluster.train`; waits until it is called. 0: as many as this node asks for."""
        return self._feeds.num_epochs()

    def strategy(
        self,
        *,
        precision: str | None = None,
        communication: str = Communication.AUTO,
        pack_bytes: int = PACK_BYTES,
        gradients: str = GradientFormat.FLOAT32,
    ) -> Any:
        """Gives the `tf.distribute.MultiWorkerMirroredStrategy` of this cluster. Call it before other TensorFlow code.

        Also makes Keras 3's `fit`, `evaluate` and `predict` work under it. All nodes must ask for the same. Called
        again, it gives the same strategy.

        Args:
            precision: `float32`, `mixed_bfloat16` or `mixed_float16`: Keras' dtype policy for the models made from now
                on. None leaves it as it is.
            communication: `auto`, `ring` or `nccl`: what sums gradients over the nodes. auto is NCCL between GPUs.
            pack_bytes: gradients are sent in messages of about so many bytes, so that the first ones travel while the
                others are computed.
            gradients: `float32`, or `bfloat16`, which halves what travels and rounds each gradient to 8 bits before
                the sum; weights stay float32.

        Raises:
            ReplicaCountError: the strategy sees another number of replicas than the topology has.
            ConfigError: this node does not train, there is no such choice, or the strategy was made with others.

        Example:
            >>> with ctx.strategy(precision="mixed_bfloat16").scope():    # doctest: +SKIP
            ...     model = keras.Sequential([...])
        """
        if self.job_name not in DATA_ROLES:
            raise ConfigError(
                f"{self.job_name}:{self.task_index} asked for a training strategy, which chief and workers have",
                hint="look at ctx.job_name first",
            )
        if self._plan.topology.asynchronous:
            raise ConfigError(
                "ctx.strategy() is the synchronous one, and this cluster has parameter servers",
                hint="train by ctx.parameter_servers(train), or run without num_ps",
            )
        options = StrategyOptions(precision, communication, pack_bytes, gradients).checked_for(len(self.gpus))
        if self._strategy is None:
            self._strategy_options = options
            self._strategy = self._joined(options)
        elif options not in (StrategyOptions(), self._strategy_options):
            raise ConfigError(
                f"ctx.strategy was made with {self._strategy_options}, received {options}",
                hint="pass the options in the first call of ctx.strategy; later ones need none",
            )
        return self._strategy

    def _joined(self, options: StrategyOptions) -> Any:
        from tfspark_cnn.training.strategy import multi_worker_mirrored

        self._link.send(Joining(self._link.node))
        strategy = multi_worker_mirrored(
            num_workers=len(self._plan.topology.trainers),
            local_gpus=len(self.gpus),
            node=f"{self.job_name}:{self.task_index}",
            options=options,
            line=self._link,
        )
        if self._release_port:
            self.release_port()
        return strategy

    def parameter_servers(self, train: Callable[[ParameterServers], Any]) -> Any:
        """Trains with variables on the ps nodes: calls `train(servers)` on the chief, and takes its steps on workers.

        Chief and all workers call it, before other TensorFlow code. On workers it returns when the chief's `train` has.

        Args:
            train: called on the chief alone, with a `training.parameter_server.ParameterServers`.

        Returns:
            What `train` returned, on the chief; None on workers.

        Raises:
            TopologyError: the cluster has no ps, no chief or no worker.

        Example:
            >>> def map_fun(args, ctx):                                   # doctest: +SKIP
            ...     return ctx.parameter_servers(lambda servers: train(servers, epochs=ctx.num_epochs))
        """
        self._plan.topology.check_asynchronous(self._plan.node)
        self._link.send(Joining(self._link.node))
        if self.job_name == "worker":
            self._take_steps()
            return None
        from tfspark_cnn.training.parameter_server import ChiefEnd, ParameterServers

        chief = ChiefEnd(
            self.report,
            fed=self._plan.options.fed,
            log_dir=self._events.folder(),
            checkpoints=self._checkpoints.by_epochs() if self.model_dir else None,
            wants_stop=self._checkpoints.stops,
        )
        servers = ParameterServers(chief)
        if self._release_port:
            self.release_port()
        result = train(servers)
        self._link.send(TrainingEnded(self._link.node))
        return result

    def _take_steps(self) -> None:
        """Serves the chief's steps until it needs them no more, or the data of this worker fails."""
        from tfspark_cnn.training.row_server import RowRequest, RowServer
        from tfspark_cnn.training.server import serve

        failures: list[Exception] = []

        def opened(request: RowRequest) -> Any:
            how: dict[str, Any] = {"batch_size": request.batch_size, "name": request.name, "shuffle": request.shuffle}
            layout = request.layout
            features = layout.features[0] if layout.single_feature else layout.features
            label = layout.labels[0] if layout.single_label else layout.labels or None
            found = self.dataset(features, label, on_bad_image=request.on_bad_image, **how)
            self._feeds.skip_passes(request.name, request.first_pass)
            return found

        def failed(error: Exception) -> None:
            failures.append(error)
            self._dismissed.set()

        rows = RowServer(self.task_index, open_dataset=opened, failed=failed)
        rows.install()
        serve()
        if self._release_port:
            self.release_port()
        self._dismissed.wait()  # for the chief; this process ends if another node fails
        rows.uninstall()
        if failures:
            raise failures[0]

    def dataset(
        self,
        features: str | Column | Sequence[str | Column],
        label: str | Column | Sequence[str | Column] | None = None,
        *,
        batch_size: int,
        name: str = "train",
        shuffle: bool = True,
        on_bad_image: str = OnBadImage.RAISE,
        augment: Callable[..., Any] | str | None = None,
    ) -> Any:
        """Gives the rows that Spark feeds to this node as a `tf.data.Dataset` of batches.

        Each pass over it is one epoch; all nodes take the same number of steps in it, and no row is left out, repeated,
        or weighs more than another. Waits until `cluster.train` has begun.

        Args:
            features: a column, or several, which then come as a dict by name.
            label: likewise; None: the dataset has no labels.
            batch_size: rows per step of this node.
            name: of the feed: `train`, or the `qname` that `cluster.train` was given.
            shuffle: whether rows come in a seeded random order, another one in each epoch, or in Spark's order.
            on_bad_image: what happens to a row whose jpeg or png cannot be decoded, is null, or has another size than
                the column without `resize`: `raise` a SchemaError that names it, or `skip` it, which makes its batch
                one row smaller. The number of rows skipped is in the reports of `ctx.callbacks()`.
            augment: `augment(x, seed)` gives other features for the features `x` of a batch, in TensorFlow operations,
                and `augment(x, y, seed)` features and labels; `seed`, int32[2], is for `tf.image.stateless_random_*`
                and depends on the cluster's seed, the node, the feed, the epoch and the step alone. A text names
                augmentations of float images, as `"flip, crop:4"`; `tfspark_cnn.augmentation.KINDS` has them.

        Returns:
            A dataset of `(x, y)`, or of `x` without a label. A column of shape `[...]` comes as `[rows, ...]`.

        Raises:
            SchemaError: a column is missing or cannot become a tensor; while it is iterated, also what a row of it is.
            ConfigError: this node is not fed, batch_size is not a positive number, on_bad_image is neither, or augment
                is no function of these arguments and no augmentation.

        Example:
            >>> train = ctx.dataset("image", "label", batch_size=64)      # doctest: +SKIP
            >>> model.fit(train, epochs=ctx.num_epochs)                   # doctest: +SKIP
        """
        from tfspark_cnn.training.dataset import Layout, dataset

        layout, how = Layout.of(features, label), _checked_how(on_bad_image, augment)
        reader = self._feeds.reader(name, self._reader_options(layout.columns, batch_size, shuffle))
        first = self._first_batch() if name != "validation" else None
        return dataset(reader, layout, failed=self._feeds.guard, first=first, **how)

    def _first_batch(self) -> FirstBatch:
        """Gives what keeps images of the first batch; made where TensorFlow is wanted anyway."""
        from tfspark_cnn.training.sample_images import FirstBatch

        if self._first is None:
            self._first = FirstBatch()
        return self._first

    def stream(
        self,
        features: str | Column | Sequence[str | Column],
        label: str | Column | Sequence[str | Column] | None = None,
        *,
        batch_size: int,
        name: str = "train",
        shuffle: bool = True,
        on_bad_image: str = OnBadImage.RAISE,
        augment: Callable[..., Any] | str | None = None,
    ) -> Iterator[Any]:
        """Gives a `tf.data.Dataset` for each `cluster.train` call, and so for each micro-batch of a stream.

        Waits for the next call, and ends when the cluster is shut down. All nodes get the same calls, in step. Take the
        passes over a dataset before the next one is asked for; those not taken are skipped. Leaving the loop early
        says that this node wants no more rows, so all nodes should do it at the same call.

        Args:
            features: as in `dataset`; so are all others.
            label: likewise.
            batch_size: rows per step of this node.
            name: of the feed: `train`, or the `qname` of the stream.
            shuffle: whether rows come in a seeded random order.
            on_bad_image: likewise.
            augment: likewise.

        Returns:
            An iterator of datasets.

        Raises:
            ConfigError: this node is not fed, or batch_size is not a positive number.
            FeedError: more passes are asked for than the call gives.

        Example:
            >>> for rows in ctx.stream("image", "label", batch_size=32):  # doctest: +SKIP
            ...     model.fit(rows, epochs=ctx.num_epochs)
        """
        from tfspark_cnn.training.dataset import Layout, stream

        layout, how = Layout.of(features, label), _checked_how(on_bad_image, augment)
        reader = self._feeds.stream(name, self._reader_options(layout.columns, batch_size, shuffle))
        return stream(reader, layout, failed=self._feeds.guard, left=lambda: self._feeds.end_stream(name), **how)

    def _reader_options(self, columns: tuple[Column, ...], batch_size: int, shuffle: bool) -> ReaderOptions:
        return ReaderOptions(
            columns=columns,
            batch_rows=_checked_batch_size(batch_size, len(self.gpus)),
            replicas=max(1, len(self.gpus)),
            shuffle=shuffle,
            seed=self.seed,
        )

    def get_data_feed(
        self,
        train_mode: bool = True,
        qname_in: str = "input",
        qname_out: str = "output",
        input_mapping: Mapping[str, str] | None = None,
    ) -> DataFeed:
        """Gives the rows that Spark feeds to this node as Python objects; TensorFlowOnSpark's.

        Args:
            train_mode: whether to take the rows of `cluster.train`; False: those of `cluster.inference`, which wait for
                `batch_results`.
            qname_in: the `qname` that `cluster.train` or `cluster.inference` was given.
            qname_out: accepted for TensorFlowOnSpark's programs; results go back on the stream their rows came on.
            input_mapping: `{column: tensor}`, for batches as a dict of tensor name -> list of values.

        Raises:
            ConfigError: this node is not fed, or there is no such queue.

        Example:
            >>> feed = ctx.get_data_feed()                                # doctest: +SKIP
            >>> while not feed.should_stop():
            ...     batch = feed.next_batch(64)
        """
        return self._feeds.data_feed(qname_in, train_mode=train_mode, input_mapping=input_mapping)

    def callbacks(
        self,
        *own: Any,
        checkpoints: Checkpoints | None = _CHECKPOINTS,
        images: int = 0,
        profile: tuple[int, int] | int | str | None = None,
    ) -> list[Any]:
        """Gives Keras callbacks for `fit`: progress for the driver, event files, checkpoints, and `own`.

        With a `log_dir`, the chief writes for TensorBoard: metrics by epoch, and its own by step, five times a second
        at most; the learning rate; the graph of the layers.

        With a `model_dir`, the chief saves weights, optimizer, seeds, and the place in the data under
        `model_dir/checkpoints`, in the background. Where the run before, or the attempt before, was killed, `fit` goes
        on after the step of its last checkpoint, with the rows that come next, and its history covers all of them. The
        next run after one that came to its end begins anew.

        Those of `own` that write files run on the chief only. Where several nodes train, `TerminateOnNaN` stops all of
        them after the same step. `BackupAndRestore` does nothing that checkpoints do not, and is left out; without
        `model_dir`, on several nodes, it is refused. What `own` callbacks remember is saved for Keras' own; others can
        have `get_state()` and `set_state(dict)`.

        Args:
            *own: callbacks of the caller.
            checkpoints: when to save, and what to keep; None: no checkpoints.
            images: how many of the first batch are written for TensorBoard, as the network gets them.
            profile: first and last step, from 1 in each attempt, that TensorFlow's profiler traces on the chief.
                TensorBoard shows traces where the extra `profile` is installed.

        Raises:
            ConfigError: nodes would begin at different epochs, or there can be no such images or steps.
            CheckpointError: `model_dir` cannot be written, or another run that is alive uses it; from `fit` also: a
                checkpoint is of another model or of other data.

        Example:
            >>> model.fit(train, epochs=3, callbacks=ctx.callbacks())     # doctest: +SKIP
            >>> often = Checkpoints(every_steps=100, best="val_accuracy")
            >>> model.fit(train, callbacks=ctx.callbacks(checkpoints=often))      # doctest: +SKIP
            >>> model.fit(train, callbacks=ctx.callbacks(images=9, profile=(10, 20)))     # doctest: +SKIP
        """
        events = EventOptions.of(images, profile)
        from tfspark_cnn.training.callbacks import callbacks
        from tfspark_cnn.training.legacy_keras import adapted

        ours = callbacks(
            self.report,
            node=f"{self.job_name}-{self.task_index}",
            is_chief=self.is_chief,
            log_dir=self._events.folder() if self.is_chief else None,
            own=own,
            rows_trained=lambda: self._feeds.rows_taken,
            rows_skipped=lambda: self._feeds.rows_skipped,
            step_clock=self._feeds.clock,
            num_workers=len(self._plan.topology.trainers),
            session=self._checkpoints.session(checkpoints),
            checkpoints=checkpoints or _CHECKPOINTS,
            events=events,
            first=self._first_batch(),
        )
        return adapted(ours)

    def evaluate_checkpoints(
        self, model: Any, data: Any, *, monitor: str = "loss", patience: int | None = None
    ) -> list[dict[str, float]]:
        """Scores each new checkpoint, on an evaluator, until training has ended; gives metrics and `step` of each.

        They go to the driver (`cluster.evaluations()`) and into event files under `log_dir`. The best by `monitor` is
        marked, and kept. The rows are this node's own: files, or arrays; Spark feeds chief and workers only.

        Args:
            model: compiled, built as the one that is trained, outside of any strategy.
            data: a `tf.data.Dataset`, or a tuple of x, y and, if there are any, sample weights.
            monitor: a metric of the model; more of an accuracy is better, less of all else.
            patience: training ends when so many checkpoints in a row were no better; None: never.

        Raises:
            ConfigError: this node is no evaluator, there is no `model_dir`, or no such metric.
            CheckpointError: a checkpoint is of another model.

        Example:
            >>> if ctx.job_name == "evaluator":                           # doctest: +SKIP
            ...     return ctx.evaluate_checkpoints(model, (x, y), monitor="accuracy", patience=5)
        """
        if self.job_name != "evaluator" or not self.model_dir:
            raise ConfigError(
                f"{self.job_name}:{self.task_index} asked to score checkpoints, expected an evaluator with a model_dir",
                hint="run with eval_node=True and model_dir=..., and look at ctx.job_name first",
            )
        if isinstance(patience, bool) or (patience is not None and not patience >= 1):
            raise ConfigError(f"patience is {patience!r}, expected 1 or more", hint="leave it out to train to the end")
        from tfspark_cnn.training.evaluator import Evaluator

        folder = self._events.folder()
        evaluator = Evaluator(
            model,
            CheckpointStore(self.model_dir),
            monitor=monitor,
            patience=patience,
            tell=self._checkpoints.scored,
            log_dir=f"{folder}/evaluator-{self.task_index}" if folder else None,
        )
        return evaluator.run(self._checkpoints.as_written(), data)

    def mend_keras(self) -> None:
        """Makes Keras' `fit` work under strategies that map_fun makes by itself, too. Imports Keras."""
        from tfspark_cnn.training.strategy import mend_keras

        mend_keras(f"{self.job_name}:{self.task_index}")

    def when_training_ends(self, callback: Callable[[], None]) -> None:
        """Calls `callback`, on an evaluator, when chief and workers have returned; at once if they have.

        It is called from a background thread, and should return soon.
        """
        self._checkpoints.when_training_ends(callback)

    def finish(self) -> None:
        """Called when map_fun has returned: everything that it wanted to keep is written."""
        self._checkpoints.flush()
        self._events.close()

    def leave(self) -> None:
        """Called when all nodes have returned: the run came to its end."""
        self._checkpoints.end()

    def report(self, **metrics: Any) -> None:
        """Tells the driver figures of the running map_fun. Never waits; a newer report replaces one not sent yet.

        Args:
            **metrics: numbers, strings, or lists and dicts of them.
        """
        # The end of an epoch is told, however soon the next report comes.
        key = ("report", metrics.get("epoch")) if metrics.get("epoch_end") else "report"
        self._link.send_latest(key, Report(self._link.node, metrics))

    def barrier(self) -> None:
        """Waits until chief and all workers are here. Each of them must call it equally often."""
        self.rest()
        self._barrier.wait()

    def rest(self) -> None:
        """Tells the driver how far this node is, before it waits for others or ends. Nodes call it by themselves."""
        if self._strategy is not None:
            from tfspark_cnn.training.strategy import rest

            rest(self._strategy)

    @property
    def reserved_socket(self) -> socket.socket | None:
        """The socket that keeps this node's port reserved where map_fun is to release it, or None."""
        return None if self._release_port or self._port is None else self._port.sock

    def release_port(self) -> None:
        """Gives up the port that is held for TensorFlow. Harmless if done before."""
        if self._port is not None:
            self._port.release()

    def absolute_path(self, path: str) -> str:
        """Gives a path with its file system, as TensorFlowOnSpark does.

        Example:
            With `defaultFS` of `hdfs://nn`: `model` is `hdfs://nn/user/<user>/model`, `/model` is `hdfs://nn/model`.
        """
        scheme = path.partition(":")[0]
        if scheme in _FILE_SYSTEMS and ":" in path:
            return path
        if path.startswith("/"):
            return self.defaultFS + path
        if self.defaultFS.startswith(("hdfs://", "viewfs://")):
            return f"{self.defaultFS}/user/{getpass.getuser()}/{path}"
        if self.defaultFS.startswith("file://"):
            return f"{self.defaultFS.rstrip('/')}/{self.working_dir.lstrip('/')}/{path}"
        return f"{self.defaultFS}/{path}"


def serve_variables(held: HeldPort | None) -> None:
    """Starts the server of a ps node. It serves until its process ends."""
    from tfspark_cnn.training import server

    server.serve()
    if held is not None:
        held.release()


def _checked_how(on_bad_image: str, augment: object) -> dict[str, Any]:
    from tfspark_cnn.training.augment_call import checked_augment

    what, cure = "ctx.dataset expected an on_bad_image", "skip leaves out the row of an image that is none"
    bad = chosen(on_bad_image, OnBadImage, what=what, otherwise=cure)
    return {"on_bad_image": bad, "augment": checked_augment(augment)}


def _checked_batch_size(batch_size: object, gpus: int) -> int:
    if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < max(1, gpus):
        raise ConfigError(
            f"batch_size is {batch_size!r}, expected a whole number of at least {max(1, gpus)}",
            hint="batch_size counts the rows of one node per step; each of its GPUs needs one",
        )
    return batch_size


class _Barrier:
    def __init__(self, link: Link) -> None:
        self._link = link
        self._numbers = itertools.count()
        self._passed: dict[int, threading.Event] = {}
        self._lock = threading.Lock()
        link.on(BarrierPassed, lambda message: self._event(message.sequence).set())

    def wait(self) -> None:
        number = next(self._numbers)
        self._link.send(Arrived(self._link.node, number))
        self._event(number).wait()  # for the other nodes; this process ends if one of them does

    def _event(self, number: int) -> threading.Event:
        with self._lock:
            return self._passed.setdefault(number, threading.Event())


MapFun = Callable[[Any, NodeContext], Any]
