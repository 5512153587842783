from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace

import numpy as np
import pytest

from tfspark_cnn.errors import ConfigError
from tfspark_cnn.training import named_arrays


@dataclass
class Variable:
    path: str
    value: np.ndarray = field(default_factory=lambda: np.zeros((2, 3), np.float32))

    @property
    def shape(self):
        return self.value.shape

    def numpy(self):
        return self.value

    def assign(self, value):
        self.value = np.asarray(value)


def model(*paths: str, optimizer: tuple[str, ...] = ("sgd/iteration",)) -> SimpleNamespace:
    slots = SimpleNamespace(variables=[Variable(path) for path in optimizer])
    return SimpleNamespace(variables=[Variable(path) for path in paths], optimizer=slots)


def test_what_was_read_is_assigned_back() -> None:
    one, other = model("net/kernel", "net/bias"), model("net/kernel", "net/bias")
    for number, variable in enumerate([*one.variables, *one.optimizer.variables]):
        variable.assign(np.full((2, 3), number))
    named_arrays.assign(other, named_arrays.read(one))
    assert list(named_arrays.read(other)) == ["net/kernel", "net/bias", "sgd/iteration"]
    assert [array[0, 0] for array in named_arrays.read(other).values()] == [0, 1, 2]


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({}, r"missing \['k', 'sgd/iteration'\], unknown \[\]"),
        ({"k": np.zeros((2, 3)), "sgd/iteration": np.zeros((2, 3)), "x": 1}, r"unknown \['x'\]"),
        ({"k": np.zeros((3, 2)), "sgd/iteration": np.zeros((2, 3))}, r"of another shape \['k \(3, 2\) for \(2, 3\)'\]"),
    ],
)
def test_arrays_of_another_model_are_refused_whole(arrays: dict, words: str) -> None:
    mine = model("k")
    before = mine.variables[0].value
    with pytest.raises(ConfigError, match=words):
        named_arrays.assign(mine, arrays)
    assert mine.variables[0].value is before


def test_two_variables_of_one_name_are_refused() -> None:
    with pytest.raises(ConfigError, match="two variables of the model are called k"):
        named_arrays.read(model("k", "k"))
