"""What the estimator tells the nodes to train: the one value that travels to them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tfspark_cnn.feed.columns import Column


@dataclass(frozen=True)
class ClassifierTask:
    """A network to train on the fed rows.

    Attributes:
        network: its name.
        parameters: of its function.
        image: the column of images; its shape is the network's input.
        label: the column of labels.
        classes: labels are 0 to `classes - 1`.
        batch_rows: of one node in a step.
        epochs: passes over the rows.
        optimizer: its name.
        learning_rate: the optimizer's.
        precision: as `mixed_float16`.
        seed: of weights and dropout.
        validated: whether there are rows to validate on.
    """

    network: str
    parameters: Mapping[str, Any] = field(repr=False)
    image: Column
    label: Column
    classes: int
    batch_rows: int
    epochs: int
    optimizer: str
    learning_rate: float
    precision: str
    seed: int
    validated: bool
