"""`Namespace`: what it is made of, how it compares, and that it crosses to a node."""

from __future__ import annotations

import argparse
import copy
import pickle

import pytest

from tfspark_cnn.errors import ConfigError
from tfspark_cnn.tensorflowonspark.namespace import Namespace

ARGS = {"epochs": 3, "name": "a"}


@pytest.mark.parametrize("made_of", [ARGS, argparse.Namespace(**ARGS), Namespace(ARGS)])
def test_it_has_the_arguments_as_attributes(made_of) -> None:
    args = Namespace(made_of)
    assert (args.epochs, args.name, args.argv) == (3, "a", None)
    assert list(args) == ["epochs", "name"] and "epochs" in args and "steps" not in args
    assert args == Namespace(ARGS) != Namespace({"epochs": 4})
    assert repr(args) == "Namespace(epochs=3, name='a')"
    args.epochs = 5
    assert Namespace(made_of).epochs == 3, "a copy"


def test_a_list_is_argv() -> None:
    args = Namespace(["--epochs", "3"])
    assert args.argv == list(args) == ["--epochs", "3"]
    assert args == ["--epochs", "3"] and repr(args) == "['--epochs', '3']" and "--epochs" in args
    assert list(Namespace([])) == [] and Namespace(args) == args


@pytest.mark.parametrize("wrong", ["--epochs 3", 3, None, ("a",)])
def test_it_is_made_of_nothing_else(wrong) -> None:
    with pytest.raises(ConfigError, match=r"expected arguments in a dict, .* received a (str|int|NoneType|tuple)"):
        Namespace(wrong)


def test_an_argument_that_is_not_there_names_those_that_are() -> None:
    with pytest.raises(AttributeError, match="no argument 'epoch': there are epochs, name"):
        _ = Namespace(ARGS).epoch
    assert not hasattr(Namespace(ARGS), "steps")


def test_it_can_be_copied_and_pickled_and_not_hashed() -> None:
    assert pickle.loads(pickle.dumps(Namespace(ARGS))) == copy.copy(Namespace(ARGS)) == Namespace(ARGS)
    with pytest.raises(TypeError):
        hash(Namespace(ARGS))
