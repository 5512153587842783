"""A cluster of TensorFlowOnSpark, on values: what is passed on, refused and translated."""

from __future__ import annotations

import logging
import sys
import threading
from typing import Any

import pytest
from pyspark import RDD

from tfspark_cnn.cluster.ancestor_cluster import OURS_ALONE, AncestorCluster
from tfspark_cnn.cluster.ancestor_engine import GuardedContext, package
from tfspark_cnn.cluster.ancestor_errors import NodeFailed
from tfspark_cnn.cluster.tf_cluster import TFCluster
from tfspark_cnn.errors import ClusterError, ClusterStopped, ConfigError, NodeError

ROWS = RDD.__new__(RDD)


class Frame:
    """As a DataFrame."""

    rdd = ROWS
    mapInArrow = None


class Theirs:
    """As its TFCluster; takes what it is called with."""

    queues = ("input", "output", "error")
    cluster_info = (
        {"executor_id": 1, "job_name": "worker", "task_index": 0, "host": "b", "port": 2, "authkey": b"x"},
        {"executor_id": 0, "job_name": "chief", "task_index": 0, "host": "a", "port": 1, "authkey": b"y"},
    )
    cluster_meta = {"default_fs": "hdfs://nn"}

    def __init__(self, failure: BaseException | None = None) -> None:
        self.calls: list[Any] = []
        self.failure = failure
        self.server = self

    def __getattr__(self, name: str) -> Any:
        def call(*args: Any, **kwargs: Any) -> Any:
            self.calls.append((name, *args, kwargs))
            if self.failure:
                raise self.failure

        return call

    def tensorboard_url(self) -> None:
        return None


class Module:
    """As its module."""

    def __init__(self) -> None:
        self.tf_status: dict[str, str] = {}


def cluster(theirs: Any, *, fed: bool = True, module: Any = None) -> Any:
    return AncestorCluster(module or Module(), theirs, fed=fed)


def test_rows_are_fed_as_an_rdd_and_the_interface_is_ours() -> None:
    theirs = Theirs()
    with cluster(theirs) as found:
        found.train(Frame(), 2)
        found.train(ROWS, feed_timeout=60)
        assert found.shutdown(grace_secs=3) == [None, None] == found.shutdown()
    assert theirs.calls == [
        ("train", ROWS, 2, {"feed_timeout": 600, "qname": "input"}),
        ("train", ROWS, 1, {"feed_timeout": 60, "qname": "input"}),
        ("shutdown", None, 3, {"timeout": -1}),
    ]
    assert found.nodes()[0] == {"executor_id": 0, "job_name": "chief", "task_index": 0, "host": "a", "port": 1}
    assert found.default_fs == "hdfs://nn" and found.tensorboard_url() is None
    assert all(found.timings()[name] > 0 for name in ("feed", "stop"))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda c: c.train(ROWS, validation=ROWS), "no validation rows"),
        (lambda c: c.train(ROWS, 0), "needs num_epochs of at least 1, received 0"),
        (lambda c: c.train(ROWS, qname="rows"), "there is no queue 'rows': they are input, output, error"),
        (lambda c: c.train([1, 2]), "train got a list"),
        (lambda c: c.inference(ROWS, result_type="bigint"), "with result_type='bigint'"),
        (lambda c: c.inference(Frame()), "of an RDD alone, received Frame"),
        (lambda c: c.foreach_batch(), "has no cluster.foreach_batch"),
        (lambda c: c.step_report(), "has no cluster.step_report"),
    ],
)
def test_what_it_has_not_is_an_error_with_its_cure(call: Any, words: str) -> None:
    theirs = Theirs()
    with pytest.raises(ConfigError, match=words) as caught:
        call(cluster(theirs))
    assert caught.value.hint and theirs.calls == []


def test_nothing_is_fed_where_nodes_read_files() -> None:
    with pytest.raises(ConfigError, match=r"train was called in InputMode\.TENSORFLOW"):
        cluster(Theirs(), fed=False).train(ROWS)


def test_each_public_name_of_our_cluster_is_there_or_refused() -> None:
    made_by = {"run", "InputMode"}
    for name in {name for name in vars(TFCluster) if not name.startswith("_")} - made_by:
        if name not in OURS_ALONE:
            assert hasattr(AncestorCluster, name) or name == "run_id", name
    assert not hasattr(cluster(Theirs()), "feed_report")


def test_a_failure_is_raised_and_raised_again_by_what_comes_after() -> None:
    line = NodeFailed("worker:0", "b", "ValueError", "no room", None, "Traceback").line()
    found = cluster(Theirs(Exception(f"Exception in worker:\n{line}")))
    with pytest.raises(NodeError, match="no room"):
        found.train(ROWS)
    with pytest.raises(NodeError, match="no room"):
        found.shutdown()
    with pytest.raises(ClusterStopped):
        found.train(ROWS)


def test_an_exit_of_it_is_an_error_with_what_it_noted() -> None:
    module = Module()
    module.tf_status["error"] = NodeFailed("worker:0", "b", "OSError", "disk full", None, "Traceback").line()
    with pytest.raises(NodeError, match="disk full"):
        cluster(Theirs(SystemExit(1)), module=module).shutdown()


def test_a_limit_on_shutdown_is_kept_although_it_goes_on() -> None:
    over = threading.Event()

    class Slow(Theirs):
        def shutdown(self, *args: Any, **kwargs: Any) -> None:
            over.wait(30)

    with pytest.raises(ClusterError, match=r"had not ended after 0\.01 s, and has no way to end its nodes"):
        cluster(Slow()).shutdown(timeout=0.01)
    over.set()


def test_leaving_by_an_error_says_what_stays(caplog: pytest.LogCaptureFixture) -> None:
    theirs = Theirs()
    with pytest.raises(KeyError):
        with cluster(theirs):
            raise KeyError
    assert [call[0] for call in theirs.calls] == ["stop"] and "has no way to end nodes" in caplog.text


def test_the_application_is_not_stopped_by_it() -> None:
    class Context:
        defaultParallelism = 4

        def stop(self) -> None:
            raise AssertionError

    guarded = GuardedContext(Context())
    guarded.stop()
    assert guarded.defaultParallelism == 4


@pytest.mark.parametrize(
    ("gone", "words"),
    [("tensorflowonspark", "a package that is not here: tensorflowonspark"),
     ("pkg_resources", "not here: pkg_resources, which is in setuptools below 81")],
)  # fmt: skip
def test_a_package_that_is_missing_is_named_with_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch, gone: str, words: str
) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "tensorflowonspark"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, gone, None)
    before = list(logging.getLogger().handlers)
    with pytest.raises(ConfigError, match=words) as caught:
        package()
    assert "pip install tensorflowonspark 'setuptools<81'" in (caught.value.hint or "")
    assert logging.getLogger().handlers == before
    for name in [name for name in sys.modules if name.split(".")[0] == "tensorflowonspark"]:
        del sys.modules[name]
