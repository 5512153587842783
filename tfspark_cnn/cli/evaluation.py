"""How well predictions agree with labels: as a table for people, as JSON for programs. Pure.

Example:
    >>> found = evaluated([(0, 0, 8), (0, 1, 2), (1, 1, 10)], names=("cat", "dog"))
    >>> found.accuracy, found.classes[0].mistaken_for
    (0.9, 'dog')
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from tfspark_cnn.errors import EmptyFeedError

if TYPE_CHECKING:
    from rich.table import Table


@dataclass(frozen=True)
class ClassCounts:
    """The rows of one class.

    Attributes:
        label: its number.
        name: of it, or the number.
        rows: that have this label.
        right: of them, those predicted so.
        predicted: rows that were taken for it.
        mistaken_for: the class that its other rows are most often taken for; empty if there are none.
    """

    label: int
    name: str
    rows: int
    right: int
    predicted: int
    mistaken_for: str


@dataclass(frozen=True)
class Evaluation:
    """What came out.

    Attributes:
        rows: in all.
        right: predicted as labelled.
        classes: those with labels or predictions, by number.
    """

    rows: int
    right: int
    classes: tuple[ClassCounts, ...]

    @property
    def accuracy(self) -> float:
        """The part of the rows that were predicted right."""
        return self.right / self.rows

    def as_dict(self) -> dict[str, Any]:
        """Gives plain values, for JSON."""
        return {"accuracy": self.accuracy, **asdict(self)}

    def as_table(self) -> Table:
        """Gives a table to print, a line for each class and one for all."""
        from rich.markup import escape
        from rich.table import Table

        title = f"accuracy {self.accuracy:.4f} ({self.right:,} of {self.rows:,} rows)"
        table = Table(title=title, title_justify="left")
        table.add_column("class")
        for heading in ("rows", "right", "right, %", "predicted"):
            table.add_column(heading, justify="right")
        table.add_column("mostly mistaken for")
        for one in self.classes:
            share = f"{100 * one.right / one.rows:.1f}" if one.rows else ""
            numbers = (f"{one.rows:,}", f"{one.right:,}", share, f"{one.predicted:,}")
            table.add_row(escape(one.name), *numbers, escape(one.mistaken_for))
        return table


def evaluated(counts: Iterable[tuple[int, int, int]], *, names: Sequence[str] | None = None) -> Evaluation:
    """Gives the evaluation.

    Args:
        counts: label, prediction, and the number of rows that have both.
        names: of the classes, by number.

    Raises:
        EmptyFeedError: there are no rows.
    """
    pairs = Counter({(label, predicted): rows for label, predicted, rows in counts})
    if not pairs.total():
        raise EmptyFeedError("the table has no rows to evaluate on", hint="look at the filters and joins that made it")
    labels = sorted({one for pair in pairs for one in pair})
    right = sum(rows for (label, predicted), rows in pairs.items() if label == predicted)
    return Evaluation(pairs.total(), right, tuple(_class(one, pairs, names) for one in labels))


def _class(label: int, pairs: Counter[tuple[int, int]], names: Sequence[str] | None) -> ClassCounts:
    wrong = Counter({other: rows for (of, other), rows in pairs.items() if of == label and other != label})
    return ClassCounts(
        label=label,
        name=_name(label, names),
        rows=sum(rows for (of, _), rows in pairs.items() if of == label),
        right=pairs[label, label],
        predicted=sum(rows for (_, other), rows in pairs.items() if other == label),
        mistaken_for=_name(max(wrong, key=lambda one: (wrong[one], -one)), names) if wrong else "",
    )


def _name(label: int, names: Sequence[str] | None) -> str:
    return names[label] if names is not None and 0 <= label < len(names) else str(label)
