"""What an estimator tells the nodes to train: the one value that travels to them."""

from __future__ import annotations

from dataclasses import dataclass, replace

from tfspark_cnn.config import ModelConfig, TrainConfig
from tfspark_cnn.feed.columns import Column


@dataclass(frozen=True)
class TrainingTask:
    """A network to train on the fed rows.

    Attributes:
        model: the network.
        train: how it is trained.
        image: the column of images; its shape is the network's input.
        label: the column of labels.
        classes: labels are 0 to `classes - 1`; None: they are numbers to come near to.
        validated: whether there are rows to validate on.
        steps: of an epoch, where the learning rate has a schedule.
    """

    model: ModelConfig
    train: TrainConfig
    image: Column
    label: Column
    classes: int | None
    validated: bool
    steps: int | None = None

    def for_rows(self, rows: int, *, sharing_a_step: int) -> TrainingTask:
        """Gives the task with the steps that so many rows are.

        Args:
            rows: to train on.
            sharing_a_step: how many nodes take a step together.
        """
        return replace(self, steps=self.train.steps(rows, sharing=sharing_a_step))
