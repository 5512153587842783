"""What is added to the error of a start that has failed: what the doctor finds wrong with the surroundings."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from typing import Any

from tfspark_cnn.errors import ClusterError, JobError, ReservationTimeout, SlotsError, TFSparkError

log = logging.getLogger(__name__)

_SURROUNDINGS = (ReservationTimeout, JobError, ClusterError, SlotsError)
"""Errors of these very classes; what map_fun raised, or a node that died, has said its cause."""


@contextlib.contextmanager
def examined(spark: Any, nodes: int, *, feeders: int, profile: Any) -> Iterator[None]:
    """Adds to the hint of an error that leaves the block what an examination of at most 10 s finds failed.

    Args:
        spark: the session.
        nodes: that the block starts on executors.
        feeders: slots that must be left over.
        profile: ResourceProfile of the nodes, or None.
    """
    try:
        yield
    except TFSparkError as error:
        if type(error) in _SURROUNDINGS and "cancelled" not in error.message:  # by a person, in the Spark UI
            _add(error, spark, nodes, feeders=feeders, profile=profile)
        raise


def _add(error: TFSparkError, spark: Any, nodes: int, *, feeders: int, profile: Any) -> None:
    try:
        from tfspark_cnn.doctor.first_aid import first_aid

        lacking = isinstance(error, SlotsError)
        seen = first_aid(spark, nodes, feeders=feeders, profile=profile, lacking_slots=lacking)
    except Exception:  # help never replaces the first error
        log.debug("no examination after a failed start", exc_info=True)
        return
    if seen:
        error.hint = f"{error.hint}; the doctor found: {seen}" if error.hint else f"the doctor found: {seen}"
