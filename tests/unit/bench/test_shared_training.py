from __future__ import annotations

import signal
from types import SimpleNamespace

import numpy as np
import pytest

from bench import shared_training
from bench.ancestor_training import NAMED, Told, outcome, ratios, table
from bench.shared_training import KILLED, KNOWN, Trained, Training, digits, leave, left, middle, steps_of

NOTHING = np.zeros((1, 64), np.float32), np.zeros(1, np.int64)


class LambdaCallback:
    """Keras' own, without Keras."""

    def __init__(self, on_train_batch_end) -> None:
        self.on_train_batch_end = on_train_batch_end


KERAS = SimpleNamespace(callbacks=SimpleNamespace(LambdaCallback=LambdaCallback))


@pytest.fixture
def killed(monkeypatch):
    signals: list[int] = []
    monkeypatch.setattr(shared_training.os, "kill", lambda pid, number: signals.append(number))
    return signals


def test_rows_are_the_same_each_time_and_none_is_both_trained_on_and_held_out():
    (images, labels), (held_images, held_labels) = digits()
    assert (len(labels), len(held_labels)) == (1437, 360)
    assert images.shape == (1437, 64) and images.dtype == np.float32 and images.max() == 1.0
    assert np.array_equal(digits()[1][0], held_images)
    assert np.bincount(held_labels).min() > 30


def test_the_rows_as_a_table():
    made = table((np.arange(128, dtype=np.float32).reshape(2, 64), np.array([7, 8])))
    assert made["image"].to_pylist()[1] == [float(value) for value in range(64, 128)]
    assert made["label"].to_pylist() == [7, 8]


def test_steps_of_an_epoch_and_the_middle_of_all():
    assert steps_of(1437, nodes=2) == 22
    assert steps_of(1437, nodes=2, part=0.9) == 20
    assert middle(1437, nodes=2) == 88


@pytest.mark.parametrize(
    ("role", "kill_at", "dies"), [("worker", 2, True), ("chief", 2, False), ("worker", None, False)]
)
def test_only_the_worker_is_killed_and_only_when_it_is_to_be(tmp_path, killed, role, kill_at, dies):
    ended = Training(tmp_path, 1437, NOTHING, kill_at).callback(KERAS, role).on_train_batch_end
    ended(0)
    assert killed == []
    ended(1)
    assert killed == ([signal.SIGKILL] if dies else [])
    assert (tmp_path / KILLED).exists() is dies


def test_a_training_is_timed_from_its_beginning_to_what_the_chief_left(tmp_path):
    trained = Trained.of(tmp_path, lambda: leave(tmp_path, KNOWN, right=0.97))
    assert 0 <= trained.known_s <= trained.ended_s < 5
    assert trained.right == left(tmp_path, KNOWN)["right"] == 0.97


def test_a_training_that_has_not_learnt_is_no_figure(tmp_path):
    with pytest.raises(ValueError, match=r"expected 0.95 of the held-out rows right at least, received 0.9"):
        Trained.of(tmp_path, lambda: leave(tmp_path, KNOWN, right=0.9))


@pytest.mark.parametrize(
    ("errors", "said"),
    [
        ((None, None), "nothing was told within 20 s"),
        (("Exception: Timeout", None), "nothing was told within 20 s in 1 of 2 rounds"),
        (("Exception: Timeout", "Exception: Timeout"), "`train` raises"),
    ],
)
def test_what_the_driver_of_the_ancestor_was_told(errors, said):
    assert outcome([Told(9.0, 5.0 if error else 20.0, error) for error in errors]) == said


def test_a_killed_worker_costs_the_ancestor_all_until_then_and_the_whole_run():
    trained = {"ours": [Trained(10.0, 11.0, 0.98)], "theirs": [Trained(20.0, 26.0, 0.96)]}
    known, ended, right, whole, cost = ratios(trained, [Trained(18.0, 19.0, 0.97)], [Told(14.0, 20.0, None)])
    assert (known.ours, known.theirs) == ([10.0], [20.0])
    assert (ended.ours, ended.theirs) == ([11.0], [26.0])
    assert (right.ours, right.theirs) == ([0.98], [0.96])
    assert (whole.ours, whole.theirs) == ([19.0], [60.0])
    assert (cost.ours, cost.theirs) == ([8.0], [34.0])
    assert cost.against == f"{NAMED}: nothing was told within 20 s, then the whole run anew"
