"""What our nodes run while they are measured. None of this imports TensorFlow."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.shared_nodes import BATCH_ROWS, take_rows
from tfspark_cnn import Column
from tfspark_cnn.feed.reader import EpochReader, ReaderOptions


@dataclass(frozen=True)
class Take:
    """Takes epochs of the training feed as what `ctx.dataset` hands to `tf.data`: batches of arrays.

    Attributes:
        columns: of a batch.
        passes: epochs to take, of all `train` calls together.
    """

    columns: tuple[Column, ...]
    passes: int

    def __call__(self, args: Any, ctx: Any) -> int:
        """Gives the number of rows taken."""
        reader = reader_of(ctx, self.columns)
        return sum(len(batch[0]) for _ in range(self.passes) for batch in reader.epoch())


@dataclass(frozen=True)
class TakeBoth:
    """Takes epochs of the training feed as arrays and, at the same time, rows of the queue `rows` as Python objects."""

    columns: tuple[Column, ...]
    passes: int

    def __call__(self, args: Any, ctx: Any) -> tuple[int, int]:
        """Gives the numbers of rows taken."""
        taken: list[int] = []
        thread = threading.Thread(target=lambda: taken.append(take_rows(ctx.get_data_feed(qname_in="rows"))))
        thread.start()
        arrays = Take(self.columns, self.passes)(args, ctx)
        thread.join()
        return arrays, taken[0]


@dataclass(frozen=True)
class Step:
    """Takes epochs and does a step after each batch: sleeps as long as the file `step_s` said when the epoch began.

    Attributes:
        columns: of a batch.
        passes: epochs to take.
        step_s: a file on this host that holds seconds.
    """

    columns: tuple[Column, ...]
    passes: int
    step_s: Path

    def __call__(self, args: Any, ctx: Any) -> list[float]:
        """Gives, of each epoch, the seconds that its steps took."""
        reader = reader_of(ctx, self.columns)
        return [sum(self._steps(reader)) for _ in range(self.passes)]

    def _steps(self, reader: EpochReader) -> Iterator[float]:
        seconds = None
        for _ in reader.epoch():
            if seconds is None:  # the driver writes it before `train`, which the first batch comes after
                seconds = float(self.step_s.read_text())
            began = time.perf_counter()
            if seconds:
                time.sleep(seconds)
            yield time.perf_counter() - began


def reader_of(ctx: Any, columns: tuple[Column, ...]) -> EpochReader:
    """The reader below `ctx.dataset`, which would import TensorFlow: that takes as long as a round."""
    reader: EpochReader = ctx._feeds.reader("train", ReaderOptions(columns, BATCH_ROWS, seed=ctx.seed))
    return reader
