"""Who reads which files: each node's own share of a list, for `InputMode.TENSORFLOW`. Pure.

Example:
    On a node, of files that all nodes see:

    >>> files = storage.files_at("/data/train", suffixes=(".tfrecord",))
    >>> tf.data.TFRecordDataset(share_of(files, ctx.worker_num, ctx.num_workers))
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable

from tfspark_cnn.errors import ConfigError


def share_of(files_with_sizes: Iterable[tuple[str, int]], number: int, count: int) -> list[str]:
    """Gives the files of one of `count` nodes, by name: every file is in the share of exactly one.

    The largest file goes first, each to the node that has the fewest bytes by then (Graham's rule, SIAM J. Appl. Math.
    17, 1969): the largest share is at most 4/3 of the best possible one. The order of the list does not matter. With
    fewer files than nodes some nodes have none.

    Args:
        files_with_sizes: `(path, bytes)` of each, the same list on every node.
        number: of the node, 0 to count - 1.
        count: of nodes.

    Raises:
        ConfigError: there is no such node.

    Example:
        >>> share_of([("a", 50), ("b", 30), ("c", 25)], 1, 2)
        ['b', 'c']
    """
    if count < 1 or not 0 <= number < count:
        raise ConfigError(
            f"expected a node's number from 0 to count - 1, received number={number} and count={count}",
            hint="pass ctx.worker_num and ctx.num_workers",
        )
    # Ties go to the node with fewer files, so that empty files are spread, too.
    nodes = [(0, 0, node) for node in range(count)]
    share: list[str] = []
    for path, size_bytes in sorted(files_with_sizes, key=lambda file: (-file[1], file[0])):
        held_bytes, held_files, node = nodes[0]
        heapq.heapreplace(nodes, (held_bytes + size_bytes, held_files + 1, node))
        if node == number:
            share.append(path)
    return sorted(share)
