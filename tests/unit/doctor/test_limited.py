"""Work that may take only so long."""

from __future__ import annotations

import threading

import pytest

from tfspark_cnn.doctor.limited import Overdue, Within


def test_what_work_gives_or_raises_comes_through() -> None:
    assert Within(lambda: 42).result(5) == 42
    with pytest.raises(ZeroDivisionError):
        Within(lambda: 1 // 0).result(5)


def test_nobody_waits_longer_than_the_limit() -> None:
    done = threading.Event()
    with pytest.raises(Overdue):
        Within(done.wait).result(0.05)
    done.set()
