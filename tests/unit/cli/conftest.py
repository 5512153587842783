"""What unit tests of the command line share."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from tfspark_cnn import log


@pytest.fixture(autouse=True)
def log_as_before() -> Iterator[None]:
    """Verbs are programs, and say where lines of the log go; what a test calls in its own process must not stay."""
    root = logging.getLogger(log.ROOT)
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
