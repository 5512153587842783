"""Lines of the log."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator

import pytest

from tfspark_cnn import log


@pytest.fixture
def console() -> Iterator[io.StringIO]:
    stream, root = io.StringIO(), logging.getLogger(log.ROOT)
    level = root.level
    handler = log.to_console(stream, level=logging.INFO)
    yield stream
    root.removeHandler(handler)
    root.setLevel(level)


def test_a_node_says_its_role_and_index_first() -> None:
    assert log.node_prefix("worker", 1) + "ready" == "[worker:1] ready"


def test_info_is_bare_and_other_levels_are_named(console: io.StringIO) -> None:
    logger = logging.getLogger("tfspark_cnn.cluster")
    logger.info("%d nodes", 2)
    logger.warning("slow")
    assert console.getvalue() == "2 nodes\nwarning: slow\n"


def test_below_the_level_nothing_is_shown(console: io.StringIO) -> None:
    logging.getLogger("tfspark_cnn.feed").debug("detail")
    assert console.getvalue() == ""


def test_the_library_itself_adds_no_handler_that_writes() -> None:
    assert all(isinstance(one, logging.NullHandler) for one in logging.getLogger(log.ROOT).handlers)
