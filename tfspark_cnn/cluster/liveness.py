"""Who waits for whom, in words, when nothing moves any more. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from tfspark_cnn.cluster.feeds import Feed
from tfspark_cnn.cluster.messages import Consumed, Received
from tfspark_cnn.cluster.state import ClusterState

Quiet = Mapping[tuple[type, int, str], float]
"""Seconds since the last event of a kind, by (kind, node, feed)."""


def who_waits(state: ClusterState, feed: str, quiet_s: Quiet) -> str:
    """Says how far Spark and each node are with a feed, since when, and what the next row waits for."""
    fed = state.feeds.by_id[feed]
    head = f"{fed.rows_received()} rows are with the nodes" + (", all there are" if fed.complete else " so far")
    return "; ".join([head, *(_node(state, fed, number, quiet_s) for number in fed.shares)])


def _node(state: ClusterState, fed: Feed, number: int, quiet_s: Quiet) -> str:
    name, feed = state.topology.nodes[number].name, fed.opened.feed
    if state.nodes[number].returned:
        return f"{name} has returned"
    words = [f"{name} {_taken(fed, number)}{_since(quiet_s, Consumed, number, feed)}", _inbox(fed, number, quiet_s)]
    if fed.complete is None:
        words.append(_missing(fed, number))
    return ", ".join(words)


def _taken(fed: Feed, number: int) -> str:
    readers = [reader.consumed[number] for reader in fed.readers.values() if number in reader.consumed]
    if readers:
        return f"has taken {readers[0].passes} epochs and {readers[0].step} steps"
    asked = any(number in reader.attached for reader in fed.readers.values())
    return "has taken nothing" if asked else "has not asked for the dataset"


def _inbox(fed: Feed, number: int, quiet_s: Quiet) -> str:
    received = fed.received.get(number)
    if received is None:
        return "its inbox has received nothing"
    since = _since(quiet_s, Received, number, fed.opened.feed)
    return f"its inbox has received {received.rows} rows{since} ({received.fill})"


def _missing(fed: Feed, number: int) -> str:
    received = fed.received.get(number)
    lead = received.lead if received else 0
    if received is not None and lead in received.streams:
        return f"a feeder of partition {lead} is connected to it, and others of {_others(received)}"
    others = _others(received) if received else "none"
    return f"no feeder of partition {lead}, which it needs, is connected to it, but those of {others}"


def _others(received: Received) -> str:
    return ", ".join(str(one) for one in received.streams if one != received.lead) or "none"


def _since(quiet_s: Quiet, kind: type, number: int, feed: str) -> str:
    found = quiet_s.get((kind, number, feed))
    return "" if found is None else f", the last {found:.0f} s ago"
