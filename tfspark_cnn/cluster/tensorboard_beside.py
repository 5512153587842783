"""The TensorBoard of a cluster: up while the cluster is, through all its attempts, and never a reason for it to end."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator

from tfspark_cnn import env
from tfspark_cnn.cluster.tensorboard import TensorBoard
from tfspark_cnn.cluster.tensorboard_options import TensorBoardLink, TensorBoardOptions, address
from tfspark_cnn.data import storage
from tfspark_cnn.data.mirror import Mirroring
from tfspark_cnn.errors import TFSparkError

log = logging.getLogger(__name__)


class TensorBoardBeside:
    """Starts TensorBoard on a log directory, in the background. Trouble with it is logged, and the run goes on.

    Args:
        log_dir: of the cluster, local or a URI; what lies elsewhere is copied to this host while it is written.
        options: where it serves.
        bind: to listen on if they say nothing.
        public: this host's name for others.

    Raises:
        ConfigError: TENSORBOARD_PORT is no port.
    """

    def __init__(self, log_dir: str, options: TensorBoardOptions, *, bind: str, public: str) -> None:
        where = address(options, bind=bind, public=public, proxy=env.tensorboard_proxy())
        port = env.tensorboard_port() if options.port is None else options.port
        self._held = contextlib.ExitStack()
        self._board: TensorBoard | None = None
        self._awaited = False
        with _telling():
            folder = storage.local_path(log_dir) or self._held.enter_context(Mirroring(log_dir)).folder
            self._board = self._held.enter_context(TensorBoard(folder, where, port=port, ended=_tell_ended))

    def await_up(self) -> None:
        """Waits until it serves, and logs where; or why it does not."""
        if self._awaited or self._board is None:
            return
        self._awaited = True
        with _telling():
            log.info("TensorBoard serves at %s", self._board.await_url())

    @property
    def url(self) -> TensorBoardLink | None:
        """Where it opens, or None where it does not serve."""
        return self._board.url if self._board else None

    def stop(self) -> None:
        """Ends it. Harmless if it has ended."""
        self._held.close()


@contextlib.contextmanager
def _telling() -> Iterator[None]:
    try:
        yield
    except (TFSparkError, OSError) as error:
        hint = getattr(error, "hint", None)
        log.warning("there is no TensorBoard, the run goes on without it: %s", getattr(error, "message", error))
        if hint:
            log.warning("to do: %s", hint)


def _tell_ended(words: str) -> None:
    last = words.splitlines()[-1:] or ["it said nothing"]
    log.warning("TensorBoard has ended by itself, the run goes on without it; its last words: %s", last[0])
