"""Who stands above a process. A node that was forked has its executor's fork server in place of its Spark task."""

from __future__ import annotations

import psutil

from tfspark_cnn.cluster import fork_server


def ancestors(process: psutil.Process) -> list[psutil.Process]:
    """Gives what a process belongs to, from below: parents, and for a fork server its owner, whoever started it."""
    above = []
    one: psutil.Process | None = process
    while one := above_of(one):
        above.append(one)
    return above


def above_of(process: psutil.Process) -> psutil.Process | None:
    line = process.cmdline()
    if fork_server.__name__ in line:
        return psutil.Process(int(line[line.index(fork_server.__name__) + 2]))
    return process.parent()
