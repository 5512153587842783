"""Which classes a classifier takes for which: counted in Spark, drawn as a matrix."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tfspark_cnn.errors import ConfigError, EmptyFeedError
from tfspark_cnn.pictures.columns import check, class_names, key

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pyspark.sql import DataFrame

MOST_CLASSES = 1000
MOST_NUMBERS = 30
"""Of more classes the cells have no numbers, and not every row has its name: nobody could read them."""


@dataclass(frozen=True)
class ConfusionMatrix:
    """How many rows of each class were predicted as which.

    Attributes:
        classes: names, in the order of rows and columns.
        counts: by true class, then by prediction.
        left_out: rows whose label or prediction is null.
    """

    classes: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]
    left_out: int = 0

    @property
    def rows(self) -> int:
        """How many rows were counted."""
        return sum(map(sum, self.counts))

    @property
    def accuracy(self) -> float:
        """The part of the rows that were predicted right, 0 to 1."""
        return sum(row[number] for number, row in enumerate(self.counts)) / self.rows

    def recall(self) -> dict[str, float]:
        """Gives the part of the rows of each class that were predicted right; nothing for those without rows."""
        rows = zip(self.classes, self.counts, strict=True)
        return {name: row[number] / sum(row) for number, (name, row) in enumerate(rows) if sum(row)}

    def most_confused(self, k: int = 5) -> list[tuple[str, str, int]]:
        """Gives the `k` most frequent mistakes as `(class, prediction, rows)`."""
        found = [
            (self.classes[one], self.classes[other], count)
            for one, row in enumerate(self.counts)
            for other, count in enumerate(row)
            if one != other and count
        ]
        return sorted(found, key=lambda mistake: -mistake[2])[:k]

    def plot(self) -> Figure:
        """Gives it as a picture: colours are parts of each true class, numbers are rows.

        Raises:
            ConfigError: matplotlib is not installed.
        """
        return _draw(self)


def confusion_matrix(
    scored: DataFrame, label: str = "label", prediction: str = "prediction", *, names: Sequence[str] | None = None
) -> ConfusionMatrix:
    """Counts which classes were predicted as which. Spark counts; no row comes to the driver.

    Args:
        scored: rows with their predictions, as `model.transform` gives.
        label: the column of true classes: numbers or texts.
        prediction: the column of predicted classes.
        names: of the classes 0, 1, ...; None: those that a StringIndexer made, or the values themselves.

    Raises:
        ConfigError: there are over 1,000 classes.
        EmptyFeedError: there are no rows with both.
        SchemaError: there is no such column.

    Example:
        >>> confusion_matrix(model.transform(test)).accuracy                  # doctest: +SKIP
        0.9833
    """
    from pyspark.sql import functions as sf

    columns = check(scored, label, prediction)
    counted = scored.select(columns[0].alias("label"), columns[1].alias("prediction")).groupBy("label", "prediction")
    counts = counted.agg(sf.count("*").alias("rows")).limit(MOST_CLASSES**2 + 1).collect()
    known = {(key(row["label"]), key(row["prediction"])): int(row["rows"]) for row in counts}
    return counted_matrix(known, names=names or class_names(scored, label, prediction))


def counted_matrix(counts: Mapping[tuple[Any, Any], int], *, names: Sequence[str] | None = None) -> ConfusionMatrix:
    """Gives the matrix of counts by class and prediction; either may be None.

    Raises:
        ConfigError: there are over 1,000 classes.
        EmptyFeedError: nothing was counted.
    """
    whole = {pair: rows for pair, rows in counts.items() if None not in pair}
    values = sorted({value for pair in whole for value in pair}, key=lambda value: (isinstance(value, str), value))
    if not values:
        raise EmptyFeedError("there are no rows with a label and a prediction", hint="look at the scored DataFrame")
    if names is not None and all(isinstance(value, int) and 0 <= value < len(names) for value in values):
        values = list(range(len(names)))
    if len(values) > MOST_CLASSES:
        raise ConfigError(
            f"there are {len(values):,} classes, expected {MOST_CLASSES:,} at most", hint="filter some of them"
        )
    titles = [names[value] if names is not None and isinstance(value, int) and 0 <= value < len(names) else str(value)
              for value in values]  # fmt: skip
    rows = tuple(tuple(whole.get((one, other), 0) for other in values) for one in values)
    return ConfusionMatrix(tuple(titles), rows, left_out=sum(counts.values()) - sum(whole.values()))


def _draw(matrix: ConfusionMatrix) -> Figure:
    from tfspark_cnn.pictures.figure import picture

    count = len(matrix.classes)
    side = min(12.0, max(4.0, 1.8 + 0.5 * count))
    figure = picture(side + 0.8, side)
    axes = figure.add_subplot()
    parts = [[value / (sum(row) or 1) for value in row] for row in matrix.counts]
    image = axes.imshow(parts, cmap="Blues", vmin=0, vmax=1)
    figure.colorbar(image, ax=axes, label="part of the class", shrink=0.8)
    every = -(-count // MOST_NUMBERS)
    longest = max(map(len, matrix.classes))
    axes.set_xticks(range(0, count, every), matrix.classes[::every], rotation=90 if longest > 3 else 0)
    axes.set_yticks(range(0, count, every), matrix.classes[::every])
    axes.set_xlabel("predicted")
    axes.set_ylabel("true class")
    axes.set_title(f"{matrix.accuracy:.2%} of {matrix.rows:,} rows right")
    if count <= MOST_NUMBERS:
        _numbers(axes, matrix, parts)
    return figure


def _numbers(axes: Any, matrix: ConfusionMatrix, parts: Sequence[Sequence[float]]) -> None:
    for row, values in enumerate(matrix.counts):
        for column, value in enumerate(values):
            if value:
                colour = "white" if parts[row][column] > 0.5 else "#333333"
                axes.text(column, row, f"{value:,}", ha="center", va="center", color=colour, fontsize="small")
