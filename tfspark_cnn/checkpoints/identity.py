"""What a checkpoint was made of, to be compared when it is resumed from. Pure.

Example:
    >>> then = Identity(variables=(Variable("dense/kernel", (784, 10), "float32"),))
    >>> now = Identity(variables=(Variable("dense/kernel", (784, 20), "float32"),))
    >>> difference(then.to_json(), now.to_json())
    'the checkpoint is of another model: variable 1 (dense/kernel) was float32[784, 10], is float32[784, 20]'
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import zip_longest
from typing import Any

from tfspark_cnn.errors import CheckpointError

CURE = "use another model_dir, or delete its checkpoints folder"

_AUTO_NUMBER = re.compile(r"_\d+(?=[/_]|$)")

_WORDS = {
    "optimizer": ("another optimizer", "the optimizer was"),
    "num_workers": ("another training", "the number of workers was"),
    "batch_sizes": ("another training", "the batch sizes were"),
    "seed": ("another training", "the seed was"),
    "columns": ("other data", "the columns were"),
    "rows": ("other data", "the number of rows was"),
    "partitions": ("other data", "the number of partitions was"),
    "digest": ("other data", "the digest of its first rows was"),
}
"""What is compared after the variables, in this order: what it would make of the checkpoint, and how to say it."""


@dataclass(frozen=True)
class Variable:
    """One variable of a model or an optimizer, as `float32[784, 10]` at `dense/kernel`."""

    path: str
    shape: tuple[int, ...]
    dtype: str


@dataclass(frozen=True)
class Identity:
    """The model, the training and the data of a run. None: not known, and not compared.

    Attributes:
        variables: of the model, in their order.
        optimizer: name of its class.
        optimizer_variables: in their order.
        num_workers: that share each global step.
        batch_sizes: rows per node, by name of the dataset.
        seed: of shuffling and of the model.
        columns: what the model is fed with, as JSON.
        rows: of the training data.
        partitions: of the training data.
        digest: of its first rows.
    """

    variables: tuple[Variable, ...] | None = None
    optimizer: str | None = None
    optimizer_variables: tuple[Variable, ...] | None = None
    num_workers: int | None = None
    batch_sizes: Mapping[str, int] | None = None
    seed: int | None = None
    columns: Any = None
    rows: int | None = None
    partitions: int | None = None
    digest: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Gives what goes into a checkpoint's meta."""
        fields: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return {name: value for name, value in fields.items() if value is not None}


def plain_path(path: str) -> str:
    """Gives the path of a variable without the numbers that Keras adds, which count the models made before.

    Example:
        >>> plain_path("sequential_3/conv2d_12/kernel")
        'sequential/conv2d/kernel'
    """
    return _AUTO_NUMBER.sub("", path)


def difference(then: Mapping[str, Any], now: Mapping[str, Any]) -> str | None:
    """Says what differs first between two identities as JSON, or gives None where nothing does.

    What only one of them knows is not compared.
    """
    return next(_differences(_as_json(then), _as_json(now)), None)


def check_same(then: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Raises CheckpointError, with the cure, where a checkpoint is of another model, training or data."""
    found = difference(then, now)
    if found is not None:
        raise CheckpointError(found, hint=CURE)


def _differences(then: dict[str, Any], now: dict[str, Any]) -> Iterator[str]:
    known = [name for name in then if then[name] is not None and now.get(name) is not None]
    if "variables" in known:
        yield from _of_variables("model", "variable", then["variables"], now["variables"])
    for name, (kind, words) in _WORDS.items():
        if name in known and then[name] != now[name]:
            yield f"the checkpoint is of {kind}: {words} {_text(then[name])}, now {_text(now[name])}"
        if name == "optimizer" and "optimizer_variables" in known:
            was, has = then["optimizer_variables"], now["optimizer_variables"]
            yield from _of_variables("optimizer", "its variable", was, has)


def _of_variables(kind: str, noun: str, then: Sequence[Any], now: Sequence[Any]) -> Iterator[str]:
    for number, (was, has) in enumerate(zip_longest(then, now), 1):
        if was is None or has is None:
            yield f"the checkpoint is of another {kind}: it had {len(then)} variables, now there are {len(now)}"
        elif was["path"] != has["path"]:
            yield f"the checkpoint is of another {kind}: {noun} {number} was {_full(was)}, is {_full(has)}"
        elif was != has:
            place = f"{noun} {number} ({was['path']})"
            yield f"the checkpoint is of another {kind}: {place} was {_typed(was)}, is {_typed(has)}"


def _typed(variable: Mapping[str, Any]) -> str:
    return f"{variable['dtype']}{variable['shape']}"


def _full(variable: Mapping[str, Any]) -> str:
    return f"{variable['path']} {_typed(variable)}"


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _as_json(fields: Mapping[str, Any]) -> dict[str, Any]:
    """As it would come back from a checkpoint: tuples are lists there."""
    plain: dict[str, Any] = json.loads(json.dumps(dict(fields)))
    return plain
