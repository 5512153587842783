from __future__ import annotations

from typing import Any

import pytest

from tfspark_cnn.cluster.context import NodeContext
from tfspark_cnn.errors import ConfigError


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"on_bad_image": "skpi"}, "an on_bad_image of raise, skip, received 'skpi'\n.*did you mean 'skip'"),
        ({"on_bad_image": None}, "an on_bad_image of raise, skip, received None\n.*skip leaves out the row"),
        ({"augment": 3}, "of \\(x, seed\\) or \\(x, y, seed\\), received 3\n.*def augment"),
        ({"augment": "flp"}, "expected one of flip, .*, received 'flp'\n.*did you mean 'flip'"),
        ({"augment": "flip, mixup:1"}, "mixup mixes labels, whose classes it does not know\n.*Augment\\("),
        ({"augment": lambda x: x}, "augment to be a function of \\(x, seed\\) or \\(x, y, seed\\), received <function"),
    ],
)
def test_what_a_dataset_cannot_do_is_refused_before_it_waits_for_rows(arguments: dict[str, Any], message: str) -> None:
    nobody: Any = object()  # nothing of the node is asked for
    with pytest.raises(ConfigError, match=message):
        NodeContext.dataset(nobody, "image", batch_size=8, **arguments)
