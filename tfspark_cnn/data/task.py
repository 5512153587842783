"""What the driver tells the nodes to train: the one value that travels from the command line to the job."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tfspark_cnn.config import Config


@dataclass(frozen=True, eq=False)
class ClassificationTask:
    """A network to train on the fed rows, and the rows it is judged by.

    Attributes:
        config: the whole configuration of the run.
        image_shape: `(height, width, channels)` of column `image`.
        classes: labels are 0 to `classes - 1`.
        test_images: `float32[rows, height, width, channels]`, or the bytes of files; they travel with the task because
            only one node evaluates, and a second feed would have to keep all nodes in step.
        test_labels: `int64[rows]`.
        steps: of an epoch, where the learning rate has a schedule.
        encoding: of column `image`, and of the held-out rows: `raw` for values, else of files.
    """

    config: Config
    image_shape: tuple[int, int, int]
    classes: int
    test_images: npt.NDArray[np.float32] | Sequence[bytes]
    test_labels: npt.NDArray[np.int64]
    steps: int | None = None
    encoding: str = "raw"
