"""The embedded Spark, as far as it needs no Spark."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tfspark_cnn.cli import spark
from tfspark_cnn.config import ClusterConfig


@pytest.mark.parametrize(
    ("cluster", "master"),
    [
        (ClusterConfig(), "local[4]"),
        (ClusterConfig(num_workers=1), "local[3]"),
        (ClusterConfig(num_workers=2, num_ps=1), "local[5]"),
        (ClusterConfig(master="yarn"), "yarn"),
        (ClusterConfig(master="local[8]"), "local[8]"),
    ],
)
def test_an_embedded_spark_has_a_slot_for_each_node_and_two_feeders(cluster: ClusterConfig, master: str) -> None:
    assert spark.master(cluster) == master


def test_an_embedded_spark_stays_on_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SPARK_LOCAL_IP", raising=False)
    settings = spark.settings(ClusterConfig())
    assert (settings["spark.driver.bindAddress"], settings["spark.ui.enabled"]) == ("127.0.0.1", "false")


def test_spark_local_ip_is_respected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPARK_LOCAL_IP", "10.0.0.1")
    assert spark.settings(ClusterConfig())["spark.driver.host"] == "10.0.0.1"


def test_another_master_keeps_its_own_addresses() -> None:
    assert "spark.driver.bindAddress" not in spark.settings(ClusterConfig(master="yarn"))


def test_what_children_write_meanwhile_goes_to_the_file(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "deep" / "spark.log"
    with spark._output_to(file):
        os.write(1, b"out\n")
        os.write(2, b"err\n")
    os.write(1, b"after\n")
    assert file.read_text() == "out\nerr\n"
    assert capfd.readouterr().out == "after\n"


def test_without_a_file_everything_stays_where_it_is(capfd: pytest.CaptureFixture[str]) -> None:
    with spark._output_to(None):
        os.write(1, b"seen\n")
    assert capfd.readouterr().out == "seen\n"
