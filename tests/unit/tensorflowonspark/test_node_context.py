"""`ctx` and `TFNode` on values: paths, names of roles, what is delegated, what is refused."""

from __future__ import annotations

import getpass
import logging
import socket
from types import SimpleNamespace
from typing import Any

import pytest

from tfspark_cnn.errors import ConfigError
from tfspark_cnn.tensorflowonspark import TFNode
from tfspark_cnn.tensorflowonspark.TFSparkNode import TFNodeContext


class Native:
    """As `NodeContext` to those who adapt it."""

    executor_id, task_index, job_name, num_workers = 0, 0, "chief", 3
    cluster_spec = {"chief": ["a:1"], "worker": ["b:2", "c:3"], "ps": ["d:4"]}
    defaultFS, working_dir = "hdfs://nn", "/spark/work/0"
    reserved_socket: socket.socket | None = None
    gpus = ("0",)

    def __init__(self) -> None:
        self.asked: list[Any] = []

    def get_data_feed(self, train_mode: bool, qname: str, *, input_mapping: Any) -> Any:
        self.asked.append((train_mode, qname, input_mapping))
        return Rows()


class Rows:
    input_tensors = ["a", "b"]
    done_feeding = False

    def __init__(self) -> None:
        self.answered: list[Any] = []

    def batch_results(self, results: Any) -> None:
        self.answered.append(results)


def context(leader: str | None = None) -> TFNodeContext:
    native: Any = Native()
    return TFNodeContext.of(native, working_dir="/home/ada", leader=leader)


@pytest.mark.parametrize(
    ("default_fs", "path", "expected"),
    [
        ("hdfs://nn", "hdfs://other/x", "hdfs://other/x"),
        ("hdfs://nn", "gs://bucket/x", "gs://bucket/x"),
        ("hdfs://nn", "abfss://box@account/x", "abfss://box@account/x"),
        ("hdfs://nn", "dbfs:/x", "dbfs:/x"),
        ("hdfs://nn", "/x/y", "hdfs://nn/x/y"),
        ("file://", "/x/y", "file:///x/y"),
        ("hdfs://nn", "x", f"hdfs://nn/user/{getpass.getuser()}/x"),
        ("viewfs://nn", "x", f"viewfs://nn/user/{getpass.getuser()}/x"),
        ("file://", "x", "file:///home/ada/x"),
        ("s3a://bucket", "x", "s3a://bucket/x"),
    ],
)
def test_paths_get_their_file_system(default_fs: str, path: str, expected: str) -> None:
    ctx = TFNodeContext(defaultFS=default_fs, working_dir="/home/ada")
    assert TFNode.hdfs_path(ctx, path) == ctx.absolute_path(path) == expected


def test_a_relative_path_without_a_known_folder_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        TFNode.hdfs_path(SimpleNamespace(defaultFS="s3a://bucket", working_dir="/"), "x")
    assert "s3a://bucket has no folder of the user's" in caplog.text


def test_a_program_that_calls_its_chief_master_finds_it_so() -> None:
    ctx = context("master")
    assert ctx.job_name == "master" and list(ctx.cluster_spec) == ["master", "worker", "ps"]
    assert ctx.num_workers == 3 and ctx.working_dir == "/home/ada" and ctx.worker_num == 0
    assert context().job_name == "chief" and context().num_workers == 3


def test_what_only_our_context_has_is_there_too_and_nothing_private() -> None:
    ctx: Any = context()
    assert ctx.gpus == ("0",)
    for name in ("no_such_thing", "_link"):
        with pytest.raises(AttributeError, match=name):
            getattr(ctx, name)
    with pytest.raises(AttributeError, match="gpus"):
        _ = TFNodeContext().gpus  # type: ignore[attr-defined,unused-ignore]


def test_a_data_feed_asks_for_the_rows_of_its_queue() -> None:
    ctx = context()
    feed = ctx.get_data_feed(False, "rows", input_mapping={"x": "a"})
    assert ctx.mgr._native.asked == [(False, "rows", {"x": "a"})]
    assert (feed.train_mode, feed.qname_in, feed.qname_out, feed.mgr) == (False, "rows", "output", ctx.mgr)
    assert feed.input_tensors == ["a", "b"] and not feed.should_stop()
    feed.batch_results(n for n in range(3))
    assert feed._rows.answered == [[0, 1, 2]], "a generator counts as the list of what it gives"


def test_a_data_feed_may_be_made_of_the_context_itself() -> None:
    ctx = context()
    assert TFNode.DataFeed(ctx).mgr is ctx.mgr


def test_a_data_feed_of_something_else_is_refused() -> None:
    with pytest.raises(ConfigError, match="got a NoneType, expected ctx.mgr"):
        TFNode.DataFeed(TFNodeContext().mgr)


def test_release_port_closes_the_reserved_socket_once(caplog: pytest.LogCaptureFixture) -> None:
    with socket.socket() as sock:
        ctx = TFNodeContext(tmp_socket=sock)
        ctx.release_port()
        assert sock.fileno() == -1 and ctx.tmp_socket is None
        with caplog.at_level(logging.WARNING):
            ctx.release_port()
    assert "where no port is reserved" in caplog.text


@pytest.mark.parametrize(
    ("call", "cure"),
    [
        (lambda ctx: ctx.start_cluster_server(), "ctx.strategy().scope()"),
        (lambda ctx: ctx.export_saved_model(None, "/x", "serve", {}), "compat.export_saved_model(model"),
        (lambda ctx: TFNode.batch_results(ctx.mgr, []), "get_data_feed(train_mode=False).batch_results"),
        (lambda ctx: TFNode.terminate(ctx.mgr), "get_data_feed().terminate()"),
        (lambda ctx: ctx.mgr.get("state"), "next_batch, batch_results, terminate"),
        (lambda ctx: ctx.mgr.set("state", "terminating"), "next_batch, batch_results, terminate"),
    ],
)
def test_what_is_gone_says_what_to_use(call: Any, cure: str) -> None:
    with pytest.raises(ConfigError) as caught:
        call(context())
    assert cure in str(caught.value.hint)


def test_the_version_of_tensorflow_is_that_of_whatever_package_brings_it(monkeypatch: pytest.MonkeyPatch) -> None:
    found = {"tensorflow": ["tensorflow-cpu"]}
    monkeypatch.setattr(TFNode.importlib.metadata, "packages_distributions", lambda: found)
    monkeypatch.setattr(TFNode.importlib.metadata, "version", {"tensorflow-cpu": "2.21.0"}.__getitem__)
    assert TFNode.TF_VERSION == "2.21.0"
    found.clear()
    with pytest.raises(ConfigError, match="expected TensorFlow to be installed"):
        _ = TFNode.TF_VERSION
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = TFNode.no_such_name
