"""What a scorer does before and after TensorFlow: rows that cannot be read, and scores as Arrow rows."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from tfspark_cnn.errors import SchemaError
from tfspark_cnn.feed.columns import Column
from tfspark_cnn.ml.scoring import Scorer, as_lists


def test_scores_of_several_batches_become_rows_of_one_array() -> None:
    parts = [np.arange(6, dtype=np.float32).reshape(2, 3), np.full((1, 3), 7, np.float32)]
    assert as_lists(parts).to_pylist() == [[0, 1, 2], [3, 4, 5], [7, 7, 7]]
    assert as_lists([]).type == pa.list_(pa.float32()) and len(as_lists([])) == 0


@pytest.mark.parametrize(
    ("rows", "words"),
    [([[1.0, 2.0, 3.0, 4.0], None], "row 1"), ([[1.0, 2.0, 3.0, 4.0], [1.0]], "row 1"), ([[]], "row 0")],
)
def test_rows_that_cannot_be_read_are_named_before_tensorflow_is_imported(rows: list, words: str) -> None:
    scorer = Scorer(None, "", Column("image", shape=(2, 2, 1), dtype="float32"), batch_rows=8)
    with pytest.raises(SchemaError, match=f"column 'image'.*{words}"):
        list(scorer([pa.array(rows, pa.list_(pa.float32()))]))
