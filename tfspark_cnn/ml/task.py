"""What the estimator tells the nodes to train: the one value that travels to them."""

from __future__ import annotations

from dataclasses import dataclass

from tfspark_cnn.config import ModelConfig, TrainConfig
from tfspark_cnn.feed.columns import Column


@dataclass(frozen=True)
class ClassifierTask:
    """A network to train on the fed rows.

    Attributes:
        model: the network.
        train: how it is trained.
        image: the column of images; its shape is the network's input.
        label: the column of labels.
        classes: labels are 0 to `classes - 1`.
        validated: whether there are rows to validate on.
    """

    model: ModelConfig
    train: TrainConfig
    image: Column
    label: Column
    classes: int
    validated: bool
