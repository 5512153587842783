"""Which classes the folders of images have; no Spark here."""

from __future__ import annotations

from typing import Any

import pytest

from tfspark_cnn.data.image_folder import SUFFIXES, glob_of, known_classes
from tfspark_cnn.errors import ConfigError, SourceError


def known(found: list[str | None], classes: Any = None) -> tuple[str, ...]:
    return known_classes(found, classes, where="/pets", suffixes=SUFFIXES)


def test_classes_are_sorted_by_name_whatever_order_spark_finds_them_in() -> None:
    assert known(["dog", "cat", "ant"]) == ("ant", "cat", "dog")


def test_given_classes_keep_their_order_and_need_not_all_be_there() -> None:
    assert known(["cat"], ["dog", "cat"]) == ("dog", "cat")


@pytest.mark.parametrize(
    ("found", "classes", "error", "words"),
    [
        ([], None, SourceError, r"images \(\.jpg, \.jpeg, \.png\) in folders below /pets, received none\n.*suffixes="),
        (["cat", None], None, SourceError, "in the folder of its class, received some in /pets itself"),
        (["cat", "dgo"], ["cat", "dog"], ConfigError, "below /pets, received 'dgo'\n.*did you mean 'dog'"),
        (["cat"], ["cat", "cat"], ConfigError, "expected different classes"),
    ],
)
def test_folders_that_are_no_classes_are_refused(found: Any, classes: Any, error: Any, words: str) -> None:
    with pytest.raises(error, match=words):
        known(found, classes)


def test_files_are_found_in_small_and_capital_letters() -> None:
    assert glob_of((".jpg", ".png")) == "*{.jpg,.JPG,.png,.PNG}"
