"""How a network was trained, in words, and whether it was in vain."""

from __future__ import annotations

import math

from tfspark_cnn.ml.summary import TrainingSummary


def test_the_first_epoch_whose_loss_is_no_number_is_found() -> None:
    assert TrainingSummary({"loss": [2.3, math.inf, math.nan]}).first_epoch_without_a_loss() == 2
    assert TrainingSummary({"loss": [2.3, 1.0]}).first_epoch_without_a_loss() is None
    assert TrainingSummary().first_epoch_without_a_loss() is None
