"""The embedded Spark, as far as it needs no Spark."""

from __future__ import annotations

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
