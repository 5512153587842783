"""The variables of all nodes are compared with the chief's: kinds, names but for their numbers, and their order."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfspark_cnn.cluster.variable_order import Difference, VariableOrder

KERNEL = "float32[4, 3]"


def order_of(chiefs, its):
    """Gives the difference that is found between the names, or (name, kind), of the chief and of node 1."""
    order = VariableOrder(0)
    found = [order.add(node, 0, [(n, KERNEL) if isinstance(n, str) else n for n in names])
             for node, names in enumerate((chiefs, its))]  # fmt: skip
    return found[1]


@pytest.mark.parametrize(
    ("chiefs", "its"),
    [
        (["dense/kernel", "dense/bias"], ["dense/kernel", "dense/bias"]),
        (["dense/kernel", "dense_1/kernel"], ["dense_3/kernel", "dense_5/kernel"]),
        (["sequential/dense/kernel"], ["sequential_1/dense_2/kernel"]),
        (["adam/dense_1_kernel_momentum"], ["adam_1/dense_kernel_momentum"]),
        (["dense_1/kernel", "dense/kernel"], ["dense_4/kernel", "dense_2/kernel"]),
        (["block_1_conv_2/kernel", "block_1_conv/kernel"], ["block_1_conv_9/kernel", "block_1_conv_7/kernel"]),
        (["a/kernel", "b/kernel"], ["a/kernel"]),
    ],
)
def test_names_that_differ_in_their_numbers_alone_are_the_same(chiefs, its):
    assert order_of(chiefs, its) is None
    assert order_of(its, chiefs) is None


@pytest.mark.parametrize(
    ("chiefs", "its", "place"),
    [
        (["a/kernel", "b/kernel"], ["b/kernel", "a/kernel"], 1),
        (["block_1/kernel", "block_2/kernel"], ["block_2/kernel", "block_1/kernel"], 2),
        (["dense/kernel", "dense/bias"], ["dense/kernel", ("dense/bias", "float32[3]")], 2),
        (["dense/kernel"], [("dense/kernel", "float16[4, 3]")], 1),
        (["dense/kernel"], ["sequential/dense/kernel"], 1),
        (["sgd/iteration", "sgd/dense_kernel_momentum"], ["sgd/iteration", "adam/dense_kernel_momentum"], 2),
    ],
)
def test_the_first_difference_is_given(chiefs, its, place):
    found = order_of(chiefs, its)
    assert found is not None and (found.node, found.place) == (1, place)


def test_a_difference_is_found_whoever_tells_first():
    order = VariableOrder(2)
    assert order.add(0, 0, [["a/kernel", "float32[1]"]]) is None
    assert order.add(1, 0, [["a/kernel", "float32[2]"]]) is None, "the chief has said nothing yet"
    found = order.add(2, 0, [["a/kernel", "float32[2]"]])
    assert found == Difference(0, 1, ("a/kernel", "float32[1]"), ("a/kernel", "float32[2]"))


@given(st.integers(1, 40), st.integers(1, 7), st.randoms())
def test_messages_in_any_order_and_said_twice_add_up(count, chunk, shuffle: random.Random):
    made = [[f"layer_{number}/kernel", f"float32[{number}]"] for number in range(count)]
    messages = [(first, made[first:stop]) for first in range(0, count, chunk)
                for stop in range(first + 1, min(first + chunk, count) + 1)]  # fmt: skip
    shuffle.shuffle(messages)
    order = VariableOrder(0)
    assert all(order.add(0, first, variables) is None for first, variables in messages)
    assert order.made[0] == [tuple(one) for one in made]
