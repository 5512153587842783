"""What a checkpoint is of, and what differs."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tfspark_cnn.checkpoints.identity import CURE, Identity, Variable, check_same, difference, plain_path
from tfspark_cnn.errors import CheckpointError

KERNEL = Variable("dense/kernel", (784, 10), "float32")
BIAS = Variable("dense/bias", (10,), "float32")
SLOT = Variable("adam/momentum", (784, 10), "float32")
FIELDS: dict[str, Any] = {
    "variables": (KERNEL, BIAS),
    "optimizer": "Adam",
    "optimizer_variables": (SLOT,),
    "num_workers": 2,
    "batch_sizes": {"train": 64},
    "seed": 1,
    "columns": {"features": ["image"], "label": "label"},
    "rows": 1000,
    "partitions": 4,
    "digest": "a1b2",
}


def identity(**changes: Any) -> dict[str, Any]:
    return Identity(**(FIELDS | changes)).to_json()


def test_the_same_differs_in_nothing_also_after_json() -> None:
    assert difference(json.loads(json.dumps(identity())), identity()) is None
    check_same(identity(), identity())


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {"variables": (KERNEL, Variable("dense/bias", (20,), "float32"))},
            "another model: variable 2 (dense/bias) was float32[10], is float32[20]",
        ),
        (
            {"variables": (Variable("dense/kernel", (784, 10), "float16"), BIAS)},
            "another model: variable 1 (dense/kernel) was float32[784, 10], is float16[784, 10]",
        ),
        (
            {"variables": (BIAS, KERNEL)},
            "another model: variable 1 was dense/kernel float32[784, 10], is dense/bias float32[10]",
        ),
        ({"variables": (KERNEL,)}, "another model: it had 2 variables, now there are 1"),
        ({"variables": (KERNEL, BIAS, BIAS)}, "another model: it had 2 variables, now there are 3"),
        ({"optimizer": "SGD"}, "another optimizer: the optimizer was Adam, now SGD"),
        ({"optimizer_variables": ()}, "another optimizer: it had 1 variables, now there are 0"),
        (
            {"optimizer_variables": (Variable("adam/momentum", (1,), "float32"),)},
            "another optimizer: its variable 1 (adam/momentum) was float32[784, 10], is float32[1]",
        ),
        ({"num_workers": 3}, "another training: the number of workers was 2, now 3"),
        ({"batch_sizes": {"train": 32}}, 'another training: the batch sizes were {"train": 64}, now {"train": 32}'),
        ({"seed": 2}, "another training: the seed was 1, now 2"),
        ({"rows": 999}, "other data: the number of rows was 1000, now 999"),
        ({"partitions": 5}, "other data: the number of partitions was 4, now 5"),
        ({"digest": "c3d4"}, "other data: the digest of its first rows was a1b2, now c3d4"),
        ({"columns": {"features": ["x"]}}, "other data: the columns were"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_what_differs_is_named(changes: dict[str, Any], sentence: str) -> None:
    found = difference(identity(), identity(**changes))
    assert found is not None
    assert found.startswith(f"the checkpoint is of {sentence}")


def test_the_model_is_named_before_the_data() -> None:
    found = difference(identity(), identity(rows=1, variables=()))
    assert found == "the checkpoint is of another model: it had 2 variables, now there are 0"


@pytest.mark.parametrize("name", FIELDS)
def test_what_only_one_knows_is_not_compared(name: str) -> None:
    assert difference(identity(**{name: None}), identity()) is None
    assert difference(identity(), identity(**{name: None})) is None


def test_an_unknown_field_of_a_later_version_is_not_compared() -> None:
    assert difference(identity() | {"weather": "rain"}, identity()) is None


def test_a_difference_is_an_error_with_the_cure() -> None:
    with pytest.raises(CheckpointError, match="the seed was 1, now 2") as caught:
        check_same(identity(), identity(seed=2))
    assert caught.value.hint == CURE


@pytest.mark.parametrize(
    ("path", "plain"),
    [
        ("sequential_3/conv2d_12/kernel", "sequential/conv2d/kernel"),
        ("dense/kernel", "dense/kernel"),
        ("block_2a/conv_1", "block_2a/conv"),
        ("adam/sequential_1_dense_2_kernel_momentum", "adam/sequential_dense_kernel_momentum"),
    ],
)
def test_numbers_that_count_models_made_before_are_no_part_of_a_path(path: str, plain: str) -> None:
    assert plain_path(path) == plain
