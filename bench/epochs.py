"""Later epochs of `ctx.dataset` against `tf.data.Dataset.from_tensor_slices` of the same arrays, in the same process.

One node, so that no other process has a part in it. Both sides batch 64 rows and prefetch two batches, and a Python
loop takes the batches. Ours shuffles, by a seeded permutation of all rows; theirs is compared without any shuffling,
and with `shuffle(buffer_size=rows)`, which is what gives as random an order.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench import part
from bench.feed import SIZES, columns
from bench.part import Options
from bench.rounds import Ratio, interleaved, timed
from bench.rows import Rows, frame
from bench.shared_nodes import BATCH_ROWS
from bench.spark import application
from tfspark_cnn import InputMode, TFCluster

CACHES = ("memory", "disk")
QUEUES = ("input", "second")
PREFETCH = 2
CONTENDERS = {
    "plain": "`from_tensor_slices`, not shuffled",
    "shuffled": "`from_tensor_slices`, `shuffle(rows)`",
}


@dataclass(frozen=True)
class Compare:
    """A map_fun that measures later epochs of its feeds.

    Attributes:
        feeds: the rows of each queue.
        rounds: that count.
    """

    feeds: dict[str, Rows]
    rounds: int

    def __call__(self, args: Any, ctx: Any) -> dict[str, dict[str, list[float]]]:
        """Gives rows per second, by queue and contender."""
        return {queue: self._compare(ctx, queue, rows) for queue, rows in self.feeds.items()}

    def _compare(self, ctx: Any, queue: str, rows: Rows) -> dict[str, list[float]]:
        image, label = columns(rows)
        ours = ctx.dataset(image, label, batch_size=BATCH_ROWS, name=queue)
        arrays = _gathered(ours)  # the first epoch
        assert len(arrays[1]) == rows.count, f"{len(arrays[1])} rows"
        theirs = _slices(arrays)
        datasets = {
            "ours": ours,
            "plain": _batches(theirs),
            "shuffled": _batches(theirs.shuffle(rows.count, seed=ctx.seed)),
        }
        contenders = {name: lambda one=one: rows.count / timed(lambda: _drain(one)) for name, one in datasets.items()}
        return interleaved(contenders, rounds=self.rounds)


def _gathered(dataset: Any) -> tuple[NDArray[Any], ...]:
    batches = [tuple(np.array(part) for part in batch) for batch in dataset]
    return tuple(np.concatenate(parts) for parts in zip(*batches, strict=True))


def _slices(arrays: tuple[NDArray[Any], ...]) -> Any:
    import tensorflow as tf

    return tf.data.Dataset.from_tensor_slices(arrays)


def _batches(dataset: Any) -> Any:
    return dataset.batch(BATCH_ROWS).prefetch(PREFETCH)


def _drain(dataset: Any) -> None:
    for _ in dataset:
        pass


def measure_cache(spark: Any, cache: str, feeds: dict[str, Rows], rounds: int) -> list[Ratio]:
    """Feeds each of the rows once, and has the node measure the epochs after."""
    compare = Compare(feeds, rounds)
    with TFCluster.run(
        spark, compare, None, 1, input_mode=InputMode.SPARK, queues=tuple(feeds), cache=cache
    ) as cluster:
        for queue, rows in feeds.items():  # the first epoch, the warm-up, and those that count
            cluster.train(frame(spark, rows), num_epochs=rounds + 2, qname=queue)
        figures = cluster.shutdown()[0]
    return [ratio for queue, rows in feeds.items() for ratio in _ratios(rows, cache, figures[queue])]


def _ratios(rows: Rows, cache: str, figures: dict[str, list[float]]) -> Iterator[Ratio]:
    for contender, name in CONTENDERS.items():
        yield Ratio(
            f'later epochs, {rows.name}, `cache="{cache}"`', name, "rows/s",
            figures["ours"], figures[contender], least=0.8, row_bytes=rows.row_bytes,
        )  # fmt: skip


def measure(spark: Any, options: Options, caches: tuple[str, ...] = CACHES) -> list[Ratio]:
    """Measures two sizes of rows, with each cache."""
    feeds = {queue: rows.with_count(options.rows(rows.count)) for queue, rows in zip(QUEUES, SIZES, strict=False)}
    return [ratio for cache in caches for ratio in measure_cache(spark, cache, feeds, options.rounds)]


def _measure(options: Options) -> list[Ratio]:
    with application() as spark:
        return measure(spark, options)


def main() -> None:
    """Runs this part."""
    part.run("epochs", __doc__, _measure)


if __name__ == "__main__":
    main()
