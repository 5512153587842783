"""When an inbox that keeps no rows lets feeders wait. Pure.

Rows are read in the order of partitions, so those that arrive are of two kinds: rows in order, which the reader will
take next, and parked rows of later partitions. Each kind may fill half of the memory. Beyond it a feeder is held back,
but only where that cannot make anybody wait for ever:

- A feeder of rows in order is held while the reader has work: steps that every node has rows for and that it has not
  taken, or the coordinator has still to say whether new rows make up such steps. Neither needs a feeder, so the hold
  ends; a node that has no such steps takes every row that comes.
- A feeder of parked rows is held while the leading partition has a feeder, which moves by the first rule. When that one
  is killed, its next try may need the slot of one that is parked: these go on, and their rows go to disk.

- While rows of another feed arrive at the node, or its reader has been waiting for long, nobody is held.

What is taken in beyond the memory goes to disk, so memory is bounded in any case.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


@dataclass
class Flow:
    """What waits to be read in one store, and who is held back.

    Attributes:
        memory_bytes: room for all rows that wait.
        ordered_bytes: of rows in order that have not been read.
        parked_bytes: of rows of later partitions.
        streams: feeders under way, by partition.
        alone: whether no other feed arrives, which might need the slots of feeders that wait; else nobody is held.
        starving: whether the reader has been waiting for long: then nobody is held.
        ended: whether nobody reads any more: rows are taken in and dropped.
    """

    memory_bytes: int
    ordered_bytes: int = 0
    parked_bytes: int = 0
    streams: Counter[int] = field(default_factory=Counter)
    alone: bool = True
    starving: bool = False
    ended: bool = False

    @property
    def over(self) -> bool:
        """Whether there is more than the memory has room for."""
        return self.ordered_bytes + self.parked_bytes > self.memory_bytes

    def holds(self, partition: int, *, lead: int, backlog: bool) -> bool:
        """Tells whether the feeder of a partition has to wait with its next rows.

        Args:
            partition: whose rows they are.
            lead: the first partition that is not complete.
            backlog: whether the reader has steps to take that need no further row, on any node.

        Example:
            >>> Flow(100, ordered_bytes=60).holds(0, lead=0, backlog=True)
            True
            >>> Flow(100, ordered_bytes=60).holds(0, lead=0, backlog=False)
            False
        """
        if self.ended or self.starving or not self.alone:
            return False
        if partition <= lead:
            return backlog and self.ordered_bytes > self.memory_bytes // 2
        return self.streams[lead] > 0 and self.parked_bytes > self.memory_bytes // 2
