"""How far Spark is with a table: a large one takes long, and a command that says nothing looks as if it hung."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from tfspark_cnn.display.display import Display

LOOK_S = 1.0
"""How often Spark is asked: it tells Python of no task that ends."""

END_S = 5.0
"""Given to a look that is under way when the block ends; a Spark that answers no more is left to whoever stops it."""

STEPS = 10
"""So many lines a stage has at most, where there is no terminal to draw in place."""

log = logging.getLogger(__name__)


def part_done(tasks: Iterable[tuple[int, int]]) -> tuple[int, int]:
    """Gives how many tasks of the stages that run have ended, and how many there are.

    Args:
        tasks: those that have ended and all, by stage.

    Example:
        >>> part_done([(3, 8), (0, 4)])
        (3, 12)
    """
    known = list(tasks)
    return sum(ended for ended, _ in known), sum(in_all for _, in_all in known)


@contextmanager
def job_progress(spark: SparkSession, display: Display, what: str, *, look_s: float = LOOK_S) -> Iterator[None]:
    """Shows what is done while the block runs, and how far Spark is: `scoring photos: 12 of 40 tasks`.

    Args:
        spark: whose jobs; those of this application.
        display: where it is shown.
        what: is done in the block.
        look_s: seconds between two looks.
    """
    display.phase(what)
    over = threading.Event()
    tracker = spark.sparkContext.statusTracker()
    watch = threading.Thread(
        target=_watch, args=(tracker, display, what, over, look_s), name="tfspark-job-progress", daemon=True
    )
    watch.start()
    try:
        yield
    finally:
        over.set()
        watch.join(END_S)


def _watch(tracker: Any, display: Display, what: str, over: threading.Event, look_s: float) -> None:
    from py4j.protocol import Py4JError

    shown = None
    while not over.wait(look_s):
        try:
            ended, in_all = part_done(_tasks(tracker))
        except (Py4JError, OSError):  # of a Spark that ends; whoever waits for the job is told why
            log.debug("Spark does not tell how far it is", exc_info=True)
            return
        if ended and shown != (now := (STEPS * ended // in_all, in_all)):
            shown = now
            display.phase(f"{what}: {ended:,} of {in_all:,} tasks")


def _tasks(tracker: Any) -> list[tuple[int, int]]:
    found = [tracker.getStageInfo(stage) for stage in tracker.getActiveStageIds()]
    return [(info.numCompletedTasks, info.numTasks) for info in found if info is not None]
