"""How many classes there are, and what labels may be, from what one look at all of them gives."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from tfspark_cnn.errors import ConfigError, SchemaError, TFSparkError
from tfspark_cnn.ml import labels
from tfspark_cnn.ml.labels import Labels


def look(most: float, *, different: int) -> SimpleNamespace:
    return SimpleNamespace(rows=100, bad=0, least=0, most=most, different=different)


@pytest.mark.parametrize(
    ("found", "names", "classes", "expected"),
    [
        (look(9, different=10), None, None, Labels(10)),
        (look(9.0, different=10), None, 12, Labels(12)),
        (look(1, different=2), ("cat", "dog", "eel"), None, Labels(3, ("cat", "dog", "eel"))),
        (look(1, different=2), ("cat", "dog"), 2, Labels(2, ("cat", "dog"))),
    ],
)
def test_classes_are_those_that_are_asked_for_named_or_there(found, names, classes, expected) -> None:
    assert labels._labels(found, "y", names=names, classes=classes) == expected


@pytest.mark.parametrize(
    ("found", "names", "classes", "error", "words"),
    [
        (look(9, different=9), None, None, SchemaError, "only 9 of these 10 have a row"),
        (look(9, different=10), None, 9, SchemaError, "expected labels of 0 to 8, received 9"),
        (look(3, different=4), ("cat", "dog"), None, SchemaError, "expected labels of 0 to 1, received 3"),
        (look(1, different=2), ("cat", "dog"), 3, ConfigError, "classes is 3, and the metadata of column 'y' name 2"),
        (look(0, different=1), None, None, ConfigError, "expected two classes or more, received 1"),
    ],
)
def test_labels_that_contradict_what_is_known_are_refused(found, names, classes, error, words) -> None:
    with pytest.raises(error, match=words) as caught:
        labels._labels(found, "y", names=names, classes=classes)
    assert isinstance(caught.value, TFSparkError) and caught.value.hint
