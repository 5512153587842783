"""The training that both sides do: the rows, the network, what a node leaves behind. Imports neither of the packages.

The network is the small CNN of `conf/digits.toml`, of the layers of either Keras. TensorFlow is imported on nodes only.
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

SHAPE = (8, 8, 1)
CLASSES = 10
EPOCHS = 8
BATCH_ROWS = 32
"""Of a node in a step: the global batch is this times the nodes."""

LEARNING_RATE = 0.002
LEAST_RIGHT = 0.95
"""The part of the held-out rows that both sides must get right, or their times do not compare."""

TEST_FRACTION = 0.2
KNOWN, KILLED = "known", "killed"

Rows = tuple[NDArray[np.float32], NDArray[np.int64]]
"""Images `float32[rows, 64]` between 0 and 1, and labels `int64[rows]`."""


def digits() -> tuple[Rows, Rows]:
    """Gives the training rows and the held-out rows of scikit-learn's digits, the same on both sides."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    images, labels = load_digits(return_X_y=True)
    scaled = (images / images.max()).astype(np.float32)
    parts = train_test_split(
        scaled, labels.astype(np.int64), test_size=TEST_FRACTION, random_state=0, stratify=labels
    )  # fmt: skip
    return (parts[0], parts[2]), (parts[1], parts[3])


def network(keras: Any) -> Any:
    """Gives the network, compiled; call it under the scope of the strategy.

    Args:
        keras: `keras` or `tf_keras`.
    """
    keras.utils.set_random_seed(0)
    layers = keras.layers
    made = keras.Sequential(
        [
            layers.Input(SHAPE),
            layers.Conv2D(32, 3, padding="same", activation="relu"),
            layers.Conv2D(64, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(2),
            layers.Dropout(0.25),
            layers.Flatten(),
            layers.Dense(128, activation="relu"),
            layers.Dropout(0.5),
            layers.Dense(CLASSES, activation="softmax"),
        ]
    )
    made.compile(keras.optimizers.Adam(LEARNING_RATE), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return made


@dataclass(frozen=True)
class Training:
    """What a node needs beside its feed.

    Attributes:
        directory: on this host, for what nodes leave behind.
        rows: of an epoch, of all nodes together.
        held_out: the rows that the chief scores when training has ended.
        kill_at: the step after which the process of the worker is killed; None: it is not.
    """

    directory: Path
    rows: int
    held_out: Rows
    kill_at: int | None = None

    def callback(self, keras: Any, role: str) -> Any:
        """Gives the callback that kills the process of the worker.

        Args:
            keras: `keras` or `tf_keras`.
            role: of this node.
        """
        steps: list[int] = []

        def ended(batch: int, logs: Any = None) -> None:
            steps.append(batch)
            if len(steps) == self.kill_at and role == "worker":
                leave(self.directory, KILLED)
                os.kill(os.getpid(), signal.SIGKILL)

        return keras.callbacks.LambdaCallback(on_train_batch_end=ended)

    def score(self, keras: Any, weights: list[Any]) -> None:
        """Scores the held-out rows by a network with these weights, which is this process's alone; leaves the result.

        Args:
            keras: `keras` or `tf_keras`.
            weights: as `get_weights` gave them.
        """
        images, labels = self.held_out
        scorer = network(keras)
        scorer.set_weights(weights)
        scores = np.asarray(scorer(images.reshape(-1, *SHAPE), training=False))
        leave(self.directory, KNOWN, right=float((scores.argmax(axis=1) == labels).mean()))


def leave(directory: Path, name: str, **what: Any) -> None:
    """Leaves a moment, and what there is to say of it."""
    written = directory / f"{name}.new"
    written.write_text(json.dumps({"at": time.time(), **what}), encoding="utf-8")
    written.rename(directory / name)


def left(directory: Path, name: str) -> dict[str, Any]:
    """Gives what a node left."""
    found: dict[str, Any] = json.loads((directory / name).read_text(encoding="utf-8"))
    return found


@dataclass(frozen=True)
class Trained:
    """A training that came to its end.

    Attributes:
        known_s: from the call of `run` until the chief had scored the held-out rows.
        ended_s: from the call of `run` until `shutdown` had returned.
        right: the part of the held-out rows that it got right.
    """

    known_s: float
    ended_s: float
    right: float

    @classmethod
    def of(cls, directory: Path, live: Callable[[], object]) -> Trained:
        """Lives the life of a cluster that trains.

        Args:
            directory: of its `Training`.
            live: runs, trains and shuts down.

        Raises:
            ValueError: fewer of the held-out rows are right than must be.
        """
        began = time.time()
        live()
        ended = time.time()
        known = left(directory, KNOWN)
        if known["right"] < LEAST_RIGHT:
            raise ValueError(f"expected {LEAST_RIGHT:g} of the held-out rows right at least, received {known['right']}")
        return cls(known["at"] - began, ended - began, known["right"])


def steps_of(rows: int, *, nodes: int, part: float = 1.0) -> int:
    """Gives the whole steps of an epoch.

    Args:
        rows: of the epoch.
        nodes: that take a batch each in a step.
        part: of the rows that are taken.

    Example:
        >>> steps_of(1437, nodes=2), steps_of(1437, nodes=2, part=0.9)
        (22, 20)
    """
    return int(rows * part / (BATCH_ROWS * nodes))


def middle(rows: int, *, nodes: int) -> int:
    """Gives the step in the middle of the training, after which a worker is killed."""
    return EPOCHS * steps_of(rows, nodes=nodes) // 2
