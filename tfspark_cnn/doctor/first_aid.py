"""The cheap part of an examination, for a start that has failed: bounded in time, without a probe, never raising."""

from __future__ import annotations

import logging
from typing import Any

from tfspark_cnn.doctor import findings
from tfspark_cnn.doctor.examination import Examination

log = logging.getLogger(__name__)

SLOTS_S = 2.0
"""Spark tells late that the slots of the cluster that failed are free again."""

NODES_S = 6.0
"""For the tasks; with the above and the driver's own part this is within 10 s."""

WAIT_S = 2.0


def first_aid(spark: Any, nodes: int, *, feeders: int, profile: Any = None, lacking_slots: bool = False) -> str:
    """Gives what failed, as a line for the hint of an error; empty where nothing was found.

    Args:
        spark: the session.
        nodes: that were to be started on executors.
        feeders: slots that were to be left over.
        profile: ResourceProfile of the nodes, or None.
        lacking_slots: whether it is known that there are too few slots: it need not be said again, and no node looks.
    """
    examination = Examination(
        spark,
        nodes,
        feeders=feeders,
        profile=profile,
        patience_s=0.0 if lacking_slots else SLOTS_S,
        limit_s=NODES_S,
        wait_s=WAIT_S,
        ask_tensorflow=False,
        on_nodes=not lacking_slots,
    )
    try:
        found, _ = examination.run()
    except Exception:  # of Spark, which may be gone: the error that we were called for says more
        log.debug("the examination after a failed start failed", exc_info=True)
        return ""
    for one in found:
        log.debug("%s", one)
    return findings.told(one for one in found if not (lacking_slots and one.name == "slots"))
