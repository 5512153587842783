from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from tfspark_cnn.cluster.context import NodeContext
from tfspark_cnn.cluster.strategy_options import Communication, GradientFormat, StrategyOptions
from tfspark_cnn.config import Precision
from tfspark_cnn.errors import ConfigError


def test_plain_strings_are_choices() -> None:
    options = StrategyOptions("mixed_bfloat16", "ring", 1 << 20, "bfloat16")
    assert options.precision is Precision.MIXED_BFLOAT16
    assert options.communication is Communication.RING
    assert options.gradients is GradientFormat.BFLOAT16
    assert options.pack_bytes == 1 << 20


def test_nothing_is_rounded_unless_asked_for() -> None:
    assert StrategyOptions() == StrategyOptions(None, "auto", 8 << 20, "float32")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"precision": "mixed_bfloat61"},
            "a precision of float32, mixed_bfloat16, mixed_float16, received 'mixed_bfloat61'\n.*mean 'mixed_bfloat16'",
        ),
        ({"communication": "NCLC"}, "a communication of auto, ring, nccl, received 'NCLC'\n.*did you mean 'nccl'"),
        ({"gradients": "float16"}, "gradients of float32, bfloat16, received 'float16'\n"),
        ({"gradients": "half"}, "gradients of float32, bfloat16, received 'half'\n.*use float32"),
        ({"pack_bytes": 0}, "pack_bytes of 1 or more, received 0\n.*leave it out"),
        ({"pack_bytes": None}, "pack_bytes of 1 or more, received None"),
        ({"pack_bytes": 1.5}, "pack_bytes of 1 or more, received 1.5"),
        ({"pack_bytes": True}, "pack_bytes of 1 or more, received True"),
    ],
)
def test_what_is_no_choice_is_refused_with_what_was_meant(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        StrategyOptions(**arguments)


def test_nccl_needs_gpus() -> None:
    options = StrategyOptions(communication="nccl")
    assert options.checked_for(1) is options
    with pytest.raises(ConfigError, match="GPUs with communication='nccl', received a node without any\n.*use auto"):
        options.checked_for(0)


def _node(**more: Any) -> Any:
    made: list[StrategyOptions] = []

    def joined(options: StrategyOptions) -> str:
        made.append(options)
        return "the strategy"

    synchronous = SimpleNamespace(topology=SimpleNamespace(asynchronous=False))
    state = {"_plan": synchronous, "job_name": "worker", "task_index": 1, "gpus": ()}
    state |= {"_strategy": None, "_strategy_options": None}
    return SimpleNamespace(**state | {"_joined": joined, "made": made} | more)


def test_later_calls_need_no_options_and_give_the_same_strategy() -> None:
    node = _node()
    for arguments in ({"precision": "mixed_bfloat16"}, {}, {"precision": "mixed_bfloat16"}):
        assert NodeContext.strategy(node, **arguments) == "the strategy"
    assert node.made == [StrategyOptions("mixed_bfloat16")]


def test_other_options_for_a_strategy_that_is_made_are_refused() -> None:
    node = _node()
    NodeContext.strategy(node)
    with pytest.raises(ConfigError, match="ctx.strategy was made with .*\n.*in the first call"):
        NodeContext.strategy(node, gradients="bfloat16")


def test_a_node_that_does_not_train_has_no_strategy() -> None:
    with pytest.raises(ConfigError, match="ps:1 asked for a training strategy"):
        NodeContext.strategy(_node(job_name="ps"))
