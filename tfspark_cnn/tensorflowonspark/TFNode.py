"""What TensorFlowOnSpark's programs use on nodes: rows by `DataFeed`, and paths by `hdfs_path`.

Reference: `tensorflowonspark/TFNode.py`.
"""

from __future__ import annotations

import getpass
import importlib.metadata
import logging
import re
from collections.abc import Iterable, Mapping
from typing import Any, NoReturn

from tfspark_cnn.errors import ConfigError

log = logging.getLogger(__name__)

_COMPLETE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://|dbfs:/")
"""How a path begins that names its file system: hdfs://, s3a://, gs://, abfss:// or whatever else there is."""


def __getattr__(name: str) -> Any:
    """Gives `TF_VERSION`, of whatever package `tensorflow` is installed by, without importing it."""
    if name != "TF_VERSION":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    packages = importlib.metadata.packages_distributions().get("tensorflow")
    if not packages:
        raise ConfigError("TF_VERSION: expected TensorFlow to be installed here", hint="pip install tensorflow")
    return importlib.metadata.version(packages[0])


def hdfs_path(ctx: Any, path: str) -> str:
    """Gives a path with its file system.

    Args:
        ctx: whose `defaultFS` and `working_dir` count.
        path: one with a file system is complete; `/x` is taken from the root of the default file system, and `x` from
            the user's folder there, or from the folder that the driver's program was started in.

    Example:
        >>> from types import SimpleNamespace
        >>> hdfs_path(SimpleNamespace(defaultFS="file://", working_dir="/home/ada"), "model")
        'file:///home/ada/model'
    """
    if _COMPLETE.match(path):
        return path
    if path.startswith("/"):
        return f"{ctx.defaultFS}{path}"
    if ctx.defaultFS.startswith(("hdfs://", "viewfs://")):
        return f"{ctx.defaultFS}/user/{getpass.getuser()}/{path}"
    if ctx.defaultFS.startswith("file://"):
        return f"{ctx.defaultFS}/{ctx.working_dir[1:]}/{path}"
    log.warning("%s has no folder of the user's that is known; %s is taken from its root", ctx.defaultFS, path)
    return f"{ctx.defaultFS}/{path}"


def start_cluster_server(ctx: Any, num_gpus: int = 1, rdma: bool = False) -> NoReturn:
    """TensorFlow 2 starts its server by itself, when a strategy is made.

    Raises:
        ConfigError: always.
    """
    raise _gone(
        "start_cluster_server, which TensorFlow 2 has no use for",
        "with ctx.strategy().scope(): build the model; or tf.distribute.MultiWorkerMirroredStrategy(), which reads the "
        "TF_CONFIG that is set here; ps nodes are served without your doing, see ctx.parameter_servers",
    )


def export_saved_model(sess: Any, export_dir: str, tag_set: str, signatures: Any) -> NoReturn:
    """TensorFlow 2 has no sessions.

    Raises:
        ConfigError: always.
    """
    raise _gone(
        "export_saved_model, which saves a session of TensorFlow 1",
        "compat.export_saved_model(model, export_dir, is_chief) saves a Keras model, tf.saved_model.save any other",
    )


def next_batch(mgr: Any, batch_size: int, qname: str = "input") -> NoReturn:
    """Became `DataFeed.next_batch`.

    Raises:
        ConfigError: always; so do the next two.
    """
    raise _gone("TFNode.next_batch", "ctx.get_data_feed().next_batch(batch_size)")


def batch_results(mgr: Any, results: Any, qname: str = "output") -> NoReturn:
    """Became `DataFeed.batch_results`."""
    raise _gone("TFNode.batch_results", "ctx.get_data_feed(train_mode=False).batch_results(results)")


def terminate(mgr: Any, qname: str = "input") -> NoReturn:
    """Became `DataFeed.terminate`."""
    raise _gone("TFNode.terminate", "ctx.get_data_feed().terminate()")


def release_port(ctx: Any) -> None:
    """Gives up the port that is reserved for TensorFlow; `run(release_port=False)` leaves that to map_fun."""
    if ctx.tmp_socket is None:
        log.warning("release_port was called where no port is reserved: it was released, or run had release_port=True")
        return
    ctx.tmp_socket.close()
    ctx.tmp_socket = None


class DataFeed:
    """The rows that Spark feeds to this node, batch by batch.

    Args:
        mgr: `ctx.mgr`, or `ctx`.
        train_mode: whether the rows are those of `cluster.train`; else those of `cluster.inference`, which wait for
            results.
        qname_in: the `qname` that `cluster.train` or `cluster.inference` was given.
        qname_out: kept for programs that name it; results go back where their rows came from.
        input_mapping: `{column: tensor}`: batches are dicts of tensor name -> list of values. Rows with names are read
            by them, others hold the values of the sorted columns.

    Attributes:
        done_feeding: whether no further row will come.
        input_tensors: names of the tensors, by sorted column name, or None.

    Example:
        >>> feed = TFNode.DataFeed(ctx.mgr, train_mode=False)             # doctest: +SKIP
        >>> while not feed.should_stop():
        ...     batch = feed.next_batch(100)
        ...     feed.batch_results(scores(batch))
    """

    def __init__(
        self,
        mgr: Any,
        train_mode: bool = True,
        qname_in: str = "input",
        qname_out: str = "output",
        input_mapping: Mapping[str, str] | None = None,
    ) -> None:
        mgr = getattr(mgr, "mgr", mgr)
        if not hasattr(mgr, "data_feed"):
            raise ConfigError(
                f"DataFeed got a {type(mgr).__name__}, expected ctx.mgr of a node", hint="call ctx.get_data_feed()"
            )
        self.mgr, self.train_mode, self.qname_in, self.qname_out = mgr, train_mode, qname_in, qname_out
        self._rows = mgr.data_feed(qname_in, train_mode=train_mode, input_mapping=input_mapping)
        self.input_tensors: list[str] | None = self._rows.input_tensors

    @property
    def done_feeding(self) -> bool:
        """Whether no further row will come."""
        return bool(self._rows.done_feeding)

    def next_batch(self, batch_size: int) -> Any:
        """Gives the next rows, waiting for them: a list, or with `input_mapping` a dict of lists.

        In training, batches span partitions and epochs; in inference each has rows of one partition. At the end of the
        data a batch has fewer rows, or none.

        Raises:
            ConfigError: batch_size is not a positive number.
            SchemaError: the rows do not have the columns of `input_mapping`.
        """
        return self._rows.next_batch(batch_size)

    def should_stop(self) -> bool:
        """Tells whether no further row will come: the cluster is being shut down, or `terminate` was called."""
        return self.done_feeding

    def batch_results(self, results: Iterable[Any]) -> None:
        """Gives the results of a batch: one for each of its rows, in order.

        Raises:
            ConfigError: the feed is for training.
            FeedError: another number of results.
        """
        self._rows.batch_results(list(results))

    def terminate(self) -> None:
        """Says that this node wants no more rows. When all nodes have said so, `cluster.train` returns."""
        self._rows.terminate()


def _gone(what: str, instead: str) -> ConfigError:
    return ConfigError(f"map_fun called {what}", hint=f"use {instead}")
