"""Work that may take only so long: it goes on in a thread of its own, and nobody waits longer."""

from __future__ import annotations

from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Overdue(TimeoutError):
    """The work has not ended in time. It may still go on."""


class Within(Generic[T]):
    """Runs work in a thread, with the local properties of a Spark session if there is one.

    Args:
        work: to be done.
        session: whose properties it needs; None: it has nothing to do with Spark.
        name: of the thread.
    """

    def __init__(self, work: Callable[[], T], *, session: Any = None, name: str = "tfspark-doctor") -> None:
        from pyspark import InheritableThread

        self._work = work
        self._outcome: SimpleQueue[tuple[T | None, BaseException | None]] = SimpleQueue()
        more = {} if session is None else {"session": session}
        self._thread = InheritableThread(target=self._run, name=name, **more)
        self._thread.daemon = True

    def result(self, limit_s: float) -> T:
        """Starts it, waits, and gives what it returned, or raises what it raised.

        Raises:
            Overdue: it has not ended in `limit_s` seconds.
        """
        self._thread.start()
        try:
            value, error = self._outcome.get(timeout=limit_s)
        except Empty:
            raise Overdue from None
        if error is not None:
            raise error
        return value  # type: ignore[return-value]  # None only where T is

    def _run(self) -> None:
        try:
            self._outcome.put((self._work(), None))
        except BaseException as error:  # told to who waits
            self._outcome.put((None, error))
