"""What happened in a run, as a file of JSON lines that the driver writes: `<log_dir>/events-<run id>.jsonl`.

Each line is an event: `{"time": 1719824400.25, "kind": "epoch_end", "node": "chief:0", "values": {"epoch": 1, ...}}`.
`schema.VALUES` says which kinds there are and what their values mean.

Example:
    >>> from tfspark_cnn import events
    >>> for event in events.read("runs/digits/logs/20260101-120000"):     # doctest: +SKIP
    ...     print(event.time_s, event.kind, event.node, event.values)
"""

from tfspark_cnn.events.reader import read
from tfspark_cnn.events.schema import VALUES, Event, Kind

__all__ = ["VALUES", "Event", "Kind", "read"]
