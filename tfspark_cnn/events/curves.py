"""Metrics by epoch, and the last figures of each node, from the events of a run. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tfspark_cnn.events.schema import Event, Kind


def metrics_by_epoch(events: Sequence[Event]) -> dict[str, list[float]]:
    """Gives each metric's values by epoch, as Keras' `History.history` has them, over all attempts.

    Epochs that an attempt has trained again count once, as it trained them last. Metrics of an epoch are those of all
    nodes, so one node's are taken: the chief's, or the first worker's.

    Args:
        events: of one run, in the order of their times.
    """
    ended = [event for event in events if event.kind is Kind.EPOCH_END]
    speaker = next((name for name in ("chief:0", "worker:0") if any(one.node == name for one in ended)), None)
    found: list[tuple[int, Mapping[str, float]]] = []
    resent = False
    for event in events:
        resent = resent or event.kind is Kind.RESTART
        if event.kind is not Kind.EPOCH_END or event.node != speaker:
            continue
        epoch = int(event.values["epoch"])
        while resent and found and found[-1][0] >= epoch:
            found.pop()
        resent = False
        found.append((epoch, event.values.get("metrics", {})))
    names = dict.fromkeys(name for _, metrics in found for name in metrics)
    return {name: [metrics.get(name, float("nan")) for _, metrics in found] for name in names}


def last_figures(events: Sequence[Event]) -> dict[str, Mapping[str, Any]]:
    """Gives the last figures of steps of each node, of the last attempt that has any."""
    found: dict[str, Mapping[str, Any]] = {}
    fresh = False
    for event in events:
        fresh = fresh or event.kind is Kind.ATTEMPT
        if event.kind in (Kind.STEP, Kind.EPOCH_END) and event.values.get("timed_steps"):
            found = {} if fresh else found
            fresh = False
            found[event.node] = event.values
    return found
