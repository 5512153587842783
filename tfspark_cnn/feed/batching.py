"""The order in which one node consumes its rows in one epoch.

Rows of a node are numbered 0, 1, ... in Spark's order: by partition, then by row. Without shuffling that is the order.
With shuffling, the first epoch is shuffled in windows, since it is consumed while it arrives; later ones as a whole.
Every order depends on (seed, epoch, node) and numbers of rows alone, never on timing or machine.
"""

from __future__ import annotations

import zlib

import numpy as np
from numpy.typing import NDArray

from tfspark_cnn.errors import ConfigError

SHUFFLE_WINDOW_ROWS = 4096
"""Rows of one window of the first epoch.

64 batches of 64: enough to break up runs of one label and the blocks of dealing (16 rows). At the 46,000 rows/s that
Spark hands to Python a window delays the first step by 0.1 s, and it keeps 13 MB of 28x28 floats waiting.
"""

BLOCK_ROWS = 1024
"""Rows read in sequence from disk: 3 MB of 28x28 floats, where a disk is at its full speed."""

BLOCKS_MIXED = 8
"""Blocks whose rows are mixed: twice `SHUFFLE_WINDOW_ROWS`, so a later epoch is no less shuffled than the first."""

# Sets the uses of (seed, epoch, node) apart: window 0 must not repeat the head of another epoch's order.
_WINDOW_STREAM, _EPOCH_STREAM, _STEP_STREAM = 0, 1, 2


def window_order(window: int, rows: int, *, seed: int, epoch: int, node: int) -> NDArray[np.int64]:
    """Gives the order of one window of an epoch that is consumed while it arrives.

    Args:
        window: number of the window in the epoch, from 0.
        rows: rows of this window; the last one may be shorter.
        seed: of the cluster, any integer.
        epoch: number of the epoch, from 0.
        node: number of the worker, from 0.

    Returns:
        int64[rows], a permutation: the n-th row consumed is `order[n]`, counted from the start of the window.

    Example:
        >>> sorted(window_order(0, 4, seed=1, epoch=0, node=0).tolist())
        [0, 1, 2, 3]
    """
    return _order(rows, seed, (_WINDOW_STREAM, epoch, node, window))


def epoch_order(rows: int, *, seed: int, epoch: int, node: int) -> NDArray[np.int64]:
    """Gives the order of an epoch whose rows are all there.

    Args:
        rows: rows of the node in the epoch.
        seed: of the cluster, any integer.
        epoch: number of the epoch, from 0.
        node: number of the worker, from 0.

    Returns:
        int64[rows], a permutation: the n-th row consumed is `order[n]`.
    """
    return _order(rows, seed, (_EPOCH_STREAM, epoch, node))


def blocked_order(rows: int, *, seed: int, epoch: int, node: int) -> NDArray[np.int64]:
    """Gives the order of an epoch whose rows lie on disk: blocks in random order, shuffled within a few of them.

    A full permutation would read a page of the disk for each row. Here `BLOCK_ROWS` rows are read in sequence, and
    rows mix with those of `BLOCKS_MIXED` blocks drawn from anywhere in the data.

    Returns:
        int64[rows], a permutation: the n-th row consumed is `order[n]`.
    """
    blocks = _order(-(-rows // BLOCK_ROWS), seed, (_EPOCH_STREAM, epoch, node))
    starts = (blocks * BLOCK_ROWS).tolist()
    order = np.concatenate([np.empty(0, np.int64), *(np.arange(a, min(rows, a + BLOCK_ROWS)) for a in starts)])
    span = BLOCK_ROWS * BLOCKS_MIXED
    for number, start in enumerate(range(0, rows, span)):
        part = order[start : start + span]
        order[start : start + span] = part[_order(len(part), seed, (_WINDOW_STREAM, epoch, node, number))]
    return order


def step_seed(feed: str, step: int, *, seed: int, epoch: int, node: int) -> NDArray[np.int32]:
    """Gives the seed of what is drawn for the batch of one step, as its augmentation.

    Args:
        feed: name of the feed.
        step: number of the step in the epoch, from 0.
        seed: of the cluster, any integer.
        epoch: number of the epoch in the feed, from 0.
        node: number of the worker, from 0.

    Returns:
        int32[2], for TensorFlow's stateless random operations.
    """
    stream = (_STEP_STREAM, epoch, node, step, zlib.crc32(feed.encode()))
    return np.random.SeedSequence(seed % 2**64, spawn_key=stream).generate_state(2).view(np.int32)


def ready_rows(rows: int, *, window: int = SHUFFLE_WINDOW_ROWS, complete: bool) -> int:
    """Gives how many rows may be consumed of an epoch that arrives: whole windows, or all once it is complete.

    Args:
        rows: rows that have arrived without a gap.
        window: rows of a window; 1 without shuffling.
        complete: whether these are all rows of the epoch.

    Example:
        >>> ready_rows(10_000, window=4096, complete=False)
        8192
    """
    if window < 1:
        raise ConfigError(f"window is {window} rows, expected 1 or more", hint="pass window=1 for no shuffling")
    return rows if complete else rows - rows % window


def _order(rows: int, seed: int, stream: tuple[int, ...]) -> NDArray[np.int64]:
    # SeedSequence keeps entropy and spawn key apart; Philox and SeedSequence are the same on every platform. NumPy may
    # change `permutation` in a major release (NEP 19): the literal orders in the tests would tell.
    source = np.random.SeedSequence(seed % 2**64, spawn_key=stream)
    return np.random.Generator(np.random.Philox(source)).permutation(rows)
