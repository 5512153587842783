"""map_fun on a node of TensorFlowOnSpark, on values."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from pyspark.sql import Row

from tfspark_cnn.cluster.ancestor_context import AncestorContext, AncestorProgram
from tfspark_cnn.cluster.ancestor_errors import said
from tfspark_cnn.cluster.context import NodeContext
from tfspark_cnn.errors import ConfigError, SchemaError

QUEUES = ("input", "output", "error")


@dataclass
class Feed:
    """As its DataFeed."""

    rows: list[Any]
    train_mode: bool = True
    results: list[Any] = field(default_factory=list)

    def next_batch(self, size: int) -> list[Any]:
        taken, self.rows = self.rows[:size], self.rows[size:]
        return taken

    def should_stop(self) -> bool:
        return not self.rows

    def batch_results(self, results: Any) -> None:
        self.results += results

    def terminate(self) -> None:
        self.rows = []


@dataclass
class Theirs:
    """As its TFNodeContext."""

    executor_id: int = 1
    job_name: str = "worker"
    task_index: int = 0
    cluster_spec: dict[str, list[str]] = field(default_factory=lambda: {"chief": ["a:1"], "worker": ["b:1"]})
    num_workers: int = 2
    defaultFS: str = "file://"
    working_dir: str = "/home/ada"
    tmp_socket: Any = None
    feed: Feed = field(default_factory=lambda: Feed([(1, 2), (3, 4)]))

    def get_data_feed(self, *names: Any) -> Feed:
        return self.feed

    def absolute_path(self, path: str) -> str:
        return f"file:///{path}"


def context(**theirs: Any) -> AncestorContext:
    return AncestorContext(Theirs(**theirs), queues=QUEUES, log_dir="logs")


def test_what_it_knows_is_given_by_our_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,2")
    ctx = context()
    assert (ctx.executor_id, ctx.worker_num, ctx.job_name, ctx.task_index, ctx.num_workers) == (1, 1, "worker", 0, 2)
    assert (ctx.attempt, ctx.log_dir, ctx.model_dir, ctx.gpus) == (1, "logs", None, ("0", "2"))
    assert ctx.absolute_path("x") == "file:///x" and ctx.release_port() is None  # type: ignore[func-returns-value]


@pytest.mark.parametrize(
    ("node", "spec", "leads"),
    [(("chief", 0), ("chief", "worker"), True), (("worker", 0), ("chief", "worker"), False),
     (("worker", 0), ("worker",), True), (("worker", 1), ("worker",), False), (("evaluator", 0), ("worker",), False)],
)  # fmt: skip
def test_the_chief_leads_or_the_first_worker(node: tuple[str, int], spec: tuple[str, ...], leads: bool) -> None:
    assert context(job_name=node[0], task_index=node[1], cluster_spec=dict.fromkeys(spec, [])).is_chief is leads


@pytest.mark.parametrize("name", ["dataset", "stream", "callbacks", "report", "barrier", "parameter_servers"])
def test_what_it_cannot_give_is_an_error_that_says_what_to_do(name: str) -> None:
    with pytest.raises(ConfigError, match=f"engine='tensorflowonspark' has no ctx.{name}") as caught:
        getattr(context(), name)
    assert "or run with engine='native'" in (caught.value.hint or "")


INTERNAL = {"finish", "leave", "rest", "mend_keras", "when_training_ends", "reserved_socket"}
"""Called by this package alone."""


def test_each_member_of_our_context_is_given_or_refused() -> None:
    ours = {name for name in vars(NodeContext) if not name.startswith("_")} - INTERNAL
    given = {name for name in ours if name in vars(AncestorContext)}
    refused = ours - given
    assert {"get_data_feed", "strategy", "absolute_path", "release_port"} == given
    for name in refused:
        with pytest.raises(ConfigError):
            getattr(context(), name)


def test_a_name_that_nobody_has_is_an_attribute_error() -> None:
    assert not hasattr(context(), "get_data_fed")


def test_rows_with_names_are_mapped_by_these_and_others_by_place() -> None:
    mapping = {"y": "label", "x": "image"}
    named = context(feed=Feed([Row(z=0, y=2, x=1), Row(z=0, y=4, x=3)])).get_data_feed(input_mapping=mapping)
    assert named.input_tensors == ["image", "label"] and not named.should_stop()
    assert named.next_batch(5) == {"image": [1, 3], "label": [2, 4]} and named.done_feeding
    assert context().get_data_feed(input_mapping=mapping).next_batch(1) == {"image": [1], "label": [2]}
    plain = context().get_data_feed()
    assert plain.next_batch(1) == [(1, 2)] and plain.input_tensors is None
    plain.terminate()
    assert plain.should_stop()


def test_a_queue_that_there_is_not_is_refused_with_those_that_are() -> None:
    with pytest.raises(ConfigError, match="there is no queue 'inputs': they are input, output, error"):
        context().get_data_feed(qname_in="inputs")


def test_a_strategy_of_its_has_none_of_our_options_and_needs_a_chief() -> None:
    with pytest.raises(ConfigError, match="no options of ctx.strategy, received precision"):
        context().strategy(precision="mixed_bfloat16")
    with pytest.raises(ConfigError, match="2 workers would train as many networks") as caught:
        context(cluster_spec={"worker": ["a:1", "b:1"]}).strategy()
    assert caught.value.hint == "run with master_node='chief'"
    with pytest.raises(ConfigError, match="evaluator:0 asked for a training strategy"):
        context(job_name="evaluator").strategy()


def exits(code: Any) -> Any:
    def map_fun(args: Any, ctx: Any) -> None:
        sys.exit(code)

    return map_fun


def fails(args: Any, ctx: Any) -> None:
    raise args


@pytest.fixture
def called() -> Iterator[list[Any]]:
    calls: list[Any] = []
    sys.modules["a_program"] = type(sys)("a_program")
    sys.modules["a_program"].map_fun = lambda args, ctx: calls.append((args, ctx.job_name))  # type: ignore[attr-defined]
    yield calls
    del sys.modules["a_program"]


def test_a_program_gets_its_args_and_our_context_also_by_its_name(called: list[Any]) -> None:
    AncestorProgram("a_program:map_fun", {"a": 1}, QUEUES, None)("theirs", Theirs())
    assert called == [({"a": 1}, "worker")]


@pytest.mark.parametrize("code", [0, None])
def test_an_exit_without_an_error_is_a_return(code: int | None) -> None:
    AncestorProgram(exits(code), None, QUEUES, None)(None, Theirs())


@pytest.mark.parametrize(
    ("map_fun", "args", "kind", "message"),
    [(exits(3), None, "SystemExit", "3"), (fails, SchemaError("no column", hint="name it"), "SchemaError", "no column"),
     (fails, KeyError("x"), "KeyError", "'x'")],
)  # fmt: skip
def test_a_failure_is_text_that_says_who_and_why(map_fun: Any, args: Any, kind: str, message: str) -> None:
    with pytest.raises(RuntimeError) as caught:
        AncestorProgram(map_fun, args, QUEUES, None)(None, Theirs())
    found = said(f"Exception in worker:\n{caught.value}\n")
    assert found is not None
    assert (found.node, found.kind, found.message) == ("worker:0", kind, message) and "Traceback" in found.traceback
    assert found.hint == ("name it" if kind == "SchemaError" else None)
