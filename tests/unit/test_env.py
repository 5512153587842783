"""The environment, read in one place."""

from __future__ import annotations

from pathlib import Path

import pytest

from tfspark_cnn import env
from tfspark_cnn.errors import ConfigError


def test_an_empty_variable_counts_as_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAVA_HOME", "")
    assert env.java_home() is None
    assert env.get("JAVA_HOME", "default") == "default"


def test_java_home_is_a_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAVA_HOME", "/opt/java")
    assert env.java_home() == Path("/opt/java")


@pytest.mark.parametrize(("value", "legacy"), [("1", True), ("true", True), ("True", True), ("0", False), ("", False)])
def test_keras_2_is_asked_for_as_tensorflow_reads_it(monkeypatch: pytest.MonkeyPatch, value: str, legacy: bool) -> None:
    monkeypatch.setenv("TF_USE_LEGACY_KERAS", value)
    assert env.legacy_keras() is legacy


def test_spark_local_ip_is_given_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPARK_LOCAL_IP", "10.0.0.1")
    assert env.spark_local_ip() == "10.0.0.1"


def test_without_path_the_systems_default_is_searched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PATH")
    assert env.search_path()


def test_a_double_underscore_is_the_dot_of_a_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TFSPARK_CNN_TRAIN__EPOCHS", "3")
    monkeypatch.setenv("TFSPARK_CNN_MODEL__PARAMETERS__FILTERS", "8")
    assert env.overrides() == {"model.parameters.filters": "8", "train.epochs": "3"}


def test_names_without_a_table_are_no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TFSPARK_CNN_SECRET", "x")
    assert env.overrides() == {}


def test_another_prefix_reads_other_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTHER_A__B", "1")
    assert env.overrides("OTHER_") == {"a.b": "1"}


def test_the_variable_of_a_setting_is_read_back_as_that_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(env.variable_of("train.batch_size"), "8")
    assert env.overrides() == {"train.batch_size": "8"}


def test_a_child_gets_updates_and_loses_what_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOES", "1")
    monkeypatch.setenv("STAYS", "1")
    child = env.child_environment({"GOES": None, "COMES": "2", "NEVER_WAS": None})
    assert (child.get("GOES"), child["STAYS"], child["COMES"]) == (None, "1", "2")
    assert "NEVER_WAS" not in child


def test_this_process_keeps_its_own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOES", "1")
    env.child_environment({"GOES": None})
    assert env.get("GOES") == "1"


@pytest.mark.parametrize(("value", "expected"), [("", []), ("8888", [8888]), ("9997-9999", [9997, 9998, 9999])])
def test_a_variable_of_ports_is_one_port_or_a_range(
    monkeypatch: pytest.MonkeyPatch, value: str, expected: list[int]
) -> None:
    for name, read in (("TFOS_SERVER_PORT", env.server_ports), ("TENSORFLOW_PORT", env.tensorflow_ports)):
        monkeypatch.setenv(name, value)
        assert list(read()) == expected
    monkeypatch.setenv("TENSORBOARD_PORT", value)
    assert env.tensorboard_port() == (expected[0] if expected else 0)


@pytest.mark.parametrize("value", ["eighty", "0", "70000", "20-10", "1-2-3", "-5"])
def test_ports_that_are_none_are_refused(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("TENSORFLOW_PORT", value)
    with pytest.raises(ConfigError, match=f"TENSORFLOW_PORT is '{value}', expected a port or a range of ports"):
        env.tensorflow_ports()


def test_the_servers_host_is_told_or_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TFOS_SERVER_HOST", "10.0.0.7")
    assert env.server_host() == "10.0.0.7"
    monkeypatch.delenv("TFOS_SERVER_HOST")
    assert env.server_host() is None


@pytest.mark.parametrize(("value", "expected"), [("0,3", ["0", "3"]), ("-1", []), ("", [])])
def test_gpus_that_can_be_seen_are_listed(monkeypatch: pytest.MonkeyPatch, value: str, expected: list[str]) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", value)
    assert env.visible_gpus() == expected
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    assert env.visible_gpus() is None


@pytest.mark.parametrize(
    ("variables", "proxy"),
    [
        ({}, None),
        ({"JUPYTERHUB_SERVICE_PREFIX": "/user/ann/"}, "/user/ann/proxy/%PORT%/"),
        (
            {"JUPYTERHUB_PUBLIC_URL": "https://hub/user/ann/", "JUPYTERHUB_SERVICE_PREFIX": "/user/ann/"},
            "https://hub/user/ann/proxy/%PORT%/",
        ),
        ({"TENSORBOARD_PROXY_URL": "/p/%PORT%", "JUPYTERHUB_SERVICE_PREFIX": "/user/ann/"}, "/p/%PORT%"),
    ],
)
def test_the_proxy_of_a_notebook_is_known_by_its_surroundings(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], proxy: str | None
) -> None:
    for name in ("TENSORBOARD_PROXY_URL", "JUPYTERHUB_PUBLIC_URL", "JUPYTERHUB_SERVICE_PREFIX"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert env.tensorboard_proxy() == proxy


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, True), ({"TFSPARK_CNN_FORK_SERVER": "off"}, False), ({"TFSPARK_CNN_FORK_SERVER": "OFF"}, False),
        ({"TFSPARK_CNN_FORK_SERVER": "0"}, False), ({"TFSPARK_CNN_FORK_SERVER": ""}, True),
        ({"CONTAINER_ID": "c"}, False), ({"CONTAINER_ID": "c", "TFSPARK_CNN_FORK_SERVER": "on"}, True),
    ],
)  # fmt: skip
def test_the_fork_server_is_there_unless_it_is_off_or_yarn_counts_memory(variables, expected):
    assert env.fork_server(variables) is expected
