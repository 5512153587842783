"""Where a node writes event files: in the log directory, or on its own disk where TensorFlow cannot write there."""

from __future__ import annotations

from tfspark_cnn import env
from tfspark_cnn.data import storage
from tfspark_cnn.data.mirror import Mirroring


class NodeEvents:
    """The event files of one node.

    Args:
        log_dir: of the cluster, local or a URI that `pyarrow.fs` knows; None: nothing is written.
    """

    def __init__(self, log_dir: str | None) -> None:
        self._log_dir = log_dir
        self._mirror: Mirroring | None = None

    def folder(self) -> str | None:
        """Gives the local folder to write to; from elsewhere it is copied to the log directory as it grows.

        Raises:
            SourceError: the log directory cannot be written.
        """
        if not self._log_dir:
            return None
        local = storage.local_path(self._log_dir)
        if local is None and self._mirror is None:
            # Where Spark removes it, if this process is killed.
            self._mirror = Mirroring(self._log_dir, outward=True, within=env.spark_local_dirs()[0])
        return local or (self._mirror.folder if self._mirror else None)

    def close(self) -> None:
        """Copies what has not been yet."""
        if self._mirror is not None:
            self._mirror.close()
            self._mirror = None
