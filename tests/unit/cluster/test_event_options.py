"""What is written for TensorBoard, and how often."""

from __future__ import annotations

from typing import Any

import pytest

from tfspark_cnn.cluster.event_options import EventOptions, next_point_s
from tfspark_cnn.errors import ConfigError


@pytest.mark.parametrize(
    ("profile", "steps"),
    [(None, None), ("", None), (0, None), (7, (7, 7)), ((10, 20), (10, 20)), ("10,20", (10, 20)), (" 3 ", (3, 3))],
)
def test_the_steps_to_trace_are_one_or_two_numbers(profile: Any, steps: tuple[int, int] | None) -> None:
    assert EventOptions.of(0, profile) == EventOptions(0, steps)


@pytest.mark.parametrize("profile", ["ten", (20, 10), (1, 2, 3), -1, "0,5", {}, object()])
def test_steps_that_cannot_be_traced_are_refused(profile: Any) -> None:
    with pytest.raises(ConfigError, match="expected the first and the last step to trace"):
        EventOptions.of(0, profile)


@pytest.mark.parametrize("images", [-1, 101, 2.0, True, "9"])
def test_a_number_of_images_that_is_none_is_refused(images: Any) -> None:
    with pytest.raises(ConfigError, match="expected 0 to 100"):
        EventOptions.of(images)


def test_a_day_of_training_has_a_bounded_number_of_points() -> None:
    now_s, points = 0.0, 0
    while now_s < 24 * 3600:
        now_s, points = next_point_s(0.0, now_s), points + 1
    assert 1000 < points < 8000
