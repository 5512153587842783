"""Values that become pixels to look at."""

from __future__ import annotations

import numpy as np
import pytest

from tfspark_cnn.training.sample_images import FirstBatch, shown


@pytest.mark.parametrize(
    ("values", "pixels"),
    [
        (np.array([0, 7, 255], np.uint8), [0, 7, 255]),
        (np.array([0.0, 0.5, 1.0], np.float32), [0, 127, 255]),
        (np.array([0.25, 0.5], np.float16), [63, 127]),
        (np.array([-1.0, 0.0, 3.0]), [0, 63, 255]),
        (np.array([0, 1], np.int64), [0, 255]),
        (np.array([5.0, 5.0]), [0, 0]),
        (np.zeros((0, 2)), []),
    ],
)
def test_numbers_are_shown_as_what_they_mean(values: np.ndarray, pixels: list[int]) -> None:
    assert shown(values).dtype == np.uint8
    assert shown(values).tolist() == pixels


def test_only_the_first_step_is_kept_and_only_if_it_is_wanted() -> None:
    first = FirstBatch()
    block = (np.arange(12).reshape(2, 3, 2),)
    first.offer(block, lambda *values: values)
    assert first._element is None, "nobody has asked"
    first.wanted = 2
    first.offer(block, lambda *values: values)
    first.offer((np.zeros((1, 3, 2)),), lambda *values: values)
    assert [one.tolist() for one in first._values] == [[[0, 1], [2, 3], [4, 5]]]
