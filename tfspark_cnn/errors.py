"""Every error this package raises, as one tree.

    TFSparkError
    ├── ConfigError (also ValueError)      what the caller asked for cannot be
    │   ├── TopologyError                  nodes, roles or slots do not add up
    │   ├── SlotsError                     Spark has too few slots, or gives and takes them at will
    │   ├── MapFunError                    map_fun cannot be pickled, found or called
    │   └── UnsupportedVersionError        a package is outside the range this one was tested with
    ├── ClusterError                       the TensorFlow cluster could not be kept
    │   ├── ReservationTimeout (also TimeoutError)   a node never came up
    │   ├── NodeError                      a node failed: its exception, exit code or signal
    │   ├── JobError                       Spark failed the job that holds the nodes, and none of them said why
    │   ├── RunTimeout (also TimeoutError)  an independent run had not ended in time
    │   ├── ReplicaCountError              a strategy sees another number of replicas than the topology has
    │   ├── ClusterStopped                 used after it was stopped
    │   └── AuthenticationError            a message without the secret of the cluster
    ├── FeedError                          rows could not be brought to the nodes
    │   ├── SchemaError (also ValueError)  a column is missing or cannot become a tensor
    │   ├── ProtocolError                  a stream is none of a feeder's: refused, and the feed goes on
    │   ├── EmptyFeedError                 no rows, or fewer than there are workers
    │   └── FeedTimeout (also TimeoutError)  nothing moved for `feed_timeout` seconds
    ├── SourceError                        files of data cannot be found, read or written, or do not belong together
    │   └── CorruptFileError               the bytes of one are cut, changed, or of another format
    ├── ExportError                        TensorFlow or a converter could not bring a network into another format
    └── CheckpointError                    a checkpoint is another run's, or its storage failed
        └── DamagedCheckpointError         its bytes are cut or changed

Each is `(message, *, hint=None, node=None)`: what was expected and received; what to do about it; and the node it
happened on, as `worker:1`. They pickle, and cross from a node to the driver as `(class name, message, hint)`.

Example:
    >>> raise_it = ConfigError("num_ps is -1, expected 0 or more", hint="pass num_ps=0")
    >>> print(raise_it)
    num_ps is -1, expected 0 or more
      to do: pass num_ps=0
"""

from __future__ import annotations

import difflib
from collections.abc import Collection
from typing import Any


class TFSparkError(Exception):
    """The root of the tree: `except TFSparkError` catches whatever this package raises on purpose."""

    def __init__(self, message: str, *, hint: str | None = None, node: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.node = node

    @property
    def cure(self) -> str:
        """What to do about it, as the end of what is printed; empty where nothing is known."""
        return f"\n  to do: {self.hint}" if self.hint else ""

    def __str__(self) -> str:
        where = f"[{self.node}] " if self.node else ""
        return f"{where}{self.message}{self.cure}"

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.message, self.hint, self.node, self.__dict__)


def _rebuild(
    kind: type[TFSparkError], message: str, hint: str | None, node: str | None, state: dict[str, Any]
) -> TFSparkError:
    error = kind(message, hint=hint, node=node)
    error.__dict__.update(state)
    return error


class ConfigError(TFSparkError, ValueError):
    """What the caller asked for cannot be; nothing was started."""


class TopologyError(ConfigError):
    """Numbers of nodes or their roles do not add up."""


class SlotsError(ConfigError):
    """Spark has fewer slots than the nodes and a feeder need, or may take them away."""


class MapFunError(ConfigError):
    """map_fun cannot be pickled, found, or called with `(args, ctx)`."""


class UnsupportedVersionError(ConfigError):
    """An installed package is outside the range that is known to work."""


class ClusterError(TFSparkError):
    """The TensorFlow cluster could not be formed or kept."""


class ReservationTimeout(ClusterError, TimeoutError):
    """Some nodes did not come up within `reservation_timeout` seconds."""


class NodeError(ClusterError):
    """A node failed.

    Attributes:
        node: role and index, as `worker:1`.
        host: where it ran.
        exit_code: the exit status of its process, or None.
        signal: name of the signal that ended it, as `SIGKILL`, or None.
        remote_traceback: the traceback of its Python exception as text, or None.
        stderr_tail: the last lines it wrote to its standard error.
    """

    host: str | None = None
    exit_code: int | None = None
    signal: str | None = None
    remote_traceback: str | None = None
    stderr_tail: tuple[str, ...] = ()


class JobError(ClusterError):
    """Spark failed the job that holds the nodes, and no node has said why."""


class RunTimeout(ClusterError, TimeoutError):
    """Independent runs had not ended within `timeout_s` seconds."""


class ReplicaCountError(ClusterError):
    """A strategy sees another number of replicas than the topology has."""


class ClusterStopped(ClusterError):
    """The cluster was used after it was stopped."""


class AuthenticationError(ClusterError):
    """A message came without the secret of its cluster."""


class FeedError(TFSparkError):
    """Rows could not be brought from Spark to the nodes."""


class SchemaError(FeedError, ValueError):
    """A column is missing, or its type or shape cannot become a tensor."""


class ProtocolError(FeedError):
    """What came to an inbox is nothing that feeders send: it was refused and counted, and nothing of it was kept."""


class EmptyFeedError(FeedError):
    """The data has no rows, or fewer than there are workers."""


class FeedTimeout(FeedError, TimeoutError):
    """Neither side of the feed moved for `feed_timeout` seconds."""


class SourceError(TFSparkError):
    """Files of data cannot be found, read or written, or do not belong together."""


class CorruptFileError(SourceError):
    """The bytes of a file of data are cut, changed, or of another format than they should be."""


class ExportError(TFSparkError):
    """TensorFlow or a converter could not bring a network into another format."""


class CheckpointError(TFSparkError):
    """A checkpoint is another run's or of another model, or where checkpoints are kept cannot be read or written."""


class DamagedCheckpointError(CheckpointError):
    """The bytes of a checkpoint are cut or changed, or never were one."""


def by_name(name: str) -> type[TFSparkError] | None:
    """Gives the class of the tree with that name, or None if there is none."""
    found = globals().get(name)
    return found if isinstance(found, type) and issubclass(found, TFSparkError) else None


def did_you_mean(name: str, known: Collection[str], otherwise: str) -> str:
    """Gives a hint: the known name that is most like this one, or `otherwise`.

    Example:
        >>> did_you_mean("resnt20", ("lenet5", "resnet20"), "there are two")
        "did you mean 'resnet20'?"
    """
    close = difflib.get_close_matches(name.lower(), {each.lower(): each for each in known}, n=1)
    match = next((each for each in known if close and each.lower() == close[0]), None)
    return f"did you mean {str(match)!r}?" if match else otherwise
